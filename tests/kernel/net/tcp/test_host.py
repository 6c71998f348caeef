"""TCP in a whole host: listeners, half-open connections, cookies, TIME-WAIT, ports, resets, ICMP. By sections."""

import random
import struct
from itertools import pairwise

import pytest

from goanna.kernel.base import errno
from goanna.kernel.net.tcp import connection, listener, time_wait
from tests.kernel.net.host import ip4
from tests.kernel.net.machine import free
from tests.kernel.net.tcp import host as tcp
from tests.kernel.net.tcp.host import ACK, FIN, PSH, RST, SYN, State
from tests.kernel.net.tcp.rules import MSS, Ours, stamp, unit

ALL = MSS + b"\1\1\4\2" + b"\1\1\x08\x0a" + struct.pack(">II", 1000, 0) + b"\1\3\3\7"


def fresh(make):
    """A host that listens at port 80."""
    made = make()
    made.listen()
    return made


@pytest.fixture
def host(bare_stack):
    return fresh(bare_stack)


@pytest.fixture
def ours():
    return fresh(Ours)


def shake(host, port=4000, options=MSS, sequence=1000):
    """A handshake by the peer; the host's first sequence number."""
    host.segment(port, 80, sequence, 0, SYN, options=options)
    answer = host.one()
    assert answer["flags"] == SYN | ACK and answer["acknowledgment"] == sequence + 1
    extra = b""
    if 8 in answer["options"]:
        value, echo = struct.unpack(">II", answer["options"][8])
        assert echo == 1000
        extra = stamp(1001, value)
    host.segment(port, 80, sequence + 1, answer["sequence"] + 1, ACK, options=extra)
    return answer["sequence"] + 1


def everything_is_free(host):
    host.frames()
    assert host.gone()
    if not host.ours:
        return
    for cache in (connection.connections.in_use, listener.half_opens.in_use, connection.flights.in_use):
        assert host.unit.call(cache) == 0
    assert free(host.unit) == 0


def test_rfc_9293_3_5_the_handshake_and_a_conversation(host):
    first = shake(host)
    host.none()
    assert host.accept()
    assert host.state(0) == State.ESTABLISHED.value
    host.segment(4000, 80, 1001, first, ACK | PSH, b"GET /")
    assert host.one()["acknowledgment"] == 1006
    assert host.read(0) == b"GET /"
    assert host.write(0, b"200 OK") == 6
    answer = host.one()
    assert (answer["text"], answer["sequence"], answer["flags"]) == (b"200 OK", first, ACK | PSH)
    host.segment(4000, 80, 1006, first + 6, ACK | FIN)
    host.let(0.06)
    assert host.one()["acknowledgment"] == 1007 and host.state(0) == State.CLOSE_WAIT.value
    host.close(0)
    assert host.one()["flags"] == FIN | ACK
    host.segment(4000, 80, 1007, first + 7, ACK)
    assert host.gone()
    everything_is_free(host)


def test_a_request_and_its_answer_cost_two_segments(host):
    """An acknowledgment rides on the answer once the conversation has begun."""
    first = shake(host)
    host.accept()
    at, mine = 1001, first
    for turn in range(5):
        host.segment(4000, 80, at, mine, ACK | PSH, b"GET /")
        at += 5
        if turn == 0:
            assert host.one()["text"] == b""
        assert host.read(0) == b"GET /"
        host.write(0, b"200 OK")
        answer = host.one()
        assert answer["text"] == b"200 OK" and answer["acknowledgment"] == at
        mine += 6


def test_rfc_7323_options_are_agreed_on(host):
    host.segment(4000, 80, 1000, 0, SYN, options=ALL)
    answer = host.one()
    assert set(answer["options"]) == {2, 3, 4, 8} and answer["options"][2] == b"\x05\xb4"
    host.segment(4001, 80, 1000, 0, SYN, options=MSS)
    assert set(host.one()["options"]) == {2}


@pytest.mark.slow(80)
def test_a_lost_syn_ack_is_sent_again(host):
    host.segment(4000, 80, 1000, 0, SYN, options=MSS)
    first = host.one()
    host.segment(4000, 80, 1000, 0, SYN, options=MSS)
    assert host.one()["sequence"] == first["sequence"]
    times, start = [], host.now
    for _ in range(800):
        host.let(0.1)
        times += [(host.now - start) / 1e9] * len(host.got())
        host.greet()
    assert [round(each) for each in times] == [1, 3, 7, 15, 31]  # RFC 6298 5.5
    assert host.half_opens() == 0


def test_rfc_9293_3_10_7_1_nobody_listens(host):
    host.segment(4000, 81, 1000, 0, SYN)
    answer = host.one()
    assert (answer["flags"], answer["sequence"], answer["acknowledgment"]) == (RST | ACK, 0, 1001)
    host.segment(4000, 81, 1000, 77, ACK)
    answer = host.one()
    assert (answer["flags"], answer["sequence"]) == (RST, 77)
    host.segment(4000, 81, 1000, 77, RST)
    host.none()
    host.segment(4000, 80, 1000, 77, ACK)  # 3.10.7.2: at a listener too
    assert host.one()["flags"] == RST


@pytest.mark.parametrize("bad", [-1, 1, 1000])
def test_rfc_9293_3_10_7_4_a_wrong_acknowledgment_ends_no_handshake(host, bad):
    host.segment(4000, 80, 1000, 0, SYN, options=MSS)
    answer = host.one()
    host.segment(4000, 80, 1001, answer["sequence"] + 1 + bad, ACK)
    assert host.one()["flags"] == RST and not host.accept()


def test_a_reset_ends_a_half_open_connection(host):
    host.segment(4000, 80, 1000, 0, SYN, options=MSS)
    host.got()
    host.segment(4000, 80, 1005, 0, RST)
    assert host.half_opens() == 1
    host.segment(4000, 80, 1001, 0, RST)
    assert host.half_opens() == 0


def test_rfc_4987_3_6_a_flood_of_syns_is_answered_by_cookies(host):
    """A flood takes bounded memory, and whoever means it gets in."""
    for port in range(2000):
        host.segment(1024 + port, 80, port * 77, 0, SYN, options=MSS, peer=f"10.0.0.{port % 200 + 3}")
        host.frames()
    assert host.half_opens() <= 17
    host.segment(999, 80, 5000, 0, SYN, options=ALL)
    answer = host.one()
    value, echo = struct.unpack(">II", answer["options"][8])
    assert echo == 1000 and 3 in answer["options"]
    host.let(3)
    host.frames()
    host.segment(999, 80, 5001, answer["sequence"] + 1, ACK | PSH, b"hello", options=stamp(1001, value))
    assert host.accept()
    if host.ours:
        made = host.connection(0)
        assert (made.sack, made.send_scale, made.peer_mss, made.stamps) == (True, 7, 1460, True)
    assert host.read(0) == b"hello"


@pytest.mark.parametrize(
    "wrong", ["sequence", "acknowledgment", "port", pytest.param("late", marks=pytest.mark.slow(200)), "never"]
)
def test_cookies_are_not_guessed(host, wrong):
    if wrong != "never":
        for port in range(20):
            host.segment(1024 + port, 80, port * 77, 0, SYN, options=MSS)
    host.got()
    host.segment(999, 80, 5000, 0, SYN, options=MSS)
    cookie = host.one()["sequence"]
    if wrong == "never":
        host.segment(999, 80, 5001, 0, RST)
    if wrong == "late":
        host.let(200)
        host.frames()
        host.greet()
    port = 998 if wrong == "port" else 999
    sequence = 5001 + 100_000 * (wrong == "sequence")  # nearer, Linux takes it for another MSS
    host.segment(port, 80, sequence, cookie + 1 + (wrong == "acknowledgment"), ACK)
    assert host.one()["flags"] == RST and not host.accept()


def test_a_full_accept_queue_takes_no_more(host):
    for port in range(17):
        shake(host, 5000 + port)
    host.segment(6000, 80, 1000, 0, SYN, options=MSS)
    host.none()  # the other side will try again
    assert host.accept()
    host.segment(6000, 80, 1000, 0, SYN, options=MSS)
    assert host.one()["flags"] == SYN | ACK


def test_closing_a_listener_resets_what_was_not_accepted(host):
    shake(host)
    host.segment(4001, 80, 1000, 0, SYN, options=MSS)
    host.got()
    host.close_listener()
    assert host.one()["flags"] & RST
    host.segment(4001, 80, 1001, 1, ACK)
    assert host.one()["flags"] == RST
    everything_is_free(host)


def test_rfc_6528_initial_sequence_numbers(host):
    """They follow a clock for one pair of ends, and tell nothing of another pair's."""
    seen = []
    for turn in range(4):
        host.segment(4000, 80, 1000 + turn, 0, SYN, options=MSS)
        seen.append(host.one()["sequence"])
        host.segment(4000, 80, 1001 + turn, 0, RST)
        host.let(1)
    steps = [(b - a) % 2**32 for a, b in pairwise(seen)]
    rate = 250_000 if host.ours else 1_000_000_000 // 64  # Linux's clock ticks every 64 ns, not every 4 us
    assert all(abs(step - rate) < (100 if host.ours else rate // 2) for step in steps)
    others = []
    for port in range(4100, 4108):
        host.segment(port, 80, 1000, 0, SYN, options=MSS)
        others.append(host.one()["sequence"])
    gaps = [(b - a) % 2**32 for a, b in pairwise(others)]
    assert len({gap >> 16 for gap in gaps}) == len(gaps)


def finished(host, port=4000, options=MSS):
    """A connection that the host has closed first, in TIME-WAIT: the next sequence numbers of both."""
    first = shake(host, port, options)
    assert host.accept()
    extra = (lambda n: stamp(n, 0)) if options is ALL else (lambda n: b"")
    host.close(0)
    assert host.one()["flags"] == FIN | ACK
    host.segment(port, 80, 1001, first + 1, ACK, options=extra(1002))
    host.segment(port, 80, 1001, first + 1, ACK | FIN, options=extra(1003))
    assert host.one()["acknowledgment"] == 1002
    assert host.time_waits() == 1
    return first + 1


@pytest.mark.slow(112)
def test_rfc_9293_3_4_2_time_wait(host):
    mine = finished(host)
    assert host.gone()
    host.let(50)
    host.greet()
    host.segment(4000, 80, 1001, mine, ACK | FIN)  # our last acknowledgment was lost
    answer = host.one()
    assert (answer["flags"], answer["acknowledgment"], answer["sequence"]) == (ACK, 1002, mine)
    host.let(59)
    assert host.time_waits() == 1
    host.let(2)
    assert host.time_waits() == 0


def test_rfc_1337_a_reset_does_not_end_time_wait(host):
    finished(host)
    host.segment(4000, 80, 1002, 0, RST)
    assert host.time_waits() == 1


@pytest.mark.parametrize(("sequence", "anew"), [(1000, False), (1003, True), (90000, True)])
def test_rfc_9293_3_10_7_4_a_new_connection_out_of_time_wait(host, sequence, anew):
    mine = finished(host)
    host.segment(4000, 80, sequence, 0, SYN, options=MSS)
    answer = host.one()
    if anew:
        assert answer["flags"] == SYN | ACK and 0 < (answer["sequence"] - mine) % 2**32 < 2**31
    else:
        assert answer["flags"] == ACK and answer["acknowledgment"] == 1002


@pytest.mark.parametrize(("value", "anew"), [(1000, False), (2000, True)])
def test_rfc_6191_a_newer_timestamp_begins_anew(host, value, anew):
    finished(host, options=ALL)
    options = MSS + b"\1\1\4\2" + stamp(value, 0) + b"\1\3\3\7"
    host.segment(4000, 80, 500, 0, SYN, options=options)
    assert (host.one()["flags"] == SYN | ACK) == anew


def test_time_wait_takes_bounded_memory(ours):
    ours.unit.set(time_wait.limit, 100)
    for port in range(300):
        finished_ports(ours, 5000 + port)
    assert ours.time_waits() == 100
    ours.let(61)
    assert ours.time_waits() == 0
    everything_is_free(ours)


def finished_ports(host, port):
    first = shake(host, port)
    assert host.accept()
    host.close(0)
    host.segment(port, 80, 1001, first + 1, ACK | FIN)
    host.got()


def test_rfc_9293_3_10_1_opening(host):
    host.open_to(0, 7)
    syn = host.one()
    assert syn["flags"] == SYN and set(syn["options"]) == {2, 3, 4, 8} and 32768 <= syn["source"] <= 60999
    value, _ = struct.unpack(">II", syn["options"][8])
    options = MSS + b"\1\1\4\2" + stamp(5, value) + b"\1\3\3\7"
    host.segment(7, syn["source"], 100, syn["sequence"] + 1, SYN | ACK, options=options)
    answer = host.one()
    assert (answer["flags"], answer["acknowledgment"]) == (ACK, 101) and host.state(0) == State.ESTABLISHED.value


def test_rfc_6056_ports_of_connections(host):
    ports = []
    for number in range(20):
        host.open_to(number, 7)
        ports.append(host.one()["source"])
    assert len(set(ports)) == 20
    host.open_to(20, 8)
    assert abs(host.one()["source"] - ports[-1]) > 20  # another target, another place to begin


@pytest.mark.parametrize(("acknowledgment", "ends"), [(1, True), (0, False), (2, False)])
def test_rfc_9293_3_10_7_3_a_reset_in_syn_sent(host, acknowledgment, ends):
    host.open_to(0, 7)
    syn = host.one()
    host.segment(7, syn["source"], 0, syn["sequence"] + acknowledgment, RST | ACK)
    assert (host.state(0) == State.CLOSED.value) == ends
    assert host.error(0) == (errno.ECONNREFUSED if ends else 0)


@pytest.mark.slow(140)
def test_a_syn_that_nobody_answers(host):
    host.open_to(0, 7)
    start, times = host.now, [0.0] * len(host.got())
    for _ in range(700):
        host.let(0.2)
        if host.now - start > 4e9 and (host.now - start) // 10**9 % 4 == 0:
            host.greet()
        times += [(host.now - start) / 1e9] * len([each for each in host.got() if each["flags"] == SYN])
    assert [round(each) for each in times] == [0, 1, 3, 7, 15, 31, 63]
    assert host.error(0) == errno.ETIMEDOUT


def quote(host, source, sequence, remote="10.0.0.2"):
    """What an ICMP error quotes of a segment of ours."""
    return ip4("10.0.0.1", remote, 6, struct.pack(">HHI", source, 7, sequence % 2**32))


@pytest.mark.parametrize(("code", "error"), [(0, errno.ENETUNREACH), (1, errno.EHOSTUNREACH), (3, errno.ECONNREFUSED)])
def test_icmp_ends_an_opening_as_on_linux(host, code, error):
    host.open_to(0, 7)
    syn = host.one()
    host.icmp(3, code, 0, quote(host, syn["source"], syn["sequence"] + 1000))  # RFC 5927 4.1: not one of ours
    assert host.state(0) == State.SYN_SENT.value
    host.icmp(3, code, 0, quote(host, syn["source"], syn["sequence"]))
    assert host.error(0) == error


def opened(host, options=MSS + b"\1\3\3\7"):
    host.open_to(0, 7)
    syn = host.one()
    host.segment(7, syn["source"], 100, syn["sequence"] + 1, SYN | ACK, options=options)
    host.got()
    return syn["source"], syn["sequence"] + 1


def test_rfc_1122_4_2_3_9_icmp_does_not_end_an_open_connection(host):
    port, first = opened(host)
    host.write(0, b"x" * 100)
    host.got()
    for code in (0, 1, 2, 3, 13):
        host.icmp(3, code, 0, quote(host, port, first))
    assert host.state(0) == State.ESTABLISHED.value
    host.segment(7, port, 101, first, ACK, b"still there")
    assert host.read(0) == b"still there"


def test_rfc_1191_6_4_packet_too_big_makes_smaller_segments_at_once(host):
    port, first = opened(host)
    host.write(0, b"x" * 5000)
    assert [len(each["text"]) for each in host.got()] == [1460, 1460, 1460, 620]
    host.icmp(3, 4, 1000, quote(host, port, first + 70000))  # forged
    host.none()
    host.icmp(3, 4, 1000, quote(host, port, first))
    sent = host.got()
    assert b"".join(each["text"] for each in sent)[:960] == b"x" * 960 and all(
        len(each["text"]) <= 960 for each in sent
    )
    assert sum(len(each["text"]) for each in sent) == (4380 if host.ours else 5000)  # Linux sends all of it again
    host.check()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1"])
def test_a_megabyte_through_loopback(ours, address):
    assert ours.call(tcp.listen, 1, "::", 443, 16) == 0
    before = free(unit)
    assert ours.call(tcp.open_to, 0, address, 443, ours.now) == 0
    ours.let(0)
    assert ours.unit.call(tcp.accept, 1, 1)
    data, got, at = random.Random(3).randbytes(1 << 20), b"", 0
    for _ in range(4000):
        at += ours.write(0, data[at : at + 200_000])
        ours.let(0)
        got += ours.read(1, 300_000)
        ours.let(0.0001)
        for number in (0, 1):
            ours.unit.call(tcp.check, number)
        if len(got) == len(data):
            break
    assert got == data and ours.frames() == []
    for number in (0, 1):
        ours.unit.call(tcp.close, number, False, ours.now)
    ours.let(1)
    assert ours.gone()
    assert free(unit) == before == 0
