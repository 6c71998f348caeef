"""Two whole hosts on one Ethernet that loses frames: from asking for link addresses to the last acknowledgment."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.base import errno
from goanna.kernel.net.tcp import connection
from goanna.metal import jit
from tests.kernel.net import host as hosts
from tests.kernel.net.host import SECOND, Host
from tests.kernel.net.machine import free
from tests.kernel.net.tcp import host as tcp
from tests.kernel.net.tcp.host import TCP_ROOTS, State, tcp_hooks

with tcp_hooks():
    units = jit(*TCP_ROOTS), jit(*TCP_ROOTS)


class Lan:
    """Two hosts, and frames between them that take a millisecond."""

    def __init__(self, seed=0, loss=0.0, mtu=1500):
        self.chance, self.loss = random.Random(seed), loss
        self.hosts = [Host(unit, 0x020000000001 + n, mtu, memory=32 << 20) for n, unit in enumerate(units)]
        for n, each in enumerate(self.hosts):
            assert each.unit.call(tcp.begin_tcp, 1)
            each.add(f"10.0.0.{n + 1}/24")
            each.add(f"2001:db8::{n + 1}/64")
        self.wire = []

    def step(self, seconds=0.001):
        """A millisecond: what was sent arrives, what is due is done."""
        arriving, self.wire = self.wire, []
        for each in self.hosts:
            each.now += int(seconds * SECOND)
        for number, frame in arriving:
            self.hosts[1 - number].put(frame)
        for number, each in enumerate(self.hosts):
            each.unit.call(tcp.tcp_timers, each.now)
            each.unit.call(hosts.timers, each.now)
            for frame in each.frames():
                assert len(frame) <= 14 + 9000
                if self.chance.random() >= self.loss:
                    self.wire.append((number, frame))

    def read(self, number):
        out = bytearray(200_000)
        host = self.hosts[number]
        return bytes(out[: host.unit.call(tcp.read, 0, out, host.now)])

    def write(self, number, data):
        host = self.hosts[number]
        return host.unit.call(tcp.write, 0, bytes(data), host.now)

    def state(self, number):
        return self.hosts[number].unit.call(tcp.connection_of, 0).state


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0, 0.02, 0.1]),
    mtu=st.sampled_from([1280, 1500, 9000]),
    address=st.sampled_from(["10.0.0.2", "2001:db8::2"]),
)
def test_a_transfer_from_the_first_frame_to_the_last(seed, loss, mtu, address):
    lan = Lan(seed, loss, mtu)
    client, server = lan.hosts
    assert server.call(tcp.listen, 0, "::", 80, 16) == 0
    assert client.call(tcp.open_to, 0, address, 80, client.now) == 0
    for _ in range(60_000):
        lan.step()
        if lan.state(0) == State.ESTABLISHED.value and server.unit.call(tcp.accept, 0, 0):
            break
    data, got, at = random.Random(seed).randbytes(200_000), b"", 0
    for _ in range(60_000):
        at += lan.write(0, data[at : at + 50_000])
        lan.step()
        got += lan.read(1)
        if len(got) == len(data):
            break
    assert got == data
    for each in lan.hosts:
        each.unit.call(tcp.close, 0, False, each.now)
    for turn in range(400):
        lan.step(0.001 if turn < 200 else 2)
    for each in lan.hosts:
        assert each.unit.call(connection.connections.in_use) == 0
        each.frames()
        assert free(each.unit) == 0


@pytest.mark.parametrize("address", ["10.0.0.2", "2001:db8::2"])
@pytest.mark.parametrize("size", [100, 3000, 60000])
def test_datagrams_whole_and_in_fragments(address, size):
    lan = Lan()
    a, b = lan.hosts
    any_address = "0.0.0.0" if "." in address else "::"
    assert a.bind(0, any_address, 1000) == 0 and b.bind(0, any_address, 2000) == 0
    data = random.Random(size).randbytes(size)
    assert a.send(0, data, address, 2000) == 0
    for _ in range(10):
        lan.step()
    source = address[:-1] + "1"
    assert b.receive(0) == (data, source, 1000)


def test_nobody_listens():
    lan = Lan()
    client = lan.hosts[0]
    assert client.call(tcp.open_to, 0, "10.0.0.2", 81, client.now) == 0
    for _ in range(10):
        lan.step()
    assert lan.state(0) == State.CLOSED.value


def test_nobody_is_there():
    lan = Lan()
    client = lan.hosts[0]
    assert client.call(tcp.open_to, 0, "10.0.0.9", 81, client.now) == 0
    for _ in range(500):
        lan.step(0.01)
    made = client.unit.call(tcp.connection_of, 0)
    assert (made.state, made.error) == (State.CLOSED.value, errno.EHOSTUNREACH)
