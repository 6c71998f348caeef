"""What TCP costs, without a device: requests and bulk text through loopback, all in one compiled loop.

    python -m tests.kernel.net.tcp.bench [TURNS]

Prints nanoseconds for each request with its answer, and for each 16,000 bytes of bulk text, on this computer. To count
instructions, run it twice under `valgrind --tool=cachegrind --cache-sim=no` with different TURNS, and divide.
"""

import sys
import time

from goanna.kernel.net import ip_input, packet
from goanna.kernel.net.tcp import arrive, calls, connection, receive, timers
from goanna.metal import jit, metal, u32, u64
from tests.kernel.net.tcp import host as tcp
from tests.kernel.net.tcp.host import TCP_ROOTS, TcpHost, tcp_hooks


@metal
def give(number: u64, size: u32, now: u64) -> None:
    """Write `size` bytes that nobody filled in."""
    c: connection.Connection = tcp.held[number]
    made: packet.Packet = packet.allocate(packet.BUFFER if size <= 1792 else packet.CHUNK, packet.HEADROOM)
    made.extend(size)
    with c.lock:
        calls.write(c, made, now)
        arrive.finish(c, now)


@metal
def swallow(number: u64, now: u64) -> u64:
    """Read everything and drop it."""
    c: connection.Connection = tcp.held[number]
    total: u64 = 0
    with c.lock:
        first = receive.take_received(c)
        while first is not None:
            total += u64(first.total)
            packet.drop(first)
            first = receive.take_received(c)
        receive.after_reading(c, now)
        timers.arm(c, now)
        arrive.finish(c, now)
    return total


@metal
def converse(turns: u64, now: u64) -> u64:
    """So many requests of 100 bytes and answers of 200; the time afterwards."""
    for _ in range(turns):
        now += 20_000
        give(0, 100, now)
        ip_input.receive_looped(now, 100)
        swallow(1, now)
        give(1, 200, now)
        ip_input.receive_looped(now, 100)
        swallow(0, now)
    return now


@metal
def pour(turns: u64, now: u64) -> tuple[u64, u64]:
    """So many pieces of 16,000 bytes one way: the bytes that arrived, and the time afterwards."""
    total: u64 = 0
    for _ in range(turns):
        now += 20_000
        give(0, 16000, now)
        ip_input.receive_looped(now, 100)
        total += swallow(1, now)
        ip_input.receive_looped(now, 100)
    return total, now


def main():
    with tcp_hooks():
        unit = jit(*TCP_ROOTS, give, swallow, converse, pour, optimize=2)
    host = TcpHost(unit)
    assert host.call(tcp.listen, 1, "::", 443, 16) == 0
    assert host.call(tcp.open_to, 0, "127.0.0.1", 443, host.now) == 0
    host.let(0)
    assert host.unit.call(tcp.accept, 1, 1)
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    bulk = len(sys.argv) < 2
    host.now = unit.call(converse, 1000, host.now)
    sent = unit.static(tcp.hosts.network.counters).tcp_received
    start = time.perf_counter()
    host.now = unit.call(converse, turns, host.now)
    took = time.perf_counter() - start
    segments = unit.static(tcp.hosts.network.counters).tcp_received - sent
    print(f"request and answer: {took / turns * 1e9:.0f} ns, {segments / turns:.2f} segments")
    if not bulk:
        return
    start = time.perf_counter()
    total, host.now = unit.call(pour, turns, host.now)
    took = time.perf_counter() - start
    print(f"bulk: {total / took / 1e9:.2f} GB/s, {took / turns * 1e9:.0f} ns for 16,000 bytes")


if __name__ == "__main__":
    main()
