"""Where memory for packets is short: what lets go of it has it first, and a connection that nobody wants goes."""

import random

import pytest

from goanna.kernel.net import packet
from goanna.kernel.net.tcp import connection
from tests.kernel.net.tcp import host as tcp
from tests.kernel.net.tcp.host import ACK, RST, State
from tests.kernel.net.tcp.rules import MSS, Open, talk


def fill(host, sixteenths):
    """Have others hold so much of the memory."""
    limit = host.unit.get(packet.limit)
    while host.unit.get(packet.in_use) <= limit // 16 * sixteenths:
        assert host.unit.call(packet.allocate, packet.BUFFER, 0)


def small(**more):
    host = Open(**more)
    host.unit.call(packet.set_limit, 400_000)
    talk(host)
    return host


def test_text_out_of_order_is_not_kept_where_memory_is_short():
    host = small()
    fill(host, packet.KEPT_FOR_LATER)
    host.say(ACK, b"b" * 1000, at=1000)
    assert "sack" not in host.one() and host.c.run_count == 0
    host.hear(b"a" * 1000)
    assert host.read(0) == b"a" * 1000


def test_rfc_2018_8_text_out_of_order_is_given_up_for_text_that_is_next():
    host = small()
    host.say(ACK, b"b" * 1000, at=1000)
    host.say(ACK, b"d" * 1000, at=3000)
    assert len(host.got()[-1]["sack"]) == 2
    fill(host, packet.TAKEN_IN)
    host.hear(b"a" * 1000)
    host.let(0.05)
    last = host.got()[-1]
    assert last["acknowledgment"] == host.at and "sack" not in last and host.c.run_count == 0
    assert host.read(0) == b"a" * 1000 and host.unit.get(connection.runs_memory) == 0


def test_text_out_of_order_of_all_connections_takes_a_quarter():
    host = small()
    for number in range(200):
        host.say(ACK, b"x" * 1000, at=2000 + 2000 * (number % 20) + number)
        host.frames()
    for port in range(1000, 1020):
        join(host, port)
        for number in range(20):
            host.segment(port, 80, 5001 + 2000 + 1500 * number, host.others[port], ACK, b"y" * 1000)
            host.frames()
    assert host.unit.get(connection.runs_memory) <= 100_000 + 4096


def join(host, port):
    """Another connection of the peer, which says an MSS alone."""
    host.segment(port, 80, 5000, 0, 2, options=MSS)
    host.others = {**getattr(host, "others", {}), port: host.one()["sequence"] + 1}
    host.segment(port, 80, 5001, host.others[port], ACK)
    host.none()
    assert host.unit.call(tcp.accept, 0, port)


def test_every_connection_may_have_one_buffer_where_memory_is_short():
    host = small()
    fill(host, packet.TAKEN_IN)
    for turn in range(20):
        host.hear(bytes([turn]) * 1000)
        assert host.read(0) == bytes([turn]) * 1000
        host.let(0.05)
        assert host.got()[-1]["acknowledgment"] == host.at
    host.hear(b"kept")
    host.say(ACK, b"lost" * 200)
    assert host.read(0) == b"kept"


def test_windows_are_small_where_memory_is_scarce():
    host = small(options=MSS)
    before = host.c.receive_edge - host.at
    fill(host, packet.WRITTEN)
    edge = host.c.receive_edge
    while host.c.receive_edge == edge:  # what was offered stands
        host.hear(b"x" * 1000)
        host.let(0.05)
        host.read(0)
        host.got()
    assert host.c.receive_edge - host.at <= 4 * 1460 < before


def test_running_out_of_our_own_memory_is_no_loss():
    """What can't be sent for want of memory is tried again, and does not count for giving up."""
    host = small()
    host.write(0, b"x" * 5000)
    host.got()
    host.let(0)
    limit = host.unit.get(packet.limit)
    host.unit.call(packet.set_limit, 0)
    while host.unit.call(packet.allocate, packet.SHORT, 0):
        pass
    host.let(3000)
    assert host.state(0) == State.ESTABLISHED.value and host.c.backoff == 0
    host.unit.call(packet.set_limit, limit)
    host.greet()
    host.let(2)
    assert host.texts()[0][0] == 0
    host.say(ack=5000)
    assert host.c.send_una == host.c.send_next


@pytest.mark.parametrize("answered", [False, True])
def test_an_orphan_whose_window_stays_closed_ends(answered):
    """A peer may not hold for ever what a program has left."""
    host = Open()
    host.say(window=0)
    host.write(0, b"x" * 1000)
    host.unit.call(tcp.close, 0, False, host.now)
    for _ in range(600):
        host.let(1)
        if host.got() and answered:
            host.say(window=0)
    assert host.unit.get(tcp.forgotten) == 1 and host.unit.get(connection.orphans) == 0


def test_orphans_go_first_where_memory_is_short():
    host = small()
    host.say(window=0)
    host.write(0, b"x" * 1000)
    host.unit.call(tcp.close, 0, False, host.now)
    host.got()
    assert host.unit.get(connection.orphans) == 1
    fill(host, packet.FOR_PROGRAMS)
    host.let(1)
    assert host.got()[-1]["flags"] & RST and host.unit.get(tcp.forgotten) == 1
    assert host.unit.get(connection.orphans) == 0


def test_closing_with_text_left_is_a_reset_where_memory_is_short():
    host = small()
    host.write(0, b"x" * 1000)
    host.got()
    fill(host, packet.FOR_PROGRAMS)
    host.unit.call(tcp.close, 0, False, host.now)
    assert host.one()["flags"] & RST and host.unit.get(tcp.forgotten) == 1


def test_the_memory_that_lies_ready_is_a_part_of_the_limit():
    host = Open()
    host.unit.call(packet.set_limit, 1 << 20)
    made = [host.unit.call(packet.allocate, random.Random(n).choice((0, 1, 2)), 0) for n in range(200)]
    for each in made:
        if each:
            host.unit.call(packet.drop, each)
    assert host.unit.get(packet.in_use) <= 3 * (1 << 20) // 32 + 16384 * 8
