"""Packet buffers: memory that devices, queues and headers share without copying.

A `Packet` describes a stretch of memory. It comes in three sizes: SHORT holds headers, or is a view of another
buffer's memory; BUFFER holds a frame; CHUNK holds a piece of a send queue. Each processor keeps freed ones ready, and
since kernel mode runs with interrupts off, taking one from there needs no lock.

All buffers together have a limit, and who wants one when it is near gets it by what it is for: first those wait that
only hold memory, last those that make others let go of it. So a full machine slows down, but never stands still.
"""

from goanna.kernel.arch import MAXIMUM_PROCESSORS, PAGE_SIZE, physical, processor_count, processor_index, virtual
from goanna.kernel.base.list import Link, List
from goanna.kernel.memory import pages
from goanna.kernel.memory.objects import Cache
from goanna.kernel.net.checksum import joined, summed
from goanna.metal import (
    Array,
    Atomic,
    Ptr,
    Slice,
    constant,
    likely,
    metal,
    sizeof,
    static,
    struct,
    u8,
    u16,
    u32,
    u64,
    unlikely,
    unsafe,
)

__all__ = [
    "BUFFER",
    "BUFFER_ROOM",
    "CHECKSUM_GOOD",
    "CHECKSUM_WANTED",
    "CHUNK",
    "CHUNK_ROOM",
    "FOR_PROGRAMS",
    "GROUP",
    "HEADROOM",
    "KEPT_FOR_LATER",
    "SHORT",
    "TAKEN_FIRST",
    "TAKEN_IN",
    "Packet",
    "Packets",
    "allocate",
    "allocate_for_program",
    "beyond",
    "drop",
    "reserve",
    "scarce",
    "set_limit",
    "view",
    "views",
]

SHORT, BUFFER, CHUNK = 0, 1, 2  # sizes
HEADROOM = 128  # in front of what is sent: virtio 12, Ethernet and VLAN 18, IPv6 40, a fragment header 8, TCP up to 50
CHUNK_ORDER = 2
METADATA = 128
SHORT_ROOM = 320 - METADATA
BUFFER_ROOM = 2048 - METADATA
CHUNK_ROOM = (PAGE_SIZE << CHUNK_ORDER) - METADATA
KEPT = constant(Array[u32, 3], [128, 128, 8])  # of each size, by each processor, where memory allows

# How much of the limit may be in use, in sixteenths, for a buffer that is to be
WRITTEN = 8  # written to a socket that has something to send already
KEPT_FOR_LATER = 9  # text out of order: it will come again
FOR_PROGRAMS = 11  # a program's, whatever it writes
TAKEN_IN = 12  # text in order for a socket that has some already
TAKEN_FIRST = 14  # ... that has none
RECEIVED = 15  # filled by a device; beyond are headers and acknowledgments alone, in SHORT buffers

# Flags
CHECKSUM_GOOD = 1  # received: the device, or whoever sent it on this machine, vouches for it
CHECKSUM_WANTED = 2  # to send: the sum of the pseudo header stands at checksum_start + checksum_offset
GROUP = 4  # received for a multicast or broadcast link address


@struct(align=64)
class Packet:
    """A stretch of memory with bytes in it, and what the layers noted of the packet that begins there."""

    link: Link  # of the queue it is on
    data: u64  # kernel address of the memory
    more: Ptr["Packet"]  # the rest of the same packet
    owner: Ptr["Packet"]  # of a view: whose memory it is
    capacity: u32  # bytes of memory
    start: u32  # offset of the first byte
    length: u32  # bytes here
    total: u32  # bytes of the packet in all; of its first buffer only
    references: Atomic[u32]
    size: u8
    flags: u8
    protocol: u8  # of the transport, and for the way in: what the packet is
    hops: u8  # TTL or hop limit that came
    checksum_start: u16  # offset in `data` where the sum begins
    checksum_offset: u16  # from there to the checksum's field
    segment_size: u16  # TCP payload bytes a segment, where the device cuts it up; 0: it is one
    network: u16  # offset in `data` of the IP header
    transport: u16  # of the transport's header
    six: bool  # whether that is IPv6
    traffic: u8  # traffic class or type of service that came
    interface: u32  # number of the interface it came by
    sequence: u32  # TCP: of its first byte
    time: u64  # ns when it came, or what its queue wants to remember
    base: u32  # in a send queue: offset of the first byte queued, whatever headers were put in front of it
    count: u32  # and how many bytes are queued

    def bytes(self) -> Slice[u8]:
        """What is here. The bytes of `more` follow."""
        return unsafe.slice(u8, self.data + u64(self.start), u64(self.length))

    def at(self, offset: u32) -> u64:
        """The address of an offset in the memory."""
        return self.data + u64(offset)

    def physical(self) -> u64:
        """The physical address of the first byte, for a device."""
        return physical(self.data + u64(self.start))

    def pull(self, count: u32) -> None:
        """Take bytes off the front; there are as many here."""
        self.start += count
        self.length -= count
        self.total -= count

    def push(self, count: u32) -> Slice[u8]:
        """Put bytes in front, into room that must be there: what they are is up to the caller."""
        self.start -= count
        self.length += count
        self.total += count
        return unsafe.slice(u8, self.data + u64(self.start), u64(count))

    def room(self) -> u32:
        """How many bytes can be put behind what is here."""
        return self.capacity - self.start - self.length

    def extend(self, count: u32) -> Slice[u8]:
        """Put bytes behind, into room that must be there."""
        assert count <= self.room(), "more bytes than a packet buffer has room for"
        end = self.data + u64(self.start) + u64(self.length)
        self.length += count
        self.total += count
        return unsafe.slice(u8, end, u64(count))

    def append(self, rest: "Packet") -> None:
        """Put another packet's buffers behind this one's last."""
        last = self
        while last.more is not None:
            last = last.more
        last.more = rest
        self.total += rest.total

    def trim(self, total: u32) -> None:
        """Cut the packet to its first `total` bytes; it has at least as many."""
        assert total <= self.total, "a packet was cut to more than it has"
        self.total = total
        each = self
        while total > each.length:
            total -= each.length
            each = each.more
        each.length = total
        if each.more is not None:
            rest: Packet = each.more
            each.more = None
            drop(rest)

    def skip(self, count: u32) -> Ptr["Packet"]:
        """Take `count` bytes off the front, buffers and all, and give what is left; None if nothing is."""
        self.total -= count
        left = self.total
        each: Packet = self
        while count >= each.length:
            count -= each.length
            following = each.more
            each.more = None
            drop(each)
            if following is None:
                return None
            each = following
        each.start += count
        each.length -= count
        each.total = left
        return each

    def pullable(self, count: u32) -> bool:
        """Whether the first `count` bytes lie in the first buffer; they are brought there if that is possible."""
        return likely(self.length >= count) or self.gather(count)

    def gather(self, count: u32) -> bool:
        """The slow half of pullable."""
        if count > self.total or count - self.length > self.room() or self.references.load() != 1:
            return False
        if self.owner is not None:
            return False
        while self.length < count:
            following: Packet = self.more
            step = min(count - self.length, following.length)
            end = self.data + u64(self.start) + u64(self.length)
            unsafe.slice(u8, end, u64(step))[:] = following.bytes()[0 : u64(step)]
            self.length += step
            following.start += step
            following.length -= step
            if following.length == 0:
                self.more = following.more
                following.more = None
                drop(following)
        return True

    def summed(self, offset: u32) -> u64:
        """The sum (see checksum.py) of the bytes from `offset` on, folded; there is at least that much."""
        total: u64 = 0
        done: u64 = 0
        each: Ptr[Packet] = self
        while each is not None:
            if offset >= each.length:
                offset -= each.length
            else:
                part = each.bytes()[u64(offset) : u64(each.length)]
                total = joined(total, summed(part), done)
                done += len(part)
                offset = 0
            each = each.more
        return total

    def copy_out(self, offset: u32, target: Slice[u8]) -> None:
        """Copy bytes of the packet from `offset` on; there are as many."""
        done: u64 = 0
        each: Ptr[Packet] = self
        while done < len(target):
            if offset >= each.length:
                offset -= each.length
            else:
                step = min(u64(each.length - offset), len(target) - done)
                target[done : done + step] = each.bytes()[u64(offset) : u64(offset) + step]
                done += step
                offset = 0
            each = each.more

    def footprint(self) -> u32:
        """The bytes of memory that the packet keeps in use, for whoever's limit it counts against."""
        result: u32 = 0
        each: Ptr[Packet] = self
        while each is not None:
            result += each.weight()
            each = each.more
        return result

    def weight(self) -> u32:
        """The bytes of memory of this buffer alone; a view counts what it shows."""
        if self.owner is not None:
            return METADATA + self.length
        return METADATA + self.capacity


assert sizeof(Packet) == METADATA, sizeof(Packet)


@struct(align=64)
class Short:
    """The memory of a SHORT packet."""

    packet: Packet
    room: Array[u8, SHORT_ROOM]


@struct(align=64)
class Buffer:
    """The memory of a BUFFER packet."""

    packet: Packet
    room: Array[u8, BUFFER_ROOM]


Packets = List(Packet, "link")


@struct(align=64)
class Kept:
    """What one processor keeps ready."""

    first: Array[Ptr[Packet], 3]  # by size; joined by `more`
    count: Array[u32, 3]


shorts = Cache(Short)
buffers = Cache(Buffer)
kept = static(Array[Kept, MAXIMUM_PROCESSORS])  # each touched by its own processor alone
in_use = static(Atomic[u64])  # bytes of all buffers that are not in their cache: given out, or kept
limit = static(u64, 16 << 20)  # bytes; set once, at start
most_kept = static(Array[u32, 3])  # of each size, by each processor


@metal
def set_limit(bytes: u64) -> None:
    """Say how much memory all buffers together may take. A thirty-second of it may lie ready, of each size."""
    global limit
    limit = bytes
    share = bytes // 32 // u64(processor_count())
    for size in range(u64(3)):
        most_kept[size] = u32(min(share // memory_of(size), u64(KEPT[size])))


@metal(inline=True)
def memory_of(size: u64) -> u64:
    """The bytes of a buffer of a size."""
    return 320 if size == SHORT else (2048 if size == BUFFER else PAGE_SIZE << CHUNK_ORDER)


@metal
def allocate(size: u8, headroom: u32) -> Ptr[Packet]:
    """An empty buffer whose first byte will lie at `headroom`. None: the limit is reached, or memory is out."""
    here = kept[u64(processor_index())]
    packet = here.first[u64(size)]
    if likely(packet is not None):
        here.first[u64(size)] = packet.more
        here.count[u64(size)] -= 1
        packet.more = None
    else:
        packet = fresh(size)
        if packet is None:
            return None
    packet.start = headroom
    packet.length = 0
    packet.total = 0
    packet.flags = 0
    packet.segment_size = 0
    packet.base = 0
    packet.count = 0
    packet.references.store(1)
    return packet


@metal
def allocate_for_program(size: u8, headroom: u32) -> Ptr[Packet]:
    """The same, for what a program writes: None while the rest is for what comes in."""
    return None if unlikely(beyond(FOR_PROGRAMS)) else allocate(size, headroom)


@metal
def fresh(size: u8) -> Ptr[Packet]:
    """A buffer from the caches, for the first time or after all kept ones are in use."""
    bytes = memory_of(u64(size))
    most = limit if size == SHORT else limit // 16 * RECEIVED
    if in_use.add(bytes) + bytes > most:
        in_use.sub(bytes)
        give_back()
        if in_use.add(bytes) + bytes > most:
            in_use.sub(bytes)
            return None
    address: u64 = 0
    if size == SHORT:
        short = shorts.allocate()
        address = 0 if short is None else unsafe.address(short)
    elif size == BUFFER:
        buffer = buffers.allocate()
        address = 0 if buffer is None else unsafe.address(buffer)
    else:
        block = pages.allocate_order(CHUNK_ORDER)
        if block != 0:
            address = virtual(block)
            unsafe.at(Packet, address).link.next = None
            unsafe.at(Packet, address).link.previous = None
    if address == 0:
        in_use.sub(bytes)
        return None
    packet = unsafe.pointer(Packet, address)
    packet.size = size
    packet.data = address + METADATA
    packet.capacity = u32(bytes - METADATA)
    packet.owner = None
    packet.more = None
    return packet


@metal
def drop(packet: Packet) -> None:
    """Give a reference to a packet back, the rest of it included; the last one frees the memory."""
    each: Ptr[Packet] = packet
    while each is not None:
        left = each.references.sub(1)
        assert left != 0, "a packet was dropped too often"
        if left != 1:
            return
        following = each.more
        if unlikely(each.owner is not None):
            owner: Packet = each.owner
            each.owner = None
            each.data = unsafe.address(each) + METADATA
            each.capacity = SHORT_ROOM
            drop(owner)
        put_back(each)
        each = following


@metal
def put_back(packet: Packet) -> None:
    """Keep a buffer that nobody refers to, or free it if enough are kept."""
    size = u64(packet.size)
    here = kept[u64(processor_index())]
    if likely(here.count[size] < most_kept[size]):
        packet.more = here.first[size]
        here.first[size] = packet
        here.count[size] += 1
        return
    release(packet)


@metal
def release(packet: Packet) -> None:
    """Free the memory of a buffer."""
    size = u64(packet.size)
    in_use.sub(memory_of(size))
    if size == SHORT:
        shorts.free(unsafe.cast(Short, packet))
    elif size == BUFFER:
        buffers.free(unsafe.cast(Buffer, packet))
    else:
        pages.free_order(physical(unsafe.address(packet)), CHUNK_ORDER)


@metal
def give_back() -> None:
    """Free all that this processor keeps ready: memory is short, and another size is wanted."""
    here = kept[u64(processor_index())]
    for size in range(u64(3)):
        while here.first[size] is not None:
            packet: Packet = here.first[size]
            here.first[size] = packet.more
            here.count[size] -= 1
            packet.more = None
            release(packet)


@metal
def beyond(sixteenths: u64) -> bool:
    """Whether more than so much of the limit is in use."""
    return in_use.load() > limit // 16 * sixteenths


@metal
def scarce() -> bool:
    """Whether half of the memory for buffers is in use: who has some to send already should wait with more."""
    return beyond(WRITTEN)


@metal
def reserve(size: u8, count: u32) -> None:
    """Have this processor keep up to `count` buffers of a size ready. At start."""
    made: Ptr[Packet] = None
    for _ in range(count):
        packet = allocate(size, 0)
        if packet is None:
            break
        packet.more = made
        made = packet
    if made is not None:
        drop(made)


@metal
def view(packet: Packet, offset: u32, count: u32) -> Ptr[Packet]:
    """A packet that shows `count` bytes at an offset of this one's memory, which stays until both are dropped."""
    assert u64(offset) + u64(count) <= u64(packet.capacity), "a view of what a packet does not have"
    result = allocate(SHORT, 0)
    if result is None:
        return None
    owner: Packet = packet
    if packet.owner is not None:
        owner = packet.owner
    owner.references.add(1)
    result.owner = owner
    result.data = packet.data
    result.capacity = packet.capacity
    result.start = offset
    result.length = count
    result.total = count
    return result


@metal
def views(packet: Packet, offset: u32, count: u32) -> Ptr[Packet]:
    """A packet that shows `count` bytes of this one, all its buffers, from `offset` behind its first byte on."""
    assert u64(offset) + u64(count) <= u64(packet.total) and count != 0, "a view of what a packet does not have"
    each: Packet = packet
    while offset >= each.length:
        offset -= each.length
        each = each.more
    step = min(count, each.length - offset)
    result = view(each, each.start + offset, step)
    last = result
    while last is not None and step < count:
        each = each.more
        part = min(count - step, each.length)
        last.more = view(each, each.start, part)
        last = last.more
        step += part
    if last is None and result is not None:
        drop(result)
        return None
    if result is not None:
        result.total = count
    return result
