"""What network tests share: memory behind a unit, bytes that end where nobody may read, packets made and read."""

import ctypes
import mmap

from goanna.kernel.net import packet as packets
from goanna.metal import Slice, metal, u8, u32, u64
from tests.kernel.memory.machine import ROOTS as MEMORY
from tests.kernel.memory.machine import Memory, hooks

__all__ = ["ROOTS", "Edge", "Memory", "content", "free", "hooks", "make"]


@metal
def make_packet(size: u8, headroom: u32, data: Slice[u8]) -> u64:
    """A packet with bytes in it, by address; 0 if there is none to be had."""
    packet = packets.allocate(size, headroom)
    if packet is None:
        return 0
    packet.extend(u32(len(data)))[:] = data
    return address_of(packet)


@metal
def address_of(packet: packets.Packet) -> u64:
    return packet.data - packets.METADATA if packet.owner is None else 0


@metal
def copy_packet(packet: packets.Packet, target: Slice[u8]) -> None:
    packet.copy_out(0, target)


ROOTS = (*MEMORY, make_packet, copy_packet, packets.allocate, packets.drop, packets.view, packets.Packet,
         packets.in_use, packets.kept, packets.set_limit)  # fmt: skip


def make(unit, data, size=packets.BUFFER, headroom=packets.HEADROOM):
    """A packet with these bytes, by address."""
    return unit.call(make_packet, size, headroom, bytes(data))


def content(unit, packet):
    """All the bytes of a packet."""
    data = bytearray(unit.at(packets.Packet, packet).total if isinstance(packet, int) else packet.total)
    unit.call(copy_packet, packet, data)
    return bytes(data)


def free(unit):
    """Bytes of buffers that are neither given out nor kept ready, as a negative number: 0 if all came back."""
    kept = unit.static(packets.kept)
    ready = sum(each.count[size] * (320, 2048, 16384)[size] for each in kept for size in (0, 1, 2))
    return ready - unit.get(packets.in_use)


class Edge:
    """Bytes that end at a page which nobody may touch: reading one too many ends the test program."""

    def __init__(self, size=1 << 16):
        self.size = size
        self.map = mmap.mmap(-1, size + mmap.PAGESIZE)
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mprotect(ctypes.c_void_p(self.base + size), mmap.PAGESIZE, 0) == 0

    def slice(self, data):
        """What passes as a slice of these bytes."""
        ctypes.memmove(self.base + self.size - len(data), bytes(data), len(data))
        return (self.base + self.size - len(data), len(data))

    def read(self, length):
        """The last `length` bytes."""
        return ctypes.string_at(self.base + self.size - length, length)
