"""TCP in a whole host: listeners, half-open connections, cookies, TIME-WAIT, ports, resets, ICMP. By sections."""

import random
import struct
from itertools import pairwise

import pytest

from goanna.kernel.base import errno
from goanna.kernel.net.tcp import connection, listener, time_wait
from goanna.metal import jit
from tests.kernel.net import host as hosts
from tests.kernel.net.host import ether, ip4
from tests.kernel.net.machine import free
from tests.kernel.net.tcp import host as tcp
from tests.kernel.net.tcp.host import ACK, FIN, PSH, RST, SYN, TCP_ROOTS, State, TcpHost, tcp_hooks

with tcp_hooks():
    unit = jit(*TCP_ROOTS)

MSS = b"\2\4\x05\xb4"
ALL = MSS + b"\1\1\4\2" + b"\1\1\x08\x0a" + struct.pack(">II", 1000, 0) + b"\1\3\3\7"


def stamp(value, echo):
    return b"\1\1\x08\x0a" + struct.pack(">II", value % 2**32, echo % 2**32)


@pytest.fixture
def host():
    made = TcpHost(unit)
    made.add("10.0.0.1/24")
    made.let(5)
    made.greet()
    assert made.call(tcp.listen, 0, "0.0.0.0", 80, 16) == 0
    return made


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
    for cache in (connection.connections.in_use, listener.half_opens.in_use, connection.flights.in_use):
        assert host.unit.call(cache) == 0
    assert free(host.unit) == 0


def test_rfc_9293_3_5_the_handshake_and_a_conversation(host):
    first = shake(host)
    host.none()
    assert host.unit.call(tcp.accept, 0, 0)
    assert host.state(0) == State.ESTABLISHED.value
    host.segment(4000, 80, 1001, first, ACK | PSH, b"GET /")
    assert host.one()["acknowledgment"] == 1006
    assert host.read(0) == b"GET /"
    assert host.write(0, b"200 OK") == 6
    answer = host.one()
    assert (answer["text"], answer["sequence"], answer["flags"]) == (b"200 OK", first, ACK | PSH)
    host.segment(4000, 80, 1006, first + 6, ACK | FIN)
    assert host.one()["acknowledgment"] == 1007 and host.state(0) == State.CLOSE_WAIT.value
    host.unit.call(tcp.close, 0, False, host.now)
    assert host.one()["flags"] == FIN | ACK
    host.segment(4000, 80, 1007, first + 7, ACK)
    assert host.unit.get(tcp.forgotten) == 1
    everything_is_free(host)


def test_a_request_and_its_answer_cost_two_segments(host):
    """An acknowledgment rides on the answer once the conversation has begun."""
    first = shake(host)
    host.unit.call(tcp.accept, 0, 0)
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
    assert host.unit.call(listener.half_opens.in_use) == 0


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
    assert host.one()["flags"] == RST and not host.unit.call(tcp.accept, 0, 0)


def test_a_reset_ends_a_half_open_connection(host):
    host.segment(4000, 80, 1000, 0, SYN, options=MSS)
    host.got()
    host.segment(4000, 80, 1005, 0, RST)
    assert host.unit.call(listener.half_opens.in_use) == 1
    host.segment(4000, 80, 1001, 0, RST)
    assert host.unit.call(listener.half_opens.in_use) == 0


def test_rfc_4987_3_6_a_flood_of_syns_is_answered_by_cookies(host):
    """A flood takes bounded memory, and whoever means it gets in."""
    for port in range(2000):
        host.segment(1024 + port, 80, port * 77, 0, SYN, options=MSS, peer=f"10.0.0.{port % 200 + 3}")
        host.frames()
    assert host.unit.call(listener.half_opens.in_use) <= 16
    host.segment(999, 80, 5000, 0, SYN, options=ALL)
    answer = host.one()
    value, echo = struct.unpack(">II", answer["options"][8])
    assert echo == 1000 and 3 in answer["options"]
    host.let(3)
    host.frames()
    host.segment(999, 80, 5001, answer["sequence"] + 1, ACK | PSH, b"hello", options=stamp(1001, value))
    assert host.unit.call(tcp.accept, 0, 0)
    made = host.connection(0)
    assert (made.sack, made.send_scale, made.peer_mss, made.stamps) == (True, 7, 1460, True)
    assert host.read(0) == b"hello"


@pytest.mark.parametrize("wrong", ["sequence", "acknowledgment", "port", "late", "never"])
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
    sequence = 5001 + (wrong == "sequence")
    host.segment(port, 80, sequence, cookie + 1 + (wrong == "acknowledgment"), ACK)
    assert host.one()["flags"] == RST and not host.unit.call(tcp.accept, 0, 0)


def test_a_full_accept_queue_takes_no_more(host):
    for port in range(17):
        shake(host, 5000 + port)
    host.segment(6000, 80, 1000, 0, SYN, options=MSS)
    host.none()  # the other side will try again
    assert host.unit.call(tcp.accept, 0, 0)
    host.segment(6000, 80, 1000, 0, SYN, options=MSS)
    assert host.one()["flags"] == SYN | ACK


def test_closing_a_listener_resets_what_was_not_accepted(host):
    shake(host)
    host.segment(4001, 80, 1000, 0, SYN, options=MSS)
    host.got()
    host.unit.call(tcp.close_listener, 0, host.now)
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
    assert all(abs(step - 250_000) < 100 for step in steps)
    others = []
    for port in range(4100, 4108):
        host.segment(port, 80, 1000, 0, SYN, options=MSS)
        others.append(host.one()["sequence"])
    gaps = [(b - a) % 2**32 for a, b in pairwise(others)]
    assert len({gap >> 16 for gap in gaps}) == len(gaps)


def finished(host, port=4000, options=MSS):
    """A connection that the host has closed first, in TIME-WAIT: the next sequence numbers of both."""
    first = shake(host, port, options)
    assert host.unit.call(tcp.accept, 0, 0)
    extra = (lambda n: stamp(n, 0)) if options is ALL else (lambda n: b"")
    host.unit.call(tcp.close, 0, False, host.now)
    assert host.one()["flags"] == FIN | ACK
    host.segment(port, 80, 1001, first + 1, ACK, options=extra(1002))
    host.segment(port, 80, 1001, first + 1, ACK | FIN, options=extra(1003))
    assert host.one()["acknowledgment"] == 1002
    assert host.unit.call(time_wait.time_wait_count) == 1
    return first + 1


def test_rfc_9293_3_4_2_time_wait(host):
    mine = finished(host)
    assert host.unit.call(connection.connections.in_use) == 0
    host.let(50)
    host.greet()
    host.segment(4000, 80, 1001, mine, ACK | FIN)  # our last acknowledgment was lost
    answer = host.one()
    assert (answer["flags"], answer["acknowledgment"], answer["sequence"]) == (ACK, 1002, mine)
    host.let(59)
    assert host.unit.call(time_wait.time_wait_count) == 1
    host.let(2)
    assert host.unit.call(time_wait.time_wait_count) == 0


def test_rfc_1337_a_reset_does_not_end_time_wait(host):
    finished(host)
    host.segment(4000, 80, 1002, 0, RST)
    assert host.unit.call(time_wait.time_wait_count) == 1


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


def test_time_wait_takes_bounded_memory(host):
    host.unit.set(time_wait.limit, 100)
    for port in range(300):
        finished_ports(host, 5000 + port)
    assert host.unit.call(time_wait.time_wait_count) == 100
    host.let(61)
    assert host.unit.call(time_wait.time_wait_count) == 0
    everything_is_free(host)


def finished_ports(host, port):
    first = shake(host, port)
    assert host.unit.call(tcp.accept, 0, 0)
    host.unit.call(tcp.close, 0, False, host.now)
    host.segment(port, 80, 1001, first + 1, ACK | FIN)
    host.got()


def test_rfc_9293_3_10_1_opening(host):
    assert host.call(tcp.open_to, 0, "10.0.0.2", 7, host.now) == 0
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
        assert host.call(tcp.open_to, number, "10.0.0.2", 7, host.now) == 0
        ports.append(host.one()["source"])
    assert len(set(ports)) == 20
    assert host.call(tcp.open_to, 20, "10.0.0.2", 8, host.now) == 0
    assert abs(host.one()["source"] - ports[-1]) > 20  # another target, another place to begin


@pytest.mark.parametrize(("acknowledgment", "ends"), [(1, True), (0, False), (2, False)])
def test_rfc_9293_3_10_7_3_a_reset_in_syn_sent(host, acknowledgment, ends):
    host.call(tcp.open_to, 0, "10.0.0.2", 7, host.now)
    syn = host.one()
    host.segment(7, syn["source"], 0, syn["sequence"] + acknowledgment, RST | ACK)
    assert (host.state(0) == State.CLOSED.value) == ends
    assert host.connection(0).error == (errno.ECONNREFUSED if ends else 0)


def test_a_syn_that_nobody_answers(host):
    host.call(tcp.open_to, 0, "10.0.0.2", 7, host.now)
    start, times = host.now, [0.0] * len(host.got())
    for _ in range(700):
        host.let(0.2)
        if host.now - start > 4e9 and (host.now - start) // 10**9 % 4 == 0:
            host.greet()
        times += [(host.now - start) / 1e9] * len([each for each in host.got() if each["flags"] == SYN])
    assert [round(each) for each in times] == [0, 1, 3, 7, 15, 31, 63]
    assert host.connection(0).error == errno.ETIMEDOUT


def quote(host, source, sequence, remote="10.0.0.2"):
    """What an ICMP error quotes of a segment of ours."""
    return ip4("10.0.0.1", remote, 6, struct.pack(">HHI", source, 7, sequence % 2**32))


def icmp(host, kind, code, rest, quoted):
    data = struct.pack(">BBHI", kind, code, 0, rest) + quoted
    data = data[:2] + struct.pack(">H", hosts.ones(data)) + data[4:]
    host.put(ether(host.mac, 0x020000000002, 0x800, ip4("10.0.0.2", "10.0.0.1", 1, data)))


@pytest.mark.parametrize(("code", "error"), [(0, errno.ENETUNREACH), (1, errno.EHOSTUNREACH), (3, errno.ECONNREFUSED)])
def test_icmp_ends_an_opening_as_on_linux(host, code, error):
    host.call(tcp.open_to, 0, "10.0.0.2", 7, host.now)
    syn = host.one()
    icmp(host, 3, code, 0, quote(host, syn["source"], syn["sequence"] + 1000))  # RFC 5927 4.1: not one of ours
    assert host.state(0) == State.SYN_SENT.value
    icmp(host, 3, code, 0, quote(host, syn["source"], syn["sequence"]))
    assert host.connection(0).error == error


def opened(host, options=MSS + b"\1\3\3\7"):
    host.call(tcp.open_to, 0, "10.0.0.2", 7, host.now)
    syn = host.one()
    host.segment(7, syn["source"], 100, syn["sequence"] + 1, SYN | ACK, options=options)
    host.got()
    return syn["source"], syn["sequence"] + 1


def test_rfc_1122_4_2_3_9_icmp_does_not_end_an_open_connection(host):
    port, first = opened(host)
    host.write(0, b"x" * 100)
    host.got()
    for code in (0, 1, 2, 3, 13):
        icmp(host, 3, code, 0, quote(host, port, first))
    assert host.state(0) == State.ESTABLISHED.value and host.connection(0).error == 0


def test_rfc_1191_6_4_packet_too_big_makes_smaller_segments_at_once(host):
    port, first = opened(host)
    host.write(0, b"x" * 5000)
    assert [len(each["text"]) for each in host.got()] == [1460, 1460, 1460, 620]
    icmp(host, 3, 4, 1000, quote(host, port, first + 70000))  # forged
    host.none()
    icmp(host, 3, 4, 1000, quote(host, port, first))
    sent = host.got()
    assert b"".join(each["text"] for each in sent)[:960] == b"x" * 960 and all(
        len(each["text"]) <= 960 for each in sent
    )
    assert sum(len(each["text"]) for each in sent) == 4380
    host.unit.call(tcp.check, 0)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1"])
def test_a_megabyte_through_loopback(host, address):
    assert host.call(tcp.listen, 1, "::", 443, 16) == 0
    before = free(unit)
    assert host.call(tcp.open_to, 0, address, 443, host.now) == 0
    host.let(0)
    assert host.unit.call(tcp.accept, 1, 1)
    data, got, at = random.Random(3).randbytes(1 << 20), b"", 0
    for _ in range(4000):
        at += host.write(0, data[at : at + 200_000])
        host.let(0)
        got += host.read(1, 300_000)
        host.let(0.0001)
        for number in (0, 1):
            host.unit.call(tcp.check, number)
        if len(got) == len(data):
            break
    assert got == data and host.frames() == []
    for number in (0, 1):
        host.unit.call(tcp.close, number, False, host.now)
    host.let(1)
    assert host.unit.call(connection.connections.in_use) == 0
    assert free(unit) == before == 0
