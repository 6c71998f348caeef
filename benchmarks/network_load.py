"""What is asked of a machine on the network: loads, each of which gives a rate, a time or a count."""

from __future__ import annotations

import re
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.network_peers import ECHO, HOST, IDLE, SINK, SOURCE, WEB, Peer

REQUEST = b"GET / HTTP/1.1\r\nHost: goanna\r\n\r\n"
BODY = b"Hello, world\n"
_UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6}
_BLOCK = bytes(1 << 16)


@dataclass(frozen=True)
class Answers:
    """What wrk says."""

    rate: float  # requests a second
    half: float  # us within which half of the requests were answered
    most: float  # us within which 99 of 100 were


def wrk(peer: Peer, connections: int, seconds: int, *more: str) -> Answers:
    """Requests over so many connections, each sending the next when the last is answered."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency", *more]
    url = f"http://{HOST}:{peer.ports[WEB]}/"
    text = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    times = {share: float(value) * _UNITS[unit] for share, value, unit in re.findall(r"(50|99)%\s+([\d.]+)(\w+)", text)}
    if rate is None or len(times) != 2:
        raise RuntimeError(f"wrk said:\n{text}")
    return Answers(float(rate[1]), times["50"], times["99"])


def has_wrk() -> bool:
    """Whether wrk is installed."""
    return shutil.which("wrk") is not None


def requests(peer: Peer, connections: list[socket.socket], count: int) -> None:
    """`count` requests over connections that are kept, one on each at a time, and no other traffic between."""
    for _ in range(count // len(connections)):
        for each in connections:
            each.sendall(REQUEST)
        for each in connections:
            answer = b""
            while not answer.endswith(BODY):
                more = each.recv(4096)
                if not more:
                    raise ConnectionError(f"{peer.name} ended a connection")
                answer += more


@contextmanager
def connected(peer: Peer, count: int) -> Iterator[list[socket.socket]]:
    """So many connections that have had an answer each, one after the other: QEMU has room for one to be taken."""
    with ExitStack() as stack:
        made: list[socket.socket] = []
        for _ in range(count):
            made.append(stack.enter_context(peer.connect(WEB)))
            requests(peer, made[-1:], 1)
        yield made


def send_bytes(connection: socket.socket, total: int) -> None:
    """Send so many bytes over a connection to SINK, and hear that they have arrived."""
    left = total
    while left:
        left -= connection.send(_BLOCK[:left])
    connection.shutdown(socket.SHUT_WR)
    (told,) = struct.unpack(">Q", connection.recv(8, socket.MSG_WAITALL))
    if told != total:
        raise ConnectionError(f"{told} bytes of {total} arrived")


def receive_bytes(connection: socket.socket, total: int) -> None:
    """Have so many bytes sent over a connection to SOURCE, and take them."""
    connection.sendall(struct.pack(">Q", total))
    buffer = bytearray(1 << 18)
    got = 0
    while count := connection.recv_into(buffer):
        got += count
    if got != total:
        raise ConnectionError(f"{got} bytes of {total} came")


# What is done with a connection, and where it leads.
Bulk = tuple[Callable[[socket.socket, int], None], int]
TO: Bulk = (send_bytes, SINK)
FROM: Bulk = (receive_bytes, SOURCE)


def move(peer: Peer, bulk: Bulk, streams: int, total: int) -> float:
    """Seconds that `total` bytes take over so many connections at once, which are there before."""
    work, port = bulk
    with ExitStack() as stack:
        made = [stack.enter_context(peer.connect(port)) for _ in range(streams)]
        start = time.perf_counter()
        with ThreadPoolExecutor(streams) as pool:
            for done in [pool.submit(work, each, total // streams) for each in made]:
                done.result()
        return time.perf_counter() - start


def datagrams(peer: Peer, seconds: float, at_once: int = 32) -> float:
    """Datagrams a second that came back: so many are on their way at any time, and lost ones are replaced."""
    data = bytes(64)
    back = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.connect((HOST, peer.ports[ECHO]))
        here.settimeout(0.2)
        start = time.perf_counter()
        for _ in range(at_once):
            here.send(data)
        while (passed := time.perf_counter() - start) < seconds:
            try:
                here.recv(100)
            except TimeoutError:
                for _ in range(at_once):
                    here.send(data)
            else:
                back += 1
                here.send(data)
    return back / passed


def echoes(peer: Peer, count: int) -> float:
    """So many datagrams there and back, one at a time; how many those were."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.connect((HOST, peer.ports[ECHO]))
        here.settimeout(10)
        for _ in range(count):
            here.send(bytes(64))
            here.recv(100)
    return count


def idle_connections(peer: Peer, count: int) -> list[socket.socket]:
    """So many connections that the machine has accepted. Whoever closes them ends them. QEMU looks at all of them for
    each that comes: the last of 10,000 take milliseconds each."""
    return [peer.connect(IDLE) for _ in range(count)]
