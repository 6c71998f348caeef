"""What the network does beside the comparison Linux's: the same program in the same QEMU, on its user network.

Rates are taken in turn, several times a few seconds, and their medians stand; what else this computer does hits both.
Instructions are counted by QEMU (`-icount shift=0`), over loads of one thing at a time, so that little varies.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from benchmarks import network_load as load
from benchmarks.network_peers import Peer, peers
from benchmarks.result import Measurement

ROUNDS = 3
SECONDS = 4  # of each load that goes by time
REQUESTS_TARGET = 2.0  # times Linux's, at as many connections:
TARGET_CONNECTIONS = 16
BULK = 32_000_000  # bytes
COUNTED_REQUESTS = 1600
COUNTED_DATAGRAMS = 2000
COUNTED_BULK = 2_000_000
IDLE = 10_000

T = TypeVar("T")


def network_rates(folder: Path) -> Iterator[Measurement]:
    """Requests, connections, bytes and datagrams a second, and how long requests take."""
    with peers(folder) as (machines, missing):
        if load.has_wrk():
            yield from _requests(machines, missing)
        else:
            yield Measurement("network", "HTTP requests", float("nan"), "/s", note="not measured: wrk isn't installed")
        for streams in (1, 16):
            for direction, bulk in (("to", load.TO), ("from", load.FROM)):

                def rate(peer: Peer, streams: int = streams, bulk: load.Bulk = bulk) -> float:
                    return BULK / load.move(peer, bulk, streams, BULK) / 1e6

                many = "1 stream" if streams == 1 else f"{streams} streams"
                yield _rate(f"{many} {direction} the machine", "MB/s", _rounds(machines, rate), missing)
        samples = _rounds(machines, lambda peer: load.datagrams(peer, SECONDS))
        yield _rate("datagrams of 64 bytes, there and back", "/s", samples, missing)


def _requests(machines: list[Peer], missing: str) -> Iterator[Measurement]:
    for connections in (1, 16, 64, 1000):

        def ask(peer: Peer, connections: int = connections) -> load.Answers:
            return load.wrk(peer, connections, SECONDS)

        answers = _rounds(machines, ask)
        factor = REQUESTS_TARGET if connections == TARGET_CONNECTIONS else 1
        name = f"HTTP requests, {connections:,} connection{'s' * (connections > 1)}"
        yield _rate(name, "/s", [[each.rate for each in samples] for samples in answers], missing, factor)
        if connections in (1, TARGET_CONNECTIONS):
            halves = [[each.half for each in samples] for samples in answers]
            yield _cost(f"their time, p50, {connections}", "us", halves, missing)
            yield _cost(
                f"their time, p99, {connections}",
                "us",
                [[each.most for each in samples] for samples in answers],
                missing,
            )
    samples = _rounds(machines, lambda peer: load.wrk(peer, 16, SECONDS, "-H", "Connection: close").rate)
    yield _rate("new connections, each with one request", "/s", samples, missing)


def network_costs(folder: Path) -> Iterator[Measurement]:
    """Guest instructions of a request and of a segment, and the memory of a connection."""
    with peers(folder, counting=True) as (machines, missing):
        for connections in (1, TARGET_CONNECTIONS):
            samples = [[_request(peer, connections)] for peer in machines]
            many = f"{connections} connection{'s' * (connections > 1)}"
            yield _cost(f"instructions of an HTTP request, {many}", "", samples, missing)
        for kind, bulk in (("received", load.TO), ("sent", load.FROM)):

            def move(peer: Peer, total: int, kind: str = kind, bulk: load.Bulk = bulk) -> float:
                before = getattr(peer.facts(), kind)
                load.move(peer, bulk, 1, total)
                return float(getattr(peer.facts(), kind) - before)

            samples = [[_instructions(peer, move, COUNTED_BULK)] for peer in machines]
            yield _cost(f"instructions of a segment {kind}, in bulk", "", samples, missing)
        samples = [[_instructions(peer, load.echoes, COUNTED_DATAGRAMS)] for peer in machines]
        yield _cost("instructions of a datagram, there and back", "", samples, missing)
    with peers(folder) as (machines, missing):
        yield _cost(
            f"kernel memory of a connection, {IDLE:,} idle", "bytes", [[_memory(each)] for each in machines], missing
        )


def _request(peer: Peer, connections: int) -> float:
    """Instructions of a request over so many connections that are kept."""
    with load.connected(peer, connections) as made:

        def ask(peer: Peer, count: int) -> float:
            load.requests(peer, made, count)
            return count

        return _instructions(peer, ask, COUNTED_REQUESTS)


def _instructions(peer: Peer, work: Callable[[Peer, int], float], count: int) -> float:
    """Instructions a unit of work, which says how many it did; the program and QEMU are warm."""
    work(peer, count // 4)
    before = peer.instructions()
    done = work(peer, count)
    return (peer.instructions() - before) / done


def _memory(peer: Peer) -> float:
    """Bytes of the machine's memory that one of many idle connections takes; all of them are there at once."""
    before = peer.facts(collect=True)
    opened = load.idle_connections(peer, IDLE)
    try:
        return (before.free - peer.facts(collect=True).free) * 1024 / IDLE
    finally:
        for each in opened:
            each.close()


def _rounds(machines: list[Peer], work: Callable[[Peer], T]) -> list[list[T]]:
    """What the work gives on each machine, in turn."""
    rounds = [[work(peer) for peer in machines] for _ in range(ROUNDS)]
    return [list(samples) for samples in zip(*rounds, strict=True)]


def _rate(name: str, unit: str, samples: list[list[float]], missing: str, factor: float = 1) -> Measurement:
    """A number that should be large: so many times Linux's is the target."""
    return _compared(name, unit, samples, missing, factor, larger=True)


def _cost(name: str, unit: str, samples: list[list[float]], missing: str) -> Measurement:
    """A number that should be small: Linux's is the target."""
    return _compared(name, unit, samples, missing, 1, larger=False)


def _compared(
    name: str, unit: str, samples: list[list[float]], missing: str, factor: float, larger: bool
) -> Measurement:
    ours = statistics.median(samples[0])
    if len(samples) == 1:
        return Measurement("network", name, ours, unit, None, missing, samples[0], larger)
    theirs = statistics.median(samples[1])
    note = f"Linux: {theirs:,.0f} ({ours / theirs:.2f} times)"
    return Measurement("network", name, ours, unit, theirs * factor, note, samples[0], larger)
