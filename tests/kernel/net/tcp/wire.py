"""A simulated wire between two machines: what it does to segments is drawn from one seed."""

import heapq
import random
import struct

from goanna.kernel.net.tcp import calls, timers
from goanna.kernel.net.tcp.connection import State
from tests.kernel.net.tcp.machine import RST, SECOND, End, free, parse, sound

NEVER = 2**64 - 1
MILLISECOND = 1_000_000


class Wire:
    """Two ends; `run()` lets time pass until both are quiet."""

    def __init__(self, unit, seed, loss=0.0, twice=0.0, damage=0.0, delay=10, jitter=0, rate=None, queue=50,
                 version=4, check=True, ends=({}, {})):  # fmt: skip
        self.unit, self.chance, self.now = unit, random.Random(seed), SECOND
        self.loss, self.twice, self.damage = loss, twice, damage
        self.delay, self.jitter, self.rate, self.queue = delay * MILLISECOND, jitter * MILLISECOND, rate, queue
        hosts = ("10.0.0.1", "10.0.0.2") if version == 4 else ("2001:db8::1", "2001:db8::2")
        self.a = End(unit, hosts[0], hosts[1], (1000, 80), **ends[0])
        self.b = End(unit, hosts[1], hosts[0], (80, 1000), **ends[1])
        self.events, self.number, self.free_at = [], 0, {}
        self.sent = self.dropped = 0
        self.log, self.check = [], check
        self.actors = []

    def peer(self, end):
        return self.b if end is self.a else self.a

    def collect(self, end):
        """Put on the wire what an end sends."""
        if self.check:
            end.call(sound)
        for data in end.segments():
            self.sent += 1
            assert len(data) <= end.path.mtu - (40 if end.connection.six else 20), "more than a packet takes"
            copies = 1 + (self.chance.random() < self.twice)
            for _ in range(copies):
                if self.chance.random() < self.loss:
                    self.dropped += 1
                    continue
                each = bytearray(data)
                if self.chance.random() < self.damage:
                    each[self.chance.randrange(len(each))] ^= 1 << self.chance.randrange(8)
                start = self.now
                if self.rate:
                    start = max(self.now, self.free_at.get(id(end), 0))
                    took = len(each) * SECOND // self.rate
                    if start - self.now > self.queue * took:
                        self.dropped += 1
                        continue
                    start += took
                    self.free_at[id(end)] = start
                at = start + self.delay + (self.chance.randrange(self.jitter) if self.jitter else 0)
                self.at(at, self.peer(end), bytes(each))

    def at(self, time, end, data):
        self.number += 1
        heapq.heappush(self.events, (time, self.number, end, data))

    def refuse(self, end, data):
        head = parse(data)
        if not head["flags"] & RST:
            reset = struct.pack(">HHIIBBHHH", *end.ports, head["acknowledgment"], 0, 0x50, RST, 0, 0, 0)
            self.at(self.now + self.delay, self.peer(end), end.summed(reset))

    def connect(self):
        self.a.call(calls.connect, 0xFFFFFFF0, 77, self.now)
        self.collect(self.a)

    def step(self, limit):
        """The next thing that happens, at `limit` the latest. False: nothing until then."""
        due = min([(end.deadline, n) for n, end in enumerate((self.a, self.b))])
        wire = self.events[0][0] if self.events else NEVER
        act = min((actor.next for actor in self.actors), default=NEVER)
        time = min(due[0], wire, act)
        if time > limit:
            self.now = limit
            return False
        self.now = max(self.now, time)
        if wire <= time:
            _, _, end, data = heapq.heappop(self.events)
            if end.connection.state == State.CLOSED.value and end.events:
                self.refuse(end, data)  # as a host does for a connection that it does not know any more
            end.arrive(data, self.now, end is self.b)
            self.collect(end)
        elif due[0] <= time:
            end = (self.a, self.b)[due[1]]
            end.call(timers.fire, self.now)
            self.collect(end)
        else:
            min(self.actors, key=lambda actor: actor.next).act(self)
        return True

    def run(self, seconds, until=lambda: False):
        end = self.now + int(seconds * SECOND)
        while not until() and self.step(end):
            pass

    def open(self):
        self.connect()
        self.run(300, lambda: self.a.connection.state == State.ESTABLISHED.value == self.b.connection.state)


class Writer:
    """Writes bytes in pieces as there is room, then shuts down."""

    def __init__(self, end, data, chance, pause=5):
        self.end, self.data, self.chance, self.pause = end, data, chance, pause
        self.at, self.next, self.idle = 0, 0, 1

    def act(self, wire):
        self.idle = min(self.idle * 2, 256)  # who finds nothing to do comes more rarely, so that dead time is short
        self.next = wire.now + self.chance.randrange(1, self.pause * MILLISECOND + 1) * self.idle
        state = self.end.connection.state
        if state in (State.SYN_SENT.value, State.SYN_RECEIVED.value) or (
            state == State.CLOSED.value and not self.end.events
        ):
            return
        if state == State.CLOSED.value:
            self.next = NEVER
        elif self.at == len(self.data):
            self.end.call(calls.shut_down, wire.now)
            self.next = NEVER
        elif self.end.call(calls.writable):
            size = self.chance.choice((1, 10, 100, 1000, 5000, 20000))
            piece = self.data[self.at : self.at + size]
            if self.end.write(piece, wire.now, self.chance.choice((1, 700, 1792)) if size < 200 else 1792):
                self.at += len(piece)
                self.idle = 1
        wire.collect(self.end)


class Reader:
    """Reads as it likes."""

    def __init__(self, end, chance, pause=5, most=65536):
        self.end, self.chance, self.pause, self.most = end, chance, pause, most
        self.got, self.next, self.idle = b"", 0, 1

    def act(self, wire):
        piece = self.end.read(self.chance.randrange(1, self.most), wire.now)
        self.got += piece
        self.idle = 1 if piece else min(self.idle * 2, 256)
        self.next = wire.now + self.chance.randrange(1, self.pause * MILLISECOND + 1) * self.idle
        if self.end.connection.state == State.CLOSED.value and self.end.events and not self.end.received_bytes:
            self.next = NEVER
        wire.collect(self.end)


__all__ = ["MILLISECOND", "NEVER", "Reader", "Wire", "Writer", "free"]
