"""TCP machines under test: one `End` is a connection, whose segments go out and come in as bytes."""

import struct

from goanna.kernel.net import checksum, offload, packet
from goanna.kernel.net.address import Address
from goanna.kernel.net.packet import Packet
from goanna.kernel.net.tcp import calls, connection, input, receive, timers
from goanna.kernel.net.tcp.connection import Connection, State
from goanna.kernel.net.wire import tcp
from goanna.metal import Ptr, Slice, metal, u8, u16, u32, u64
from tests.kernel.net.machine import ROOTS as PACKET_ROOTS
from tests.kernel.net.machine import free, hooks

SECOND = 1_000_000_000
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


@metal
def setup(c: Connection, local: Address, remote: Address, local_port: u16, remote_port: u16, mtu: u32) -> None:
    connection.start(c)
    c.local = local
    c.remote = remote
    c.local_port = local_port
    c.remote_port = remote_port
    c.path.mtu = mtu


@metal
def take_segment(c: Connection, out: Slice[u8]) -> tuple[u64, u32]:
    """The oldest segment in the outbox, and its segment size; 0 bytes if there is none."""
    first = c.outbox.pop()
    if first is None:
        return 0, 0
    offload.fill_checksum(first)
    size = u64(first.total)
    first.copy_out(0, out[0:size])
    cut = u32(first.segment_size)
    packet.drop(first)
    return size, cut


@metal
def packet_of(data: Slice[u8], most: u32, headroom: u32, own: bool) -> Ptr[Packet]:
    """A packet as a device fills it, or a program (`own`)."""
    first: Ptr[Packet] = None
    at: u64 = 0
    while at < len(data) or first is None:
        made = packet.allocate_for_program(packet.BUFFER, headroom) if own else packet.allocate(packet.BUFFER, headroom)
        if made is None:
            if first is not None:
                packet.drop(first)
            return None
        count = min(len(data) - at, u64(made.room()), u64(most))
        made.extend(u32(count))[:] = data[at : at + count]
        at += count
        if first is None:
            first = made
        else:
            first.append(made)
    return first


@metal
def arrive(c: Connection, data: Slice[u8], passive: bool, now: u64) -> bool:
    """A segment comes. False: it is damaged."""
    head: u64 = 0
    if c.remote.is4():
        head = checksum.pseudo_header(0, u64(c.remote.four()), 0, u64(c.local.four()), 6, u32(len(data)))
    else:
        a, b = c.remote, c.local
        head = checksum.pseudo_header(a.high, a.low, b.high, b.low, 6, u32(len(data)))
    if checksum.finish(checksum.joined(head, checksum.summed(data), 0)) != 0:
        return False
    segment = tcp.Segment()
    if not tcp.parse(data, u32(len(data)), segment):
        return False
    if segment.target != c.local_port or segment.source != c.remote_port:
        return False
    if passive and c.state == State.CLOSED:
        if segment.flags & (tcp.SYN | tcp.ACK | tcp.RST) == tcp.SYN:
            calls.accept(c, segment, 0xFFFF_FF00, 0x1234_5678, now)
        return True
    made = packet_of(data, 4096, 54, False)
    if made is None:
        return False
    made.pull(segment.header_length)
    input.segment_arrives(c, made, segment, now)
    return True


@metal
def write(c: Connection, data: Slice[u8], piece: u32, now: u64) -> bool:
    made = packet_of(data, piece, packet.HEADROOM, True)
    if made is None:
        return False
    return calls.write(c, made, now)


@metal
def read(c: Connection, out: Slice[u8], now: u64) -> u64:
    """Read up to len(out) bytes."""
    done: u64 = 0
    while done < len(out):
        first = receive.take_received(c)
        if first is None:
            break
        count = min(u64(first.total), len(out) - done)
        first.copy_out(0, out[done : done + count])
        done += count
        rest: Ptr[Packet] = None
        if count == u64(first.total):
            packet.drop(first)
        else:
            rest = first.skip(u32(count))
        if rest is not None:
            receive.put_back(c, rest)
    if done != 0:
        receive.after_reading(c, now)
        timers.arm(c, now)
    return done


@metal
def flights(c: Connection) -> u64:
    return c.in_flight.length()


@metal
def sound(c: Connection) -> None:
    """What must always hold of a connection's counts."""
    sacked: u32 = 0
    lost: u32 = 0
    again: u32 = 0
    at = c.send_una
    each = c.in_flight.head()
    while each is not None:
        assert each.sequence == at and each.end != at, "flights leave a hole"
        size = (
            each.end - each.sequence
            if each.end > each.sequence
            else u32.wrap(u64(each.end) + 0x1_0000_0000 - u64(each.sequence))
        )
        if each.flags & connection.SACKED != 0:
            sacked += size
        if each.flags & connection.LOST != 0:
            lost += size
        if each.flags & connection.RETRANSMITTED != 0:
            again += size
        at = each.end
        each = c.in_flight.after(each)
    if c.state not in (State.CLOSED, State.SYN_SENT, State.SYN_RECEIVED, State.LISTEN):
        assert at == c.send_next, "flights end elsewhere"
    assert (not c.sack or sacked == c.sacked) and lost == c.lost and again == c.retransmitted, "counts are wrong"


ROOTS = (
    *PACKET_ROOTS, setup, take_segment, arrive, write, read, flights, sound, calls.connect, calls.shut_down,
    calls.close, calls.abort, calls.set_keep_alive, calls.writable, calls.mtu_changed, timers.fire, connection.discard,
    connection.Connection, Address, connection.flights.in_use, connection.runs.in_use,
)  # fmt: skip


def parse(data):
    """A segment as a dictionary."""
    source, target, sequence, acknowledgment, offset, flags, window, _, _ = struct.unpack(">HHIIBBHHH", data[:20])
    size = offset >> 4 << 2
    found = dict(sequence=sequence, acknowledgment=acknowledgment, flags=flags, window=window, text=data[size:],
                 source=source, target=target, options={})  # fmt: skip
    at = 20
    while at < size:
        kind = data[at]
        if kind < 2:
            at += 1
            continue
        found["options"][kind] = data[at + 2 : at + data[at + 1]]
        at += data[at + 1]
    if 5 in found["options"]:
        edges = struct.unpack(f">{len(found['options'][5]) // 4}I", found["options"][5])
        found["sack"] = list(zip(edges[::2], edges[1::2], strict=True))
    return found


def cut(data, size):
    """What a device makes of a large segment."""
    head = parse(data)
    if not size or len(head["text"]) <= size:
        return [data]
    made, text = [], head["text"]
    length = len(data) - len(text)
    for at in range(0, len(text), size):
        last = at + size >= len(text)
        flags = head["flags"] if last else head["flags"] & ~(FIN | PSH)
        sequence = struct.pack(">I", (head["sequence"] + at) % 2**32)
        part = data[:4] + sequence + data[8:13] + bytes([flags]) + data[14:length] + text[at : at + size]
        made.append(part)
    return made


class End:
    """One side of a connection."""

    def __init__(self, unit, local, remote, ports, mtu=1500, **fields):
        self.unit, self.ports = unit, ports
        self.buffer = bytearray(70000)
        self.connection = unit.new(Connection)
        self.addresses = local, remote
        unit.call(setup, self.connection, make_address(unit, local), make_address(unit, remote), *ports, mtu)
        for name, value in fields.items():
            setattr(self.connection, name, value)

    def __getattr__(self, name):
        return getattr(self.connection, name)

    def call(self, function, *arguments):
        return self.unit.call(function, self.connection, *arguments)

    def segments(self):
        """The segments in the outbox, cut as a device would, with right checksums."""
        found = []
        while True:
            size, cut_size = self.call(take_segment, self.buffer)
            if not size:
                return found
            for each in cut(bytes(self.buffer[:size]), cut_size):
                found.append(each if not cut_size else self.summed(each))

    def summed(self, data):
        from tests.kernel.net.host import summed

        return summed(*self.addresses, 6, data[:16] + b"\0\0" + data[18:], 16)

    def arrive(self, data, now, passive=False):
        return self.call(arrive, data, passive, now)

    def write(self, data, now, piece=1920):
        return self.call(write, data, piece, now)

    def read(self, count, now):
        out = bytearray(count)
        return bytes(out[: self.call(read, out, now)])

    @property
    def state(self):
        return State.members[self.connection.state] if hasattr(State, "members") else self.connection.state


def make_address(unit, text):
    import ipaddress

    value, made = ipaddress.ip_address(text), unit.new(Address)
    if value.version == 4:
        unit.call(Address.set4, made, int(value))
    else:
        unit.call(Address.load, made, value.packed)
    return made


__all__ = ["ROOTS", "End", "free", "hooks", "parse"]
