"""A whole host with TCP behind a compiled unit: listeners and connections by number, frames in and out."""

import struct

from goanna.kernel.net import arrival, ip_input, neighbour, packet
from goanna.kernel.net.address import Address
from goanna.kernel.net.tcp import arrive, calls, connection, listener, receive, table, time_wait, timers
from goanna.kernel.net.tcp.connection import Connection, State
from goanna.kernel.net.wire.ethernet import BROADCAST
from goanna.metal import Array, Ptr, Slice, i64, metal, sizeof, static, u8, u16, u32, u64, unsafe
from tests.kernel.net import host as hosts
from tests.kernel.net.host import Host, arp_bytes, ether, host_hooks, ip4, ip6, summed
from tests.kernel.net.tcp.machine import ACK, FIN, PSH, RST, SYN, parse, sound

listeners = static(Array[listener.Listener, 4])
held = static(Array[Ptr[Connection], 4096])  # by the number that tests call them
forgotten = static(u64)


@metal
def note_deadline(c: Connection) -> None:
    pass


@metal
def forget(c: Connection) -> None:
    global forgotten
    forgotten += 1
    arrive.free_connection(c)


@metal
def begin_tcp(order: u32) -> bool:
    return table.start_table(order)


@metal
def listen(index: u64, local: Address, port: u16, backlog: u32) -> i64:
    each = listeners[index]
    each.binding.local = local
    each.backlog = backlog
    result = table.bind(each.binding, port)
    return result if result != 0 else table.listen(each.binding)


@metal
def accept(index: u64, number: u64) -> bool:
    c = listener.take_accepted(listeners[index])
    held[number] = c
    return c is not None


@metal
def open_to(number: u64, remote: Address, port: u16, now: u64) -> i64:
    c = connection.connections.allocate()
    connection.start(c)
    c.remote = remote
    c.remote_port = port
    held[number] = c
    return arrive.open_connection(c, 0, now)


@metal
def write(number: u64, data: Slice[u8], now: u64) -> u64:
    """Write what there is room for; how much."""
    c: Connection = held[number]
    at: u64 = 0
    c.lock.acquire()
    while at < len(data) and calls.writable(c) != 0:
        size: u8 = packet.CHUNK if len(data) - at > 1792 and calls.writable(c) > 2048 else packet.BUFFER
        made = packet.allocate_for_program(size, packet.HEADROOM)
        if made is None:
            made = packet.allocate(packet.SHORT, packet.HEADROOM)
        if made is None:
            break
        count = min(len(data) - at, u64(made.room()))
        made.extend(u32(count))[:] = data[at : at + count]
        at += count
        calls.write(c, made, now)
    over = arrive.finish(c, now)
    c.lock.release()
    if over:
        arrive.retire(c, now)
    return at


@metal
def read(number: u64, out: Slice[u8], now: u64) -> u64:
    c: Connection = held[number]
    done: u64 = 0
    c.lock.acquire()
    while done < len(out):
        first = receive.take_received(c)
        if first is None:
            break
        count = min(u64(first.total), len(out) - done)
        first.copy_out(0, out[done : done + count])
        done += count
        rest: Ptr[packet.Packet] = None
        if count == u64(first.total):
            packet.drop(first)
        else:
            rest = first.skip(u32(count))
        if rest is not None:
            receive.put_back(c, rest)
    if done != 0:
        receive.after_reading(c, now)
        timers.arm(c, now)
    over = arrive.finish(c, now)
    c.lock.release()
    if over:
        arrive.retire(c, now)
    return done


@metal
def shut(number: u64, now: u64) -> None:
    c: Connection = held[number]
    c.lock.acquire()
    calls.shut_down(c, now)
    over = arrive.finish(c, now)
    c.lock.release()
    if over:
        arrive.retire(c, now)


@metal
def close(number: u64, abort: bool, now: u64) -> None:
    c: Connection = held[number]
    held[number] = None
    arrive.close_connection(c, abort, now)


@metal
def close_listener(index: u64, now: u64) -> None:
    while True:
        c = listener.close_listener(listeners[index])
        if c is None:
            break
        arrive.close_connection(c, True, now)
    table.unbind(listeners[index].binding)


@metal
def connection_of(number: u64) -> Ptr[Connection]:
    return held[number]


@metal
def tcp_timers(now: u64) -> u64:
    """Do what is due of all connections in the table; the next deadline."""
    earliest: u64 = min(listener.half_open_deadline(), time_wait.time_wait_deadline())
    if listener.half_open_deadline() <= now:
        listener.half_open_timer(now)
    if time_wait.time_wait_deadline() <= now:
        time_wait.time_wait_timer(now)
    for index in range(table.bucket_mask + 1):
        again = True
        while again:
            again = False
            bucket = unsafe.at(table.Bucket, table.buckets + index * sizeof(table.Bucket))
            each = bucket.head()
            while each is not None:
                following = bucket.after(each)
                if each.kind == connection.EntryKind.CONNECTION:
                    c = unsafe.at(Connection, unsafe.address(each))
                    if c.deadline <= now:
                        arrive.connection_timer(c, now)
                        again = True
                        break
                    earliest = min(earliest, c.deadline)
                each = following
    return earliest


@metal
def check(number: u64) -> None:
    sound(held[number])


TCP_ROOTS = (
    *hosts.HOST_ROOTS, begin_tcp, listen, accept, open_to, write, read, shut, close, close_listener, connection_of,
    tcp_timers, check, forgotten, time_wait.time_wait_count, time_wait.limit, connection.connections.in_use,
    listener.pending_count, listener.half_opens.in_use, connection.flights.in_use, connection.runs_memory,
    connection.orphans, packet.limit, packet.beyond, neighbour.count, neighbour.held_memory,
)  # fmt: skip


def tcp_hooks():
    """All hooks filled for a host with TCP."""
    return host_hooks(
        (arrive.on_deadline, note_deadline),
        (arrive.on_forget, forget),
        (ip_input.on_segment, arrive.receive),
        (arrival.on_tcp_error, arrive.receive_error),
    )


class TcpHost(Host):
    """A host whose peer is written in Python, segment by segment."""

    me, peer = "10.0.0.1", "10.0.0.2"

    def __init__(self, unit, order=1, **options):
        self.kept = []
        super().__init__(unit, **options)
        assert unit.call(begin_tcp, order)

    def greet(self, mac=0x020000000002):
        """Have the peer's link address known."""
        self.put(ether(BROADCAST, mac, 0x806, arp_bytes(1, mac, self.peer, 0, self.me)))
        self.frames()

    def frames(self):
        """What was sent. The peer answers ARP requests, whenever this is looked at or time passes."""
        again = True
        while again:
            again = False
            for frame in super().frames():
                if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1" and frame[38:42] == hosts.raw(self.peer):
                    answer = arp_bytes(2, 0x020000000002, self.peer, self.mac, self.me)
                    self.put(ether(self.mac, 0x020000000002, 0x806, answer))
                    again = True
                else:
                    self.kept.append(frame)
        found, self.kept = self.kept, []
        return found

    def segment(self, source, target, sequence, acknowledgment, flags, text=b"", window=65535, options=b"", peer=None):
        """The peer sends a segment from a port to a port."""
        peer = peer or self.peer
        size = 20 + len(options)
        data = struct.pack(">HHIIBBHHH", source, target, sequence % 2**32, acknowledgment % 2**32, size // 4 << 4,
                           flags, window, 0, 0) + options + text  # fmt: skip
        data = summed(peer, self.me, 6, data, 16)
        frame = ip4(peer, self.me, 6, data) if "." in peer else ip6(peer, self.me, 6, data)
        self.put(ether(self.mac, 0x020000000002, 0x800 if "." in peer else 0x86DD, frame))

    def got(self):
        """The segments that the host sent, parsed, each with a right checksum."""
        found = []
        for frame in self.frames():
            if frame[12:14] == b"\x08\x00" and frame[23] == 6:
                data, pseudo = frame[34:], frame[26:34]
                value = hosts.ones(pseudo + struct.pack(">BBH", 0, 6, len(data)) + data)
            elif frame[12:14] == b"\x86\xdd" and frame[20] == 6:
                data = frame[54:]
                value = hosts.ones(frame[22:54] + struct.pack(">IxxxB", len(data), 6) + data)
            else:
                continue
            assert value == 0
            found.append(parse(data))
        return found

    def one(self):
        (only,) = self.got()
        return only

    def none(self):
        assert self.got() == []

    def let(self, seconds):
        """Let time pass, doing what falls due in TCP and below."""
        end = self.now + int(seconds * hosts.SECOND)
        while True:
            due = self.unit.call(tcp_timers, self.now)
            self.unit.call(hosts.timers, self.now)
            due = min(due, self.unit.call(hosts.deadline), self.unit.call(tcp_timers, self.now))
            if due > end:
                break
            self.now = max(due, self.now)
            self.kept = self.frames()
        self.now = end
        self.unit.call(tcp_timers, self.now)
        self.unit.call(hosts.timers, self.now)
        self.kept = self.frames()

    def write(self, number, data):
        return self.unit.call(write, number, bytes(data), self.now)

    def read(self, number, count=65536):
        out = bytearray(count)
        return bytes(out[: self.unit.call(read, number, out, self.now)])

    def connection(self, number):
        return self.unit.call(connection_of, number)

    def state(self, number):
        return self.connection(number).state


__all__ = ["ACK", "FIN", "PSH", "RST", "SYN", "TCP_ROOTS", "Address", "State", "TcpHost", "tcp_hooks"]
