"""Intel's Ethernet controllers that emulators offer where virtio is not to be had: the 8254x family (e1000) and the
82574 (e1000e), by rings of descriptors (Intel 317453, 8254x Software Developer's Manual, 3 and 13; 82574 Datasheet, 7
and 10).

They differ in how they interrupt, by a line or by messages, and in one number; `MODELS` says so. Frames come in buffers
of the packet pool, of at most 1,500 bytes, and go out of the buffers in which the network made them. An interrupt
starts polling, as with virtio. Nothing that the device says is believed; it can only lose frames.
"""

from goanna.kernel.arch import PAGE_SIZE, now, physical, virtual
from goanna.kernel.base.errno import ENOMEM, ENXIO
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.device.frames import joined, pieces
from goanna.kernel.device.registers import RegisterSpace
from goanna.kernel.memory import pages
from goanna.kernel.memory.placement import random_u64
from goanna.kernel.net.interface import CHECKSUM, Interface, Kind
from goanna.kernel.net.ip_input import receive
from goanna.kernel.net.network import changed
from goanna.kernel.net.packet import BUFFER, CHECKSUM_GOOD, CHECKSUM_WANTED, Packet, Packets, allocate, drop
from goanna.kernel.net.turn import end_turn
from goanna.kernel.net.wire import ethernet
from goanna.kernel.time.timer import Timer, timer_start
from goanna.metal import (
    Array,
    Fn,
    Ptr,
    constant,
    fill,
    hook,
    i64,
    metal,
    pointer,
    struct,
    u8,
    u16,
    u32,
    u64,
    unlikely,
    unsafe,
    wrapping,
)

__all__ = ["REGISTERS_SIZE", "VENDOR", "Card", "Model", "model_of", "on_card_link"]

VENDOR = 0x8086
REGISTERS_SIZE = 0x6000  # bytes of registers that are used

# Registers, and their bits.
CONTROL, STATUS = 0x0000, 0x0008
RESET, LINK_ON, DETECT_SPEED = 1 << 26, 1 << 6, 1 << 5
LINK_UP = 1 << 1
CAUSE, THROTTLE, UNMASK, MASK = 0x00C0, 0x00C4, 0x00D0, 0x00D8
SENT, LINK_CHANGED, FEW_BUFFERS, OVERRUN, RECEIVED = 1 << 0, 1 << 2, 1 << 4, 1 << 6, 1 << 7
RECEIVE_CONTROL, TRANSMIT_CONTROL, GAP = 0x0100, 0x0400, 0x0410
ENABLE, ALL_MULTICAST, BROADCAST, STRIP_SUM, PAD = 1 << 1, 1 << 4, 1 << 15, 1 << 26, 1 << 3
COLLISIONS = 0x10 << 4 | 0x40 << 12
RECEIVE_RING, TRANSMIT_RING = 0x2800, 0x3800
RING_LOW, RING_HIGH, RING_SIZE, RING_HEAD, RING_TAIL, RING_MODE = 0x00, 0x04, 0x08, 0x10, 0x18, 0x28
COUNTED = 1 << 22 | 1 << 24  # of the transmit ring's mode: 82574 10.2.6.7 demands them
RECEIVE_SUMS, SUM_CHECKED = 0x5000, 1 << 9
GROUPS, GROUPS_COUNT = 0x5200, 128
MAC_LOW, MAC_HIGH, MAC_VALID = 0x5400, 0x5404, 1 << 31

# Descriptors.
SIZE = 256  # of each ring, a page
DONE, LAST, UNCHECKED, SUM_SEEN = 1, 2, 4, 0x20  # status of a received one
BAD_FRAME, BAD_SUM = 0x97, 0x60  # errors
SEND_LAST, SEND_CHECKSUM_OF_FRAME, SEND_REPORT, EXTENDED, DATA = 1 << 24, 1 << 25, 1 << 27, 1 << 29, 1 << 20
FILL_SUM = 2 << 8  # options of a data descriptor

MTU = 1500
MOST_PIECES = 16  # of a packet that is sent; one in more is copied together
MOST_WAITING = 1000
BATCH, BUDGET, TURN = 16, 64, 50_000  # as with virtio
LISTENED = LINK_CHANGED | FEW_BUFFERS | OVERRUN | RECEIVED
RESET_PATIENCE = 100_000  # readings

# The link came back, or was lost. No lock is held.
on_card_link = hook(Fn[[Interface, u64], None])


@struct
class Model:
    """What is special about a device."""

    device: u16  # its PCI ID
    messages: bool  # it interrupts by messages
    gap: u32  # between frames


MODELS = constant(Array[Model, 5], [
    {"device": 0x1004, "messages": False, "gap": 0x00602008},  # 82543GC
    {"device": 0x1008, "messages": False, "gap": 0x00602008},  # 82544GC
    {"device": 0x100E, "messages": False, "gap": 0x0060200A},  # 82540EM, e1000 of QEMU and VirtualBox
    {"device": 0x100F, "messages": False, "gap": 0x0060200A},  # 82545EM, VMware's
    {"device": 0x10D3, "messages": True, "gap": 0x00602008},  # 82574L, e1000e
])  # fmt: skip


@metal
def model_of(device: u16) -> Ptr[Model]:
    """The model with a PCI ID, None if it is another device."""
    for model in MODELS:
        if model.device == device:
            return model
    return None


@struct
class Received:
    """A receive descriptor (3.2.3)."""

    address: u64
    length: u16
    sum: u16
    status: u8
    errors: u8
    special: u16


@struct
class Card:
    """One device."""

    interface: Interface
    space: Ptr[RegisterSpace]
    registers: u64
    model: Ptr[Model]
    input_lock: SpinLock  # protects the four below
    input: u64  # address of the receive ring
    taken: u32  # the next descriptor that the device fills
    filled: Array[Ptr[Packet], SIZE]  # the buffers it has
    polling: bool
    output_lock: SpinLock  # protects all below but the timer
    output: u64  # address of the transmit ring
    added: u32  # the next descriptor to be used
    shown: u32  # up to which the device knows
    collected: u32  # the first that the device has
    sending: Array[Ptr[Packet], SIZE]  # packets, at their last descriptor
    context: u64  # which checksum the device was told of last
    waiting: Packets
    waiting_count: u32
    timer: Timer

    def read(self, register: u64) -> u32:
        """Read a register."""
        space: RegisterSpace = self.space
        return space.read32(self.registers + register)

    def write(self, register: u64, value: u32) -> None:
        """Write a register."""
        space: RegisterSpace = self.space
        space.write32(self.registers + register, value)

    def start(self) -> i64:
        """Start the device, whose registers and model are filled in. 0, -ENXIO (it doesn't answer) or -ENOMEM."""
        self.write(MASK, 0xFFFF_FFFF)
        self.write(CONTROL, self.read(CONTROL) | RESET)
        patience: u32 = RESET_PATIENCE
        while self.read(CONTROL) & RESET != 0:
            patience -= 1
            if patience == 0:
                return -ENXIO
        self.write(MASK, 0xFFFF_FFFF)
        self.input = ring()
        self.output = ring()
        if self.input == 0 or self.output == 0 or not self.fill():
            return -ENOMEM
        self.describe()
        self.write(CONTROL, self.read(CONTROL) | LINK_ON | DETECT_SPEED)
        for index in range(u64(GROUPS_COUNT)):
            self.write(GROUPS + index * 4, 0)
        self.connect(RECEIVE_RING, self.input)
        self.connect(TRANSMIT_RING, self.output)
        model: Model = self.model
        self.write(GAP, model.gap)
        self.write(TRANSMIT_RING + RING_MODE, self.read(TRANSMIT_RING + RING_MODE) | COUNTED)
        self.write(RECEIVE_SUMS, SUM_CHECKED)
        self.write(THROTTLE, 0)
        self.write(TRANSMIT_CONTROL, ENABLE | PAD | COLLISIONS)
        # Frames longer than buffers are not taken: long packets are off.
        self.write(RECEIVE_CONTROL, ENABLE | ALL_MULTICAST | BROADCAST | STRIP_SUM)
        self.write(RECEIVE_RING + RING_TAIL, SIZE - 1)
        self.interface.running = self.link()
        self.timer.callback = timer_fired
        self.read(CAUSE)
        self.write(UNMASK, LISTENED)
        return 0

    def fill(self) -> bool:
        """Give the device all its buffers, which it keeps as many as. False: there is no memory."""
        for index in range(u64(SIZE)):
            packet = allocate(BUFFER, 0)
            if packet is None:
                return False
            self.give(u32(index), packet)
        return True

    def describe(self) -> None:
        """Fill the interface in."""
        interface = self.interface
        interface.kind = Kind.ETHERNET
        interface.transmit = transmit
        interface.flush = flush
        interface.mtu = MTU
        interface.features = CHECKSUM
        low, high = self.read(MAC_LOW), self.read(MAC_HIGH)
        mac: u64 = 0
        for index in range(u32(6)):
            byte = low >> (index * 8) if index < 4 else high >> ((index - 4) * 8)
            mac = mac << 8 | u64(byte & 0xFF)
        if high & MAC_VALID == 0 or mac == 0 or mac & ethernet.GROUP_BIT != 0:
            mac = (random_u64() >> 16 & ~u64(ethernet.GROUP_BIT)) | ethernet.GROUP_BIT << 1
            swapped: u64 = 0
            for place in range(u64(6)):
                swapped |= (mac >> (40 - place * 8) & 0xFF) << (place * 8)
            self.write(MAC_LOW, u32.wrap(swapped))
            self.write(MAC_HIGH, u32(swapped >> 32) | MAC_VALID)
        interface.mac = mac
        interface.up = True

    def connect(self, registers: u64, address: u64) -> None:
        """Tell the device of a ring."""
        at = physical(address)
        self.write(registers + RING_LOW, u32.wrap(at))
        self.write(registers + RING_HIGH, u32(at >> 32))
        self.write(registers + RING_SIZE, PAGE_SIZE)
        self.write(registers + RING_HEAD, 0)
        self.write(registers + RING_TAIL, 0)

    def link(self) -> bool:
        """Whether the device says that its link is up."""
        return self.read(STATUS) & LINK_UP != 0

    def give(self, index: u32, packet: Packet) -> None:
        """Put a buffer into a place of the receive ring. With input_lock."""
        packet.start = 0
        entry = self.input + u64(index) * 16
        self.filled[u64(index)] = packet
        unsafe.store(u64, entry, packet.physical(), volatile=True)
        unsafe.store(u64, entry + 8, 0, volatile=True)

    def take_packet(self) -> tuple[Ptr[Packet], bool]:
        """A frame that came, or None; and whether to ask for another: a bad one is passed over. With input_lock."""
        entry = unsafe.at(Received, self.input + u64(self.taken) * 16)
        status = unsafe.load(u8, unsafe.address(entry.status), volatile=True)
        if status & DONE == 0:
            return None, False
        packet: Packet = self.filled[u64(self.taken)]
        length = u32(unsafe.load(u16, unsafe.address(entry.length), volatile=True))
        errors = unsafe.load(u8, unsafe.address(entry.errors), volatile=True)
        fresh: Ptr[Packet] = None
        result: Ptr[Packet] = None
        if status & LAST != 0 and errors & BAD_FRAME == 0 and ethernet.HEADER <= length <= packet.capacity:
            fresh = allocate(BUFFER, 0)
        if fresh is None:
            self.interface.received_dropped += 1
            self.give(self.taken, packet)
        else:
            self.give(self.taken, fresh)
            result = packet
            packet.length = length
            packet.total = length
            if status & (UNCHECKED | SUM_SEEN) == SUM_SEEN and errors & BAD_SUM == 0:
                packet.flags |= CHECKSUM_GOOD
        self.taken = (self.taken + 1) % SIZE
        return result, True

    def run(self) -> None:
        """Take packets in until there are no more, or programs should have a turn. By who set `polling`; no lock."""
        taken: u64 = 0
        done = False
        while taken < BUDGET and not done:
            time = now()
            more = True
            self.write(CAUSE, LISTENED & ~LINK_CHANGED)
            for _ in range(u64(BATCH)):
                packet: Ptr[Packet] = None
                with self.input_lock:
                    packet, more = self.take_packet()
                if packet is None:
                    if more:
                        continue
                    break
                taken += 1
                receive(self.interface, packet, time)
            end_turn()
            with self.input_lock:
                self.write(RECEIVE_RING + RING_TAIL, (self.taken + (SIZE - 1)) % SIZE)
                if not more:
                    # What comes from here on sets its cause, and interrupts.
                    self.polling = False
                    self.write(UNMASK, LISTENED)
                    done = True
        if not done:
            timer_start(self.timer, now() + TURN)

    def interrupted(self) -> None:
        """The device's line or message. The line may be another device's."""
        cause = self.read(CAUSE)
        if cause == 0 or cause == 0xFFFF_FFFF:
            return
        self.write(CAUSE, cause)
        if cause & LINK_CHANGED != 0:
            self.look_at_link()
        if self.waiting_count != 0:
            self.tell()
        if cause & (RECEIVED | FEW_BUFFERS | OVERRUN) == 0:
            return
        with self.input_lock:
            if self.polling:
                return
            self.polling = True
            self.write(MASK, FEW_BUFFERS | OVERRUN | RECEIVED)
        self.run()

    def look_at_link(self) -> None:
        """Is the link up?"""
        running = self.link()
        if running != self.interface.running:
            self.interface.running = running
            changed()
            on_card_link(self.interface, now())

    def tell(self) -> None:
        """Interface.flush."""
        with self.output_lock:
            self.collect()
            self.show()

    def show(self) -> None:
        """Show the device what was added. With output_lock."""
        if self.shown != self.added:
            self.shown = self.added
            self.write(TRANSMIT_RING + RING_TAIL, self.added)

    def collect(self) -> None:
        """Take back what was sent, and send what waits; who waits hears of room by an interrupt. With output_lock."""
        while self.collected != self.added:
            at = self.collected
            while self.sending[u64(at)] is None:
                at = (at + 1) % SIZE
            if unsafe.load(u8, self.output + u64(at) * 16 + 12, volatile=True) & DONE == 0:
                break
            drop(self.sending[u64(at)])
            self.sending[u64(at)] = None
            self.collected = (at + 1) % SIZE
        while self.waiting_count != 0:
            first: Packet = self.waiting.head()
            if not self.add(first):
                return
            self.waiting.pop()
            self.waiting_count -= 1
            if self.waiting_count == 0:
                self.write(MASK, SENT)

    def send(self, packet: Packet) -> None:
        """Interface.transmit."""
        whole: Ptr[Packet] = packet
        if unlikely(pieces(packet) > MOST_PIECES):
            whole = joined(packet)
        if whole is None:
            self.interface.sent_dropped += 1
            return
        with self.output_lock:
            if self.waiting_count == 0:
                self.collect()
                if self.add(whole):
                    return
            if self.waiting_count < MOST_WAITING:
                self.waiting.append(whole)
                self.waiting_count += 1
                if self.waiting_count == 1:
                    self.show()
                    self.write(UNMASK, SENT)
                    self.collect()
                return
        self.interface.sent_dropped += 1
        drop(whole)

    def add(self, packet: Packet) -> bool:
        """Put a packet on the transmit ring. False: there is no room. With output_lock."""
        used = (self.added + SIZE - self.collected) % SIZE
        if used + MOST_PIECES + 2 > SIZE - 1:
            return False
        options: u64 = 0
        if packet.flags & CHECKSUM_WANTED != 0:
            options = FILL_SUM
            begin = u64(u32(packet.checksum_start) - packet.start)
            context = begin << 32 | (begin + u64(packet.checksum_offset)) << 40
            if context != self.context:
                self.context = context
                self.put(context, EXTENDED, 0)
        each: Ptr[Packet] = packet
        while each is not None:
            here: Packet = each
            each = here.more
            command = u64(here.length) | EXTENDED | DATA | SEND_CHECKSUM_OF_FRAME
            if each is None:
                command |= SEND_LAST | SEND_REPORT
                self.sending[u64(self.added)] = packet
            self.put(here.physical(), command, options)
        return True

    def put(self, address: u64, command: u64, options: u64) -> None:
        """The next transmit descriptor. With output_lock."""
        entry = self.output + u64(self.added) * 16
        unsafe.store(u64, entry, address, volatile=True)
        unsafe.store(u64, entry + 8, command | wrapping(options << 32), volatile=True)
        self.added = (self.added + 1) % SIZE


@metal
def ring() -> u64:
    """The address of a zeroed page; 0: there is no memory."""
    page = pages.allocate_order(0)
    if page == 0:
        return 0
    fill(unsafe.slice(u8, virtual(page), PAGE_SIZE), 0)
    return virtual(page)


@metal
def transmit(interface: Interface, packet: Packet) -> None:
    """Interface.transmit."""
    unsafe.container(Card, "interface", pointer(interface)).send(packet)


@metal
def flush(interface: Interface) -> None:
    """Interface.flush."""
    unsafe.container(Card, "interface", pointer(interface)).tell()


@metal
def timer_fired(timer: Ptr[Timer]) -> None:
    """Go on after the programs' turn."""
    unsafe.container(Card, "timer", timer).run()
