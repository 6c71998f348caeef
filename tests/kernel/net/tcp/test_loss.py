"""TCP's rules about loss and timestamps, segment by segment, each named by its section."""

import struct

import pytest

from goanna.kernel.base import errno
from tests.kernel.net.tcp import host as tcp
from tests.kernel.net.tcp.host import ACK, RST, State
from tests.kernel.net.tcp.rules import MSS, SECOND, Open, stamp

# Loss


@pytest.mark.slow(14)
def test_rfc_6298_5_the_retransmission_timer(stack):
    host = stack(options=MSS)
    host.write(0, b"x" * 100)
    start, times = host.now, [0.0] * len(host.got())
    for _ in range(1400):
        host.let(0.01)
        times += [(host.now - start) / SECOND] * len(host.got())
    assert [round(each, 1) for each in times] == [0, 0.2, 0.6, 1.4, 3.0, 6.2, 12.6]
    assert not host.ours or host.c.mss == host.c.window  # RFC 5681 3.1


@pytest.mark.slow(5)
def test_rfc_6298_3_what_was_sent_twice_measures_nothing(stack):
    host = stack(options=MSS)
    host.write(0, b"x" * 100)
    host.let(5)
    before = host.round_trip(0)
    host.say(ack=100)
    assert host.round_trip(0) == before


@pytest.mark.slow(1000)
def test_rfc_9293_3_8_3_giving_up(stack):
    host = stack(options=MSS)
    host.write(0, b"x")
    start = host.now
    while host.state(0) != State.CLOSED.value:
        host.let(10)
    assert host.error(0) == errno.ETIMEDOUT and 800 < (host.now - start) / SECOND < 1100


@pytest.mark.slow(7)
def test_rfc_5482_the_user_timeout(stack):
    host = stack(options=MSS)
    host.set(2, 5 * SECOND)
    host.write(0, b"x")
    start = host.now
    while host.state(0) != State.CLOSED.value:
        host.let(0.5)
    assert host.error(0) == errno.ETIMEDOUT and 5 <= (host.now - start) / SECOND < 10


def test_rfc_5681_3_2_fast_retransmit_after_three_duplicates(stack):
    host = stack(options=MSS)
    host.write(0, b"x" * 40000)
    assert len(host.got()) == 10
    for _ in range(2):
        host.say()
        assert len(host.got()) <= 1  # RFC 3042: limited transmit of new text
    host.say()
    sent = host.texts()
    assert (0, 1460) in sent
    assert not host.ours or host.c.threshold == 14600 * 717 // 1024
    host.check()


def test_rfc_6582_3_2_a_partial_acknowledgment_repeats_the_next_hole(stack):
    host = stack(options=MSS)
    host.write(0, b"x" * 14600)
    host.got()
    for _ in range(7):  # so many that the rate of recovery (RFC 6937) allows it
        host.say()
    host.got()
    host.say(ack=1460)
    assert (1460, 1460) in host.texts()


def test_rfc_8985_6_2_a_hole_below_what_was_sacked_is_lost(stack):
    host = stack()
    host.let(0)
    host.write(0, b"x" * 14600)
    host.got()
    host.let(0.02)
    host.say(sack=[(1460, 2920)])
    host.say(sack=[(1460, 4380)])
    host.none()  # RACK waits for what may only be late
    host.say(sack=[(1460, 5840)])
    assert host.texts()[0] == (0, 1460)
    host.check()


def test_rfc_8985_6_3_the_reordering_timer(stack):
    host = stack()
    host.write(0, b"x" * 14600)
    host.got()
    host.let(0.1)
    host.say(ack=1460)
    host.got()
    host.say(ack=1460, sack=[(4380, 5840)])
    host.none()
    host.let(0.2)
    assert (1460, 1460) in host.texts()


def test_rfc_8985_7_3_a_tail_loss_probe(stack):
    host = stack()
    host.let(0)
    host.write(0, b"x" * 2920)
    host.got()
    host.let(0.02)
    host.say(ack=2920)
    host.mine += 2920
    srtt = host.round_trip(0) / SECOND
    host.write(0, b"y" * 5840)
    host.got()
    start = host.now
    while not (sent := host.texts()):
        host.let(0.001)
    assert sent == [(4380, 1460)] and abs((host.now - start) / SECOND - 2 * srtt) < (0.003 if host.ours else 0.02)
    host.let(0.03)
    host.say(sack=[(4380, 5840)])
    host.let(0.02)
    assert host.texts()[0][0] == 0  # the probe's answer shows what is missing
    host.check()


@pytest.mark.slow(6)
def test_rfc_2018_8_what_was_sacked_is_kept_until_it_is_acknowledged(stack):
    host = stack()
    host.write(0, b"x" * 14600)
    host.got()
    host.say(sack=[(1460, 14600)])
    host.got()
    for _ in range(8):
        host.let(0.5)
        host.got()
    host.say(ack=1460)  # the receiver has thrown away what it had
    host.let(2)
    assert any(offset >= 1460 for offset, _ in host.texts())
    host.check()


def test_sack_blocks_of_single_bytes_make_few_flights():
    host = Open()
    host.write(0, b"x" * 14600)
    host.got()
    for at in range(1, 14000, 8):
        host.say(sack=[(at, at + 1), (at + 2, at + 3), (at + 4, at + 5)])
        host.check()
    host.frames()
    assert host.unit.call(tcp.connection.flights.in_use) < 40


@pytest.mark.parametrize("blocks", [[(5, 2)], [(-100, 100)], [(0, 20000)], [(14600, 14601)], [(-50, -20)], [(0, 0)]])
def test_rfc_2018_3_blocks_that_cannot_be_true(stack, blocks):
    host = stack()
    host.write(0, b"x" * 14600)
    host.got()
    for _ in range(5):
        host.say(sack=blocks)
    host.none()
    assert not host.ours or host.c.sacked == 0
    host.check()


@pytest.mark.differs("CUBIC's window can't be seen from outside")
def test_rfc_9438_4_6_the_window_after_a_loss(stack):
    host = stack()
    host.write(0, b"x" * 60000)
    host.got()
    host.say(sack=[(1460, 14600)])
    host.got()
    before = host.c.threshold
    assert before == 14600 * 717 // 1024
    host.say(ack=host.c.send_next - host.mine if host.c.send_next > host.mine else 14600)
    assert before <= host.c.window < before + 2 * host.c.mss


# Timestamps


def with_stamps():
    return Open(options=MSS + b"\1\1\4\2" + stamp(1000, 0) + b"\1\3\3\7")


def test_rfc_7323_5_3_old_timestamps_are_refused():
    host = with_stamps()
    host.say(ACK, b"new", value=2000)
    host.at += 3
    host.got()
    host.say(ACK, b"old", value=1500)
    assert host.one()["acknowledgment"] == host.at and host.read(0) == b"new"
    host.say(RST, value=1500)  # not for resets
    assert host.state(0) == State.CLOSED.value


def test_rfc_7323_4_3_the_timestamp_of_the_first_unacknowledged_segment_is_echoed():
    host = with_stamps()
    host.say(ACK, b"?", value=2000)
    host.at += 1
    host.got()
    host.read(0)
    host.write(0, b"!")
    host.got()
    host.mine += 1
    host.say(value=2001)
    host.say(ACK, b"a" * 1000, value=3000)
    host.at += 1000
    host.say(ACK, b"b" * 10, value=3010)
    host.at += 10
    host.let(0.05)
    assert struct.unpack(">II", host.one()["options"][8])[1] == 3000


def test_rfc_7323_2_segments_without_timestamps_are_taken():
    host = with_stamps()
    host.stamps = False
    host.hear(b"x")
    assert host.read(0) == b"x"
