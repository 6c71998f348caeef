"""TCP's rules one by one, segment by segment, each named by its section: what is taken, windows, sending."""

from itertools import pairwise

import pytest

from goanna.kernel.base import errno
from tests.kernel.net.tcp import host as tcp
from tests.kernel.net.tcp.host import ACK, RST, SYN, State, TcpHost
from tests.kernel.net.tcp.rules import MSS, PEER, SECOND, Open, talk, unit

# RFC 9293 3.10.7.4: what is acceptable


@pytest.mark.parametrize("offset", [70000, -1, 2**31 - 1])
def test_rfc_9293_3_10_7_4_a_segment_outside_the_window_is_answered(stack, offset):
    host = stack()
    host.say(ACK, b"x", at=offset)
    answer = host.one()
    assert answer["acknowledgment"] == host.at and host.read(0) == b""


def test_rfc_9293_3_10_7_4_text_is_cut_to_the_window(stack):
    host = stack()
    host.say(ACK, b"ab", at=0)
    host.at += 2
    host.got()
    host.say(ACK, b"abcd", at=-2)
    host.at += 2
    assert host.read(0) == b"abcd"


def test_a_segment_without_ack_is_dropped(stack):
    host = stack()
    host.say(0, b"x")
    host.none()
    assert host.read(0) == b""


@pytest.mark.differs("the urgent byte leaves the stream unless SO_OOBINLINE; who follows RFC 6093 6 sends none")
def test_urgent_text_is_text(stack):
    host = stack()
    host.say(ACK | 32, b"x")
    host.at += 1
    assert host.read(0) == b"x"


def test_rfc_9293_3_10_7_3_both_open_at_once():
    host = TcpHost(unit)
    host.add("10.0.0.1/24")
    host.let(5)
    host.greet()
    host.call(tcp.open_to, 0, host.peer, PEER, host.now)
    syn = host.one()
    host.segment(PEER, syn["source"], 5000, 0, SYN, options=MSS)
    answer = host.one()
    assert (answer["flags"], answer["acknowledgment"], answer["sequence"]) == (SYN | ACK, 5001, syn["sequence"])
    host.segment(PEER, syn["source"], 5001, syn["sequence"] + 1, ACK)
    assert host.state(0) == State.ESTABLISHED.value


# RFC 5961: forgeries


def test_rfc_5961_3_2_only_an_exact_reset_resets(stack):
    host = stack()
    host.say(RST, at=1)
    challenge = host.one()
    assert (challenge["flags"], challenge["acknowledgment"]) == (ACK, host.at)
    host.say(RST, at=70000)
    host.none()
    assert host.state(0) == State.ESTABLISHED.value
    host.say(RST)
    assert (host.state(0), host.error(0)) == (State.CLOSED.value, errno.ECONNRESET)


@pytest.mark.parametrize("at", [0, 1, -1, 60000])
def test_rfc_5961_4_2_a_syn_is_challenged(stack, at):
    host = stack()
    host.say(SYN, at=at)
    answer = host.one()
    assert (answer["flags"], answer["acknowledgment"]) == (ACK, host.at) and host.state(0) == State.ESTABLISHED.value


def test_rfc_5961_7_challenges_are_limited(stack):
    host = stack()
    for _ in range(100):
        host.say(SYN)
    assert len(host.got()) == 1
    host.let(0.6)
    host.say(SYN)
    assert len(host.got()) == 1


def test_rfc_5961_5_2_acknowledgments_of_what_was_not_sent(stack):
    host = stack()
    host.say(ACK, b"forged", ack=1)
    assert host.one()["acknowledgment"] == host.at and host.read(0) == b""
    host.let(1)
    host.say(ACK, b"forged", ack=-70000)
    assert host.one()["acknowledgment"] == host.at and host.read(0) == b""
    host.let(1)
    host.let(1)
    host.say(ACK, b"forged", ack=-10)  # of before the connection
    assert host.one()["acknowledgment"] == host.at and host.read(0) == b""
    host.write(0, b"x" * 20)
    host.got()
    host.mine += 20
    host.say()
    host.say(ACK, b"late", ack=-10)  # an old one, within the largest window: its text counts
    assert host.read(0) == b"late"


# Windows


def test_rfc_9293_3_10_7_4_a_window_counts_from_the_acknowledgment_beside_it(stack):
    """As on Linux: also if text that was lost brings both, whose sequence number is older than another's."""
    host = stack()
    host.say(ACK, b"b", at=1, window=10000)
    host.got()
    host.write(0, b"x" * 1000)
    host.got()
    host.mine += 1000
    host.say(ACK, b"a", at=0, window=100)
    host.at += 2
    host.got()
    host.write(0, b"y" * 1000)
    assert all(at + length <= 100 for at, length in host.texts())


@pytest.mark.slow(30)
def test_rfc_9293_3_8_6_1_a_closed_window_is_probed(stack):
    host = stack()
    host.say(window=0)
    host.write(0, b"x" * 100)
    host.none()
    times, start = [], host.now
    for _ in range(300):
        host.let(0.1)
        probes = host.got()
        times += [(host.now - start) / SECOND] * len(probes)
        for probe in probes:
            assert probe["text"] == b"" and (probe["sequence"] - host.mine) % 2**32 == 2**32 - 1
            host.say(window=0)
    gaps = [round(b - a, 1) for a, b in zip([0, *times], times, strict=False)]
    assert len(times) >= 5 and all(1.5 <= b / a <= 2.6 for a, b in pairwise(gaps))
    host.say(window=50)
    host.let(2)
    assert host.texts()[0] == (0, 50)
    host.say(ack=50, window=1000)
    assert host.texts() == [(50, 50)]


@pytest.mark.slow(4840)
def test_rfc_9293_3_8_6_1_a_window_stays_closed_for_ever_while_it_is_answered(stack):
    host = stack()
    host.say(window=0)
    host.write(0, b"x" * 100)
    for _ in range(40):
        host.let(121)
        host.say(window=0)
    assert host.state(0) == State.ESTABLISHED.value


def test_rfc_9293_3_8_6_2_2_no_silly_windows_are_offered(stack):
    host = stack(options=MSS)
    edge = None
    for _ in range(70):
        host.hear(b"x" * 1000)
        for each in host.got():
            new = each["acknowledgment"] + each["window"]
            assert edge is None or new >= edge, "the window shrank"
            edge = new
        if edge - host.at < 1000:
            break
    host.let(0.1)
    for each in host.got():
        edge = each["acknowledgment"] + each["window"]
    host.read(0, 10)
    host.none()  # ten bytes are not worth a segment
    host.read(0, 30000)
    assert host.one()["window"] >= 2920


def test_rfc_7323_2_3_scaled_windows(stack):
    host = stack(options=MSS + b"\1\3\3\7", window=20)  # the SYN's own window is not scaled
    host.window = 2
    host.hear(b"sma")  # Linux takes a smaller window from a newer segment than the last that said one
    host.hear(b"ller")
    host.got()
    host.write(0, b"x" * 1000)
    host.none()  # not worth a segment yet
    host.let(0.6)
    assert host.texts()[0] == (0, 256)


# Sending


def test_rfc_6928_the_first_window_is_ten_segments(stack):
    host = stack()
    host.write(0, b"x" * 40000)
    assert [length for _, length in host.texts()] == [1460] * 10


def test_rfc_5681_3_1_slow_start_doubles(stack):
    host = stack()
    host.write(0, b"x" * 60000)
    host.got()
    for sent in range(5):
        host.say(ack=(sent + 1) * 2920)
    assert sum(length for _, length in host.texts()) == 2 * 14600


def test_rfc_9293_3_7_4_nagle(stack):
    host = stack()
    host.write(0, b"a")
    host.write(0, b"b")
    host.write(0, b"c")
    assert host.texts() == [(0, 1)]
    host.say(ack=1)
    assert host.texts() == [(1, 2)]
    host.set(0, 1)
    host.write(0, b"d")
    host.write(0, b"e")
    assert host.texts() == [(3, 1), (4, 1)]


def test_a_cork_holds_small_segments_but_not_for_long(stack):
    host = stack()
    host.set(3, 1)
    host.write(0, b"x" * 1500)
    assert host.texts() == [(0, 1460)]
    host.say(ack=1460)
    host.none()
    host.let(1.1)
    assert host.texts()[0] == (1460, 40)


def test_rfc_9293_3_7_1_the_segment_size_that_the_peer_says(stack):
    host = stack(options=b"\2\4\x02\x00")
    host.write(0, b"x" * 2000)
    assert [length for _, length in host.texts()] == [512, 512, 512, 464]


def test_rfc_9293_3_7_1_the_default_segment_size(stack):
    host = stack(options=b"")
    host.write(0, b"x" * 1000)
    assert [length for _, length in host.texts()] == [536, 464]


def test_tiny_segment_sizes_are_not_believed(stack):
    host = stack(options=b"\2\4\x00\x01")
    host.write(0, b"x" * 128)
    assert [length for _, length in host.texts()] == [48, 48, 32]


def test_a_connection_may_send_for_ever():
    """Counts that only grow are of 64 bits, or begin anew."""
    host = Open()
    for name in ("recovery_sent", "recovery_delivered", "read_bytes", "duplicates"):
        setattr(host.c, name, 2**32 - 2000)
    for _ in range(3):
        host.write(0, b"x" * 5000)
        host.mine += sum(length for _, length in host.texts())
        host.say()
        host.hear(b"y" * 1000)
        host.got()
        assert host.read(0) == b"y" * 1000
    assert host.state(0) == State.ESTABLISHED.value


# Acknowledging


def test_rfc_9293_3_8_6_3_acknowledgments_are_delayed(stack):
    host = stack()
    talk(host)
    host.hear(b"x" * 1460)
    host.none()
    host.let(0.03)
    host.none()
    host.let(0.02)
    assert host.one()["acknowledgment"] == host.at


def test_rfc_5681_4_2_every_second_full_segment_is_acknowledged(stack):
    host = stack()
    talk(host)
    for _ in range(4):
        host.hear(b"x" * 1460)
        host.none()
        host.read(0)
        host.hear(b"x" * 1460)
        assert host.one()["acknowledgment"] == host.at
        host.read(0)


def test_rfc_5681_4_2_what_is_out_of_order_is_acknowledged_at_once(stack):
    host = stack()
    talk(host)
    host.say(ACK, b"b" * 100, at=100)
    answer = host.one()
    assert answer["acknowledgment"] == host.at and answer["sack"] == [(host.at + 100, host.at + 200)]
    host.say(ACK, b"a" * 100)
    assert host.one()["acknowledgment"] == host.at + 200
    assert host.read(0) == b"a" * 100 + b"b" * 100


def test_rfc_2018_4_the_latest_block_comes_first(stack):
    host = stack()
    talk(host)
    base = host.at
    for at in (100, 300, 500, 700):
        host.say(ACK, b"x" * 50, at=at)
        last = host.one()["sack"]
    assert last == [(base + at, base + at + 50) for at in (700, 500, 300, 100)]
    host.say(ACK, b"x" * 50, at=150)
    blocks = [(base + at, base + to) for at, to in ((100, 200), (700, 750), (500, 550), (300, 350))]
    assert host.one()["sack"] == blocks


def test_rfc_2883_4_duplicates_are_reported(stack):
    host = stack()
    talk(host)
    base = host.at
    host.hear(b"x" * 100)
    host.let(0.05)
    host.got()
    host.say(ACK, b"x" * 100, at=-100)
    assert host.one()["sack"] == [(base, base + 100)]
    host.say(ACK, b"y" * 100, at=100)
    host.got()
    host.say(ACK, b"y" * 50, at=120)
    assert host.one()["sack"] == [(base + 220, base + 270), (base + 200, base + 300)]


def test_many_small_holes_take_bounded_memory():
    """SegmentSmack."""
    host = Open()
    for number in range(20000):
        host.say(ACK, b"x", at=2 + 2 * (number * 7919 % 20000))
        if number % 100 == 0:
            host.frames()
    assert host.c.run_count <= 128 and host.c.received_memory <= host.c.receive_limit
    host.frames()
    host.hear(b"y" * 50000)
    assert len(host.read(0)) >= 50000
