"""TCP's rules one by one, segment by segment, each named by its section. The peer is written here."""

import struct
from itertools import pairwise

import pytest

from goanna.kernel.base import errno
from goanna.kernel.net.tcp import calls
from goanna.metal import i64, jit, metal, u32, u64
from tests.kernel.net.tcp import host as tcp
from tests.kernel.net.tcp.host import ACK, FIN, PSH, RST, SYN, TCP_ROOTS, State, TcpHost, tcp_hooks

SECOND = 1_000_000_000


@metal
def option(number: u64, which: u32, value: u64, now: u64) -> i64:
    """Set an option of a connection."""
    c = tcp.held[number]
    match which:
        case 0:
            c.no_delay = value != 0
        case 1:
            c.keep_idle = value
            c.keep_interval = value
            c.keep_count = 3
            calls.set_keep_alive(c, True, now)
        case 2:
            c.user_timeout = value
        case 3:
            c.corked = value != 0
        case _:
            return -1
    return 0


with tcp_hooks():
    unit = jit(*TCP_ROOTS, option)

PEER = 4000
MSS = b"\2\4\x05\xb4"


def stamp(value, echo):
    return b"\1\1\x08\x0a" + struct.pack(">II", value % 2**32, echo % 2**32)


class Open(TcpHost):
    """A host with one connection, number 0; `at` and `mine` are the next sequence numbers of the peer and of ours."""

    def __init__(self, options=MSS + b"\1\1\4\2", window=65535, active=False, **more):
        super().__init__(unit, **more)
        self.add("10.0.0.1/24")
        self.let(5)
        self.greet()
        self.stamps, self.echo, self.window = b"\x08\x0a" in options, 0, window
        if active:
            assert self.call(tcp.open_to, 0, self.peer, PEER, self.now) == 0
            syn = self.one()
            self.port, self.at, self.mine = syn["source"], 5001, syn["sequence"] + 1
            self.segment(PEER, self.port, 5000, self.mine, SYN | ACK, options=options, window=window)
            assert self.one()["flags"] == ACK
        else:
            assert self.call(tcp.listen, 0, "0.0.0.0", 80, 16) == 0
            self.port = 80
            self.segment(PEER, 80, 5000, 0, SYN, options=options, window=window)
            answer = self.one()
            if self.stamps:
                self.echo = struct.unpack(">II", answer["options"][8])[0]
            self.at, self.mine = 5001, answer["sequence"] + 1
            self.now += 20_000_000  # a round trip
            self.say(ACK)
            assert self.unit.call(tcp.accept, 0, 0)
        self.c = self.connection(0)
        assert self.c.state == State.ESTABLISHED.value
        self.none()

    def say(self, flags=ACK, text=b"", at=None, ack=None, sack=(), value=1001, **more):
        """The peer sends; `at` and `ack` are relative to what is next."""
        options = stamp(value, self.echo) if self.stamps else b""
        if sack:
            edges = [self.mine + edge for block in sack for edge in block]
            options += bytes([1, 1, 5, 2 + 8 * len(sack)]) + b"".join(struct.pack(">I", e % 2**32) for e in edges)
        self.segment(PEER, self.port, self.at + (at or 0), self.mine + (ack or 0), flags, text,
                     more.pop("window", self.window), options + more.pop("options", b""))  # fmt: skip

    def hear(self, text):
        """The peer sends text that is next."""
        self.say(ACK | PSH, text)
        self.at += len(text)

    def texts(self):
        """(offset, length) of what the host sends."""
        return [((each["sequence"] - self.mine) % 2**32, len(each["text"])) for each in self.got()]

    def set(self, which, value):
        assert self.unit.call(option, 0, which, value, self.now) == 0


def talk(host):
    """Past the quick acknowledgments of the beginning."""
    host.hear(b"?")
    host.got()
    host.read(0)
    host.write(0, b"!")
    host.got()
    host.mine += 1
    host.say()
    host.none()


# RFC 9293 3.10.7.4: what is acceptable


@pytest.mark.parametrize("offset", [70000, -1, 2**31 - 1])
def test_rfc_9293_3_10_7_4_a_segment_outside_the_window_is_answered(offset):
    host = Open()
    host.say(ACK, b"x", at=offset)
    answer = host.one()
    assert answer["acknowledgment"] == host.at and host.read(0) == b""


def test_rfc_9293_3_10_7_4_text_is_cut_to_the_window():
    host = Open()
    host.say(ACK, b"ab", at=0)
    host.at += 2
    host.got()
    host.say(ACK, b"abcd", at=-2)
    host.at += 2
    assert host.read(0) == b"abcd"


def test_a_segment_without_ack_is_dropped():
    host = Open()
    host.say(0, b"x")
    host.none()
    assert host.read(0) == b""


def test_urgent_text_is_text():
    host = Open()
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


def test_rfc_5961_3_2_only_an_exact_reset_resets():
    host = Open()
    host.say(RST, at=1)
    challenge = host.one()
    assert (challenge["flags"], challenge["acknowledgment"]) == (ACK, host.at)
    host.say(RST, at=70000)
    host.none()
    assert host.state(0) == State.ESTABLISHED.value
    host.say(RST)
    assert (host.state(0), host.c.error) == (State.CLOSED.value, errno.ECONNRESET)


@pytest.mark.parametrize("at", [0, 1, -1, 60000])
def test_rfc_5961_4_2_a_syn_is_challenged(at):
    host = Open()
    host.say(SYN, at=at)
    answer = host.one()
    assert (answer["flags"], answer["acknowledgment"]) == (ACK, host.at) and host.state(0) == State.ESTABLISHED.value


def test_rfc_5961_7_challenges_are_limited():
    host = Open()
    for _ in range(100):
        host.say(SYN)
    assert len(host.got()) == 1
    host.let(0.6)
    host.say(SYN)
    assert len(host.got()) == 1


def test_rfc_5961_5_2_acknowledgments_of_what_was_not_sent():
    host = Open()
    host.say(ACK, b"forged", ack=1)
    assert host.one()["acknowledgment"] == host.at and host.read(0) == b""
    host.let(1)
    host.say(ACK, b"forged", ack=-70000)
    assert host.one()["acknowledgment"] == host.at and host.read(0) == b""
    host.let(1)
    host.say(ACK, b"late", ack=-10)  # an old one, within the largest window: its text counts
    assert host.read(0) == b"late"


# Windows


def test_rfc_9293_3_8_6_1_a_closed_window_is_probed():
    host = Open()
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


def test_rfc_9293_3_8_6_1_a_window_stays_closed_for_ever_while_it_is_answered():
    host = Open()
    host.say(window=0)
    host.write(0, b"x" * 100)
    for _ in range(40):
        host.let(121)
        host.say(window=0)
    assert host.state(0) == State.ESTABLISHED.value


def test_rfc_9293_3_8_6_2_2_no_silly_windows_are_offered():
    host = Open(options=MSS)
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


def test_rfc_7323_2_3_scaled_windows():
    host = Open(options=MSS + b"\1\3\3\7", window=20)  # the SYN's own window is not scaled
    host.window = 2
    host.say()
    host.write(0, b"x" * 1000)
    assert host.texts() == [(0, 256)] or host.c.send_window == 256


# Sending


def test_rfc_6928_the_first_window_is_ten_segments():
    host = Open()
    host.write(0, b"x" * 40000)
    assert [length for _, length in host.texts()] == [1460] * 10


def test_rfc_5681_3_1_slow_start_doubles():
    host = Open()
    host.write(0, b"x" * 60000)
    host.got()
    for sent in range(5):
        host.say(ack=(sent + 1) * 2920)
    assert sum(length for _, length in host.texts()) == 2 * 14600


def test_rfc_9293_3_7_4_nagle():
    host = Open()
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


def test_a_cork_holds_small_segments_but_not_for_long():
    host = Open()
    host.set(3, 1)
    host.write(0, b"x" * 1500)
    assert host.texts() == [(0, 1460)]
    host.say(ack=1460)
    host.none()
    host.let(1.1)
    assert host.texts()[0] == (1460, 40)


def test_rfc_9293_3_7_1_the_segment_size_that_the_peer_says():
    host = Open(options=b"\2\4\x02\x00")
    host.write(0, b"x" * 2000)
    assert [length for _, length in host.texts()] == [512, 512, 512, 464]


def test_rfc_9293_3_7_1_the_default_segment_size():
    host = Open(options=b"")
    host.write(0, b"x" * 1000)
    assert [length for _, length in host.texts()] == [536, 464]


def test_tiny_segment_sizes_are_not_believed():
    host = Open(options=b"\2\4\x00\x01")
    host.write(0, b"x" * 128)
    assert [length for _, length in host.texts()] == [64, 64]


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


def test_rfc_9293_3_8_6_3_acknowledgments_are_delayed():
    host = Open()
    talk(host)
    host.hear(b"x" * 1460)
    host.none()
    host.let(0.039)
    host.none()
    host.let(0.002)
    assert host.one()["acknowledgment"] == host.at


def test_rfc_5681_4_2_every_second_full_segment_is_acknowledged():
    host = Open()
    talk(host)
    for _ in range(4):
        host.hear(b"x" * 1460)
        host.none()
        host.hear(b"x" * 1460)
        assert host.one()["acknowledgment"] == host.at


def test_rfc_5681_4_2_what_is_out_of_order_is_acknowledged_at_once():
    host = Open()
    talk(host)
    host.say(ACK, b"b" * 100, at=100)
    answer = host.one()
    assert answer["acknowledgment"] == host.at and answer["sack"] == [(host.at + 100, host.at + 200)]
    host.say(ACK, b"a" * 100)
    assert host.one()["acknowledgment"] == host.at + 200
    assert host.read(0) == b"a" * 100 + b"b" * 100


def test_rfc_2018_4_the_latest_block_comes_first():
    host = Open()
    talk(host)
    base = host.at
    for at in (100, 300, 500, 700):
        host.say(ACK, b"x" * 50, at=at)
        last = host.one()["sack"]
    assert last == [(base + at, base + at + 50) for at in (700, 500, 300)]
    host.say(ACK, b"x" * 50, at=150)
    assert host.one()["sack"] == [(base + at, base + to) for at, to in ((100, 200), (700, 750), (500, 550))]


def test_rfc_2883_4_duplicates_are_reported():
    host = Open()
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


# Loss


def test_rfc_6298_5_the_retransmission_timer():
    host = Open(options=MSS)
    host.write(0, b"x" * 100)
    start, times = host.now, [0.0] * len(host.got())
    for _ in range(1400):
        host.let(0.01)
        times += [(host.now - start) / SECOND] * len(host.got())
    assert [round(each, 1) for each in times] == [0, 0.2, 0.6, 1.4, 3.0, 6.2, 12.6]
    assert host.c.mss == host.c.window  # RFC 5681 3.1


def test_rfc_6298_3_what_was_sent_twice_measures_nothing():
    host = Open(options=MSS)
    host.write(0, b"x" * 100)
    host.let(5)
    before = host.c.srtt
    host.say(ack=100)
    assert host.c.srtt == before


def test_rfc_9293_3_8_3_giving_up():
    host = Open(options=MSS)
    host.write(0, b"x")
    start = host.now
    while host.state(0) != State.CLOSED.value:
        host.let(10)
    assert host.c.error == errno.ETIMEDOUT and 800 < (host.now - start) / SECOND < 1100


def test_rfc_5482_the_user_timeout():
    host = Open(options=MSS)
    host.set(2, 5 * SECOND)
    host.write(0, b"x")
    start = host.now
    while host.state(0) != State.CLOSED.value:
        host.let(0.5)
    assert host.c.error == errno.ETIMEDOUT and 5 <= (host.now - start) / SECOND < 10


def test_rfc_5681_3_2_fast_retransmit_after_three_duplicates():
    host = Open(options=MSS)
    host.write(0, b"x" * 40000)
    assert len(host.got()) == 10
    for _ in range(2):
        host.say()
        assert len(host.got()) <= 1  # RFC 3042: limited transmit of new text
    host.say()
    sent = host.texts()
    assert (0, 1460) in sent and host.c.threshold == 14600 * 717 // 1024
    host.unit.call(tcp.check, 0)


def test_rfc_6582_3_2_a_partial_acknowledgment_repeats_the_next_hole():
    host = Open(options=MSS)
    host.write(0, b"x" * 14600)
    host.got()
    for _ in range(3):
        host.say()
    host.got()
    host.say(ack=1460)
    assert (1460, 1460) in host.texts()


def test_rfc_8985_6_2_a_hole_below_what_was_sacked_is_lost():
    host = Open()
    host.let(0)
    host.write(0, b"x" * 14600)
    host.got()
    host.let(0.02)
    host.say(sack=[(1460, 2920)])
    host.say(sack=[(1460, 4380)])
    host.none()  # RACK waits for what may only be late
    host.say(sack=[(1460, 5840)])
    assert host.texts()[0] == (0, 1460)
    host.unit.call(tcp.check, 0)


def test_rfc_8985_6_3_the_reordering_timer():
    host = Open()
    host.write(0, b"x" * 14600)
    host.got()
    host.let(0.1)
    host.say(ack=1460)
    host.got()
    host.say(ack=1460, sack=[(4380, 5840)])
    host.none()
    host.let(0.2)
    assert (1460, 1460) in host.texts()


def test_rfc_8985_7_3_a_tail_loss_probe():
    host = Open()
    host.let(0)
    host.write(0, b"x" * 2920)
    host.got()
    host.let(0.05)
    host.say(ack=2920)
    host.mine += 2920
    srtt = host.c.srtt / SECOND
    host.write(0, b"y" * 5840)
    host.got()
    start = host.now
    while not (sent := host.texts()):
        host.let(0.001)
    assert sent == [(4380, 1460)] and abs((host.now - start) / SECOND - 2 * srtt) < 0.003
    host.let(0.03)
    host.say(sack=[(4380, 5840)])
    host.let(0.02)
    assert host.texts()[0][0] == 0  # the probe's answer shows what is missing
    host.unit.call(tcp.check, 0)


def test_rfc_2018_8_what_was_sacked_is_kept_until_it_is_acknowledged():
    host = Open()
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
    host.unit.call(tcp.check, 0)


def test_sack_blocks_of_single_bytes_make_few_flights():
    host = Open()
    host.write(0, b"x" * 14600)
    host.got()
    for at in range(1, 14000, 8):
        host.say(sack=[(at, at + 1), (at + 2, at + 3), (at + 4, at + 5)])
        host.unit.call(tcp.check, 0)
    host.frames()
    assert host.unit.call(tcp.connection.flights.in_use) < 40


@pytest.mark.parametrize("blocks", [[(5, 2)], [(-100, 100)], [(0, 20000)], [(14600, 14601)], [(-50, -20)], [(0, 0)]])
def test_rfc_2018_3_blocks_that_cannot_be_true(blocks):
    host = Open()
    host.write(0, b"x" * 14600)
    host.got()
    for _ in range(5):
        host.say(sack=blocks)
    assert host.c.sacked == 0
    host.unit.call(tcp.check, 0)


def test_rfc_9438_4_6_the_window_after_a_loss():
    host = Open()
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


# Ending


def test_rfc_9293_3_6_half_closed():
    host = Open()
    host.unit.call(tcp.shut, 0, host.now)
    assert host.one()["flags"] == FIN | ACK
    host.mine += 1
    host.say()
    assert host.state(0) == State.FIN_WAIT_2.value
    host.hear(b"still talking")
    assert host.read(0) == b"still talking"
    host.say(ACK | FIN)
    host.at += 1
    assert host.got()[-1]["acknowledgment"] == host.at
    assert host.unit.call(tcp.time_wait.time_wait_count) == 1


def test_rfc_9293_3_6_both_close_at_once():
    host = Open()
    host.unit.call(tcp.shut, 0, host.now)
    host.got()
    host.say(ACK | FIN)
    host.at += 1
    assert host.state(0) == State.CLOSING.value
    host.mine += 1
    host.got()
    host.say()
    assert host.unit.call(tcp.time_wait.time_wait_count) == 1


def test_text_and_fin_in_one_segment():
    host = Open()
    host.say(ACK | FIN | PSH, b"last words")
    assert host.one()["acknowledgment"] == host.at + 11
    assert host.read(0) == b"last words" and host.state(0) == State.CLOSE_WAIT.value


def test_a_fin_out_of_order_waits_for_the_text_before_it():
    host = Open()
    host.say(ACK | FIN, b"b", at=1)
    assert host.state(0) == State.ESTABLISHED.value
    host.say(ACK, b"a")
    assert host.state(0) == State.CLOSE_WAIT.value and host.read(0) == b"ab"
    assert host.got()[-1]["acknowledgment"] == host.at + 3


def test_a_fin_alone_out_of_order_waits_too():
    host = Open()
    host.say(ACK | FIN, at=1)
    assert host.state(0) == State.ESTABLISHED.value
    host.say(ACK, b"a")
    assert host.state(0) == State.CLOSE_WAIT.value and host.read(0) == b"a"


def test_rfc_2525_2_17_closing_with_unread_text_resets():
    host = Open()
    host.hear(b"unread")
    host.got()
    host.unit.call(tcp.close, 0, False, host.now)
    assert host.one()["flags"] & RST


def test_rfc_1122_4_2_2_13_text_after_close_resets():
    host = Open()
    host.unit.call(tcp.close, 0, False, host.now)
    host.got()
    host.mine += 1
    host.say()
    host.say(ACK, b"anybody there?")
    assert host.one()["flags"] & RST
    assert host.unit.get(tcp.forgotten) == 1


def test_fin_wait_2_without_a_program_ends():
    host = Open()
    host.unit.call(tcp.close, 0, False, host.now)
    host.got()
    host.mine += 1
    host.say()
    host.let(59)
    assert host.unit.get(tcp.forgotten) == 0
    host.let(2)
    assert host.unit.get(tcp.forgotten) == 1


def test_rfc_9293_3_10_5_abort():
    host = Open()
    host.write(0, b"x" * 100)
    host.got()
    host.unit.call(tcp.close, 0, True, host.now)
    answer = host.one()
    assert answer["flags"] & RST and (answer["sequence"] - host.mine) % 2**32 == 100


def test_closing_sends_what_was_written():
    host = Open(window=3000)
    host.write(0, b"x" * 5000)
    host.unit.call(tcp.close, 0, False, host.now)
    assert sum(length for _, length in host.texts()) <= 3000
    host.say(ack=2920)
    host.say(ack=2920)
    sent = host.got()
    assert sent[-1]["flags"] & FIN and (sent[-1]["sequence"] - host.mine) % 2**32 + len(sent[-1]["text"]) == 5000


# Keep-alive


def test_rfc_9293_3_8_4_keep_alive():
    host = Open()
    host.set(1, 10 * SECOND)
    host.let(9)
    host.none()
    host.let(1.1)
    probe = host.one()
    assert (probe["sequence"] - host.mine) % 2**32 == 2**32 - 1 and probe["text"] == b""
    host.say()
    host.let(9.5)
    host.none()
    probes = 0
    for _ in range(60):
        host.let(1)
        probes += len([each for each in host.got() if not each["flags"] & RST])
    assert probes == 3 and (host.state(0), host.c.error) == (State.CLOSED.value, errno.ETIMEDOUT)


def test_rfc_9293_3_8_4_a_probe_is_answered():
    host = Open()
    host.say(ACK, at=-1)
    assert host.one()["acknowledgment"] == host.at
    host.let(1)
    host.say(ACK, b"x", at=-1)
    assert host.one()["acknowledgment"] == host.at
