"""Split virtqueues: rings in memory by which a driver and a device hand buffers to each other (virtio 1.2, 2.7).

The layout is the one that legacy devices demand, and modern ones take: descriptors, the available ring, and on the next
page the used ring. What the device writes is not trusted: a chain it never got ends in a panic, or, with take_sound(),
in a queue that is broken, and never in a wild store.
"""

from goanna.kernel.arch import PAGE_SIZE, physical, settle_stores, virtual
from goanna.kernel.memory import pages
from goanna.metal import Atomic, Slice, fill, metal, sizeof, struct, u8, u16, u32, u64, unsafe

__all__ = ["MAXIMUM_QUEUE", "Part", "Queue"]

MAXIMUM_QUEUE = 1024  # descriptors

NEXT, WRITE = 1, 2  # of a descriptor: another follows; the device writes
NO_INTERRUPT = 1  # of the available ring
NO_NOTIFY = 1  # of the used ring


@struct
class Descriptor:
    """struct virtq_desc."""

    address: u64  # physical
    length: u32
    flags: u16
    next: u16


@struct
class Used:
    """struct virtq_used_elem."""

    head: u32
    length: u32  # bytes that the device wrote


assert sizeof(Descriptor) == 16 and sizeof(Used) == 8


@struct
class Part:
    """A stretch of physical memory that a device reads or writes."""

    address: u64
    length: u32


@metal(inline=True)
def word(address: u64) -> Atomic[u16]:
    """A 16-bit word that both sides touch."""
    return unsafe.at(Atomic[u16], address)


@metal(inline=True)
def after(value: u16, steps: u32) -> u16:
    """A ring index some steps further: they count modulo 65536."""
    return u16.wrap(u32(value) + steps)


@struct
class Queue:
    """One queue. A lock of the driver's protects it; zeroed memory is a queue that isn't there."""

    index: u16  # which of the device's queues
    message: u16  # of PCI: the entry of the message table by which it interrupts
    size: u16  # descriptors, a power of two
    event_index: bool  # VIRTIO_F_EVENT_IDX was agreed on
    broken: bool  # the device gave back what it did not have: nothing more is taken from it
    notification: u64  # of modern PCI: the register that is written to notify
    order: u32  # of the memory
    descriptors: u64  # addresses of the three parts, and of a u64 for each descriptor: a chain's token, at its head
    available: u64
    used: u64
    tokens: u64
    free: u16  # the first unused descriptor, which leads to the next
    unused: u16
    added: u16  # chains added so far
    published: u16  # of which the device has been told
    taken: u16  # chains taken back

    def start(self, index: u16, size: u16, event_index: bool) -> bool:
        """Get the memory, for good. `size` is a power of two up to MAXIMUM_QUEUE. False: there is no memory."""
        assert 0 < size <= MAXIMUM_QUEUE and size & (size - 1) == 0, "not a size of a virtqueue"
        count = u64(size)
        ring = count * sizeof(Descriptor) + 6 + count * 2
        used = (ring + (PAGE_SIZE - 1)) // PAGE_SIZE * PAGE_SIZE
        tokens = (used + 6 + count * sizeof(Used) + 7) // 8 * 8
        while u64(PAGE_SIZE) << self.order < tokens + count * 8:
            self.order += 1
        memory = pages.allocate_order(self.order)
        if memory == 0:
            return False
        base = virtual(memory)
        fill(unsafe.slice(u8, base, u64(PAGE_SIZE) << self.order), 0)
        self.index = index
        self.size = size
        self.event_index = event_index
        self.descriptors = base
        self.available = base + count * sizeof(Descriptor)
        self.used = base + used
        self.tokens = base + tokens
        self.unused = size
        for number in range(u32(size)):
            self.descriptor(u16(number)).next = u16.wrap(number + 1)
        return True

    def release(self) -> None:
        """Give the memory back, once the device has been reset."""
        pages.free_order(physical(self.descriptors), self.order)
        self.size = 0
        self.order = 0

    def descriptor(self, number: u16) -> Descriptor:
        """A descriptor by number."""
        assert number < self.size, "a virtqueue's chain leads out of it"
        return unsafe.at(Descriptor, self.descriptors + u64(number) * sizeof(Descriptor))

    def add(self, parts: Slice[Part], readable: u64, token: u64) -> bool:
        """Add a chain: the device reads its first `readable` parts and writes the others. `token` (not 0) comes back
        with it. False: there is no room. The device sees it after publish()."""
        assert token != 0 and len(parts) != 0, "a chain needs a token and a part"
        if len(parts) > u64(self.unused):
            return False
        head = self.free
        at = head
        for position, part in enumerate(parts):
            descriptor = self.descriptor(at)
            descriptor.address = part.address
            descriptor.length = part.length
            flags: u16 = 0 if position < readable else WRITE
            descriptor.flags = flags | NEXT if position + 1 < len(parts) else flags
            at = descriptor.next
        self.free = at
        self.unused -= u16(len(parts))
        unsafe.store(u64, self.tokens + u64(head) * 8, token)
        word(self.available + 4 + u64(self.added & (self.size - 1)) * 2).store(head)
        self.added = after(self.added, 1)
        return True

    def publish(self) -> bool:
        """Show the device what was added; whether it wants to be notified (virtio 1.2, 2.7.13.4)."""
        if self.added == self.published:
            return False
        old = self.published
        word(self.available + 2).store(self.added)
        self.published = self.added
        settle_stores()
        if self.event_index:
            event = word(self.used + 4 + u64(self.size) * sizeof(Used)).load()
            passed = u16.wrap(u32(self.added) + 0x1_0000 - u32(event) - 1)
            return passed < u16.wrap(u32(self.added) + 0x1_0000 - u32(old))
        return word(self.used).load() & NO_NOTIFY == 0

    def unpublished(self) -> u16:
        """How many chains were added that the device has not been shown."""
        return u16.wrap(u32(self.added) + 0x1_0000 - u32(self.published))

    def take(self) -> tuple[u64, u32]:
        """Take back a chain that the device is done with: its token, and how many bytes it wrote. Token 0: none."""
        token, written = self.take_sound()
        assert not self.broken, "a device gave back a buffer that it did not have"
        return token, written

    def take_sound(self) -> tuple[u64, u32]:
        """The same, for drivers that go on without a device that lies: token 0 also once the queue is `broken`."""
        if word(self.used + 2).load() == self.taken or self.broken:
            return 0, 0
        entry = unsafe.at(Used, self.used + 4 + u64(self.taken & (self.size - 1)) * sizeof(Used))
        head = unsafe.load(u32, unsafe.address(entry.head), volatile=True)
        token: u64 = 0
        if head < u32(self.size):
            token = unsafe.load(u64, self.tokens + u64(head) * 8)
        if token == 0:
            self.broken = True
            return 0, 0
        unsafe.store(u64, self.tokens + u64(head) * 8, 0)
        last = self.descriptor(u16(head))
        self.unused += 1
        while last.flags & NEXT != 0:
            last = self.descriptor(last.next)
            self.unused += 1
        last.next = self.free
        self.free = u16(head)
        self.taken = after(self.taken, 1)
        return token, entry.length

    def rest(self) -> None:
        """Ask for no interrupts; with the event index, none comes anyway until listen()."""
        if not self.event_index:
            word(self.available).store(NO_INTERRUPT)

    def listen(self) -> bool:
        """Ask for an interrupt when the next chain is done. False: one is done already, which will not interrupt."""
        if self.event_index:
            word(self.available + 4 + u64(self.size) * 2).store(self.taken)
        else:
            word(self.available).store(0)
        settle_stores()
        return word(self.used + 2).load() == self.taken

    def in_flight(self) -> u64:
        """How many chains the device has, or has done and not been relieved of."""
        return u64(u16.wrap(u32(self.added) + 0x1_0000 - u32(self.taken)))
