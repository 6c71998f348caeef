"""A virtio network device from its own side: registers in metal, everything else in Python, from the rings' layout in
virtio 1.2, 2.7. It shares no code with the driver.
"""

import struct

from goanna.kernel.arch import virtual
from goanna.kernel.arch.host import arena as host_arena
from goanna.kernel.device.registers import RegisterSpace
from goanna.metal import Array, constant, metal, static, u8, u16, u32, u64, unsafe
from goanna.metal import struct as metal_struct

BASE = 0x1000
QUEUE_SIZE = 64
CSUM, GUEST_CSUM, MTU, MAC, GUEST_TSO4, GUEST_TSO6 = 1 << 0, 1 << 1, 1 << 3, 1 << 5, 1 << 7, 1 << 8
HOST_TSO4, HOST_TSO6, MERGE, STATUS = 1 << 11, 1 << 12, 1 << 15, 1 << 16
CONTROL, PAIRS, ANY_LAYOUT, EVENT_INDEX, VERSION_1 = 1 << 17, 1 << 22, 1 << 27, 1 << 29, 1 << 32
MOST_QUEUES = 9


@metal_struct
class Registers:
    """What the driver sees and says."""

    version: u32
    features: u64
    agreed: u64
    select: u32
    queue: u32
    largest: u32  # descriptors of a queue
    queues: u32  # it has so many; the last one takes commands, if they are odd
    sizes: Array[u32, MOST_QUEUES]
    descriptors: Array[u64, MOST_QUEUES]  # physical
    available: Array[u64, MOST_QUEUES]
    used: Array[u64, MOST_QUEUES]
    ready: Array[u32, MOST_QUEUES]
    notified: Array[u32, MOST_QUEUES]
    pairs: u32  # that the driver asked for
    answer: u32  # to commands; beyond a byte: none
    status: u32
    cause: u32
    configuration: Array[u8, 16]


registers = static(Registers)


@metal
def read32(address: u64) -> u32:
    register = address - BASE
    match register:
        case 0x000:
            return 0x74726976
        case 0x004:
            return registers.version
        case 0x008:
            return 1
        case 0x010:
            return u32.wrap(registers.features >> (registers.select * 32))
        case 0x034:
            return registers.largest if registers.queue < registers.queues else u32(0)
        case 0x060:
            return registers.cause
        case 0x070:
            return registers.status
        case _:
            return 0


@metal
def read8(address: u64) -> u8:
    offset = address - BASE - 0x100
    return registers.configuration[offset] if offset < 16 else u8(0)


@metal
def read16(address: u64) -> u16:
    return u16(read8(address)) | u16(read8(address + 1)) << 8


@metal
def obey(queue: u64) -> None:
    """Do the first command of a queue: set the number of pairs. In three buffers, two of them to be read."""
    head = u64(unsafe.load(u16, virtual(registers.available[queue]) + 4))
    at = virtual(registers.descriptors[queue]) + head * 16
    words = Array[u64, 3]()
    for index in range(u64(3)):
        words[index] = virtual(unsafe.load(u64, at))
        at = virtual(registers.descriptors[queue]) + u64(unsafe.load(u16, at + 14)) * 16
    if registers.answer <= 0xFF and unsafe.load(u16, words[0]) == 4:  # class 4, command 0
        registers.pairs = u32(unsafe.load(u16, words[1]))
        unsafe.store(u8, words[2], u8(registers.answer))
        used = virtual(registers.used[queue])
        unsafe.store(u32, used + 4, u32(head))
        unsafe.store(u16, used + 2, 1)


@metal
def write32(address: u64, value: u32) -> None:
    queue = u64(registers.queue)
    match address - BASE:
        case 0x014 | 0x024:
            registers.select = value
        case 0x020:
            registers.agreed |= u64(value) << (registers.select * 32)
        case 0x030:
            registers.queue = value
        case 0x038:
            registers.sizes[queue] = value
        case 0x040:
            registers.descriptors[queue] = u64(value) * 4096
            registers.available[queue] = registers.descriptors[queue] + u64(registers.sizes[queue]) * 16
            end = registers.available[queue] + 6 + u64(registers.sizes[queue]) * 2
            registers.used[queue] = (end + 4095) // 4096 * 4096
            registers.ready[queue] = 1
        case 0x044:
            registers.ready[queue] = value
        case 0x050:
            registers.notified[u64(value)] += 1
            if value == registers.queues - 1 and registers.queues & 1 != 0:
                obey(u64(value))
        case 0x064:
            registers.cause &= ~value
        case 0x070:
            registers.status = value
            if value == 0:
                registers.agreed = 0
        case 0x080:
            registers.descriptors[queue] = u64(value)
        case 0x090:
            registers.available[queue] = u64(value)
        case 0x0A0:
            registers.used[queue] = u64(value)
        case _:
            pass


@metal
def write8(address: u64, value: u8) -> None:
    write32(address, u32(value))


@metal
def write16(address: u64, value: u16) -> None:
    write32(address, u32(value))


SPACE = constant(
    RegisterSpace,
    {
        "read8": read8, "read16": read16, "read32": read32, "write8": write8, "write16": write16, "write32": write32,
    },
)  # fmt: skip


class Ring:
    """One queue, from the device's side."""

    def __init__(self, device, number):
        state = device.registers
        self.device, self.number = device, number
        self.size = state.sizes[number]
        self.descriptors, self.available, self.used = (
            each[number] for each in (state.descriptors, state.available, state.used)
        )
        self.seen = self.done = 0
        self.interrupts = 0  # that the driver asked for

    def look(self):
        """The heads of the chains that are new."""
        memory, heads = self.device.memory, []
        while self.seen != struct.unpack_from("<H", memory, self.available + 2)[0]:
            heads.append(struct.unpack_from("<H", memory, self.available + 4 + self.seen % self.size * 2)[0])
            self.seen = (self.seen + 1) & 0xFFFF
        return heads

    def parts(self, head):
        """The stretches of a chain: (address, length, whether the device may write)."""
        found = []
        while True:
            at = self.descriptors + head * 16
            address, length, flags, following = struct.unpack_from("<QIHH", self.device.memory, at)
            found.append((address, length, flags & 2 != 0))
            if flags & 1 == 0:
                return found
            head = following

    def give(self, head, written):
        """Say that a chain is done."""
        memory = self.device.memory
        struct.pack_into("<II", memory, self.used + 4 + self.done % self.size * 8, head & 0xFFFFFFFF, written)
        before, self.done = self.done, (self.done + 1) & 0xFFFF
        struct.pack_into("<H", memory, self.used + 2, self.done)
        if self.device.has(EVENT_INDEX):
            wanted = struct.unpack_from("<H", memory, self.available + 4 + self.size * 2)[0] == before
        else:
            wanted = struct.unpack_from("<H", memory, self.available)[0] & 1 == 0
        self.interrupts += wanted

    def read(self, head):
        """The bytes that a chain holds."""
        return b"".join(bytes(self.device.memory[at : at + size]) for at, size, _ in self.parts(head))

    def write(self, head, data):
        """Write bytes into a chain, as many as fit."""
        for at, size, writable in self.parts(head):
            assert writable, "the device writes where it may not"
            part, data = data[:size], data[size:]
            self.device.memory[at : at + len(part)] = part
        return data


class Device:
    """The whole device. `memory` is the machine's, by physical address."""

    def __init__(self, unit, memory):
        self.registers, self.memory = unit.get(registers), memory
        self.waiting = []

    def start(self):
        """The driver has started: look at its queues."""
        self.input, self.output = Ring(self, 0), Ring(self, 1)
        numbers = range(0, self.registers.queues - 1, 2)
        self.pairs = [(Ring(self, number), Ring(self, number + 1)) for number in numbers]
        self.waiting = self.input.look()

    def has(self, feature):
        """Whether a feature was agreed on."""
        return self.registers.agreed & feature != 0

    @property
    def header(self):
        """The bytes in front of each frame."""
        return 12 if self.has(MERGE) or self.has(VERSION_1) else 10

    def receive(self, frame, flags=0, buffers=None):
        """A frame comes in. False: the driver has too few buffers for it."""
        self.waiting += self.input.look()
        data = struct.pack("<BBHHHH", flags, 0, 0, 0, 0, 0) + b"\1\0" * (self.header == 12) + frame
        heads, sizes = [], []
        while True:
            if not self.waiting:
                self.waiting = heads
                return False
            heads.append(self.waiting.pop(0))
            left = self.input.write(heads[-1], data)
            sizes.append(len(data) - len(left))
            data = left
            if not data or not self.has(MERGE):
                break
        if self.header == 12:
            first = self.input.parts(heads[0])[0][0]
            struct.pack_into("<H", self.memory, first + 10, len(heads) if buffers is None else buffers)
        for head, size in zip(heads, sizes, strict=True):
            self.input.give(head, size)
        return True

    def transmitted(self):
        """(header, frame) of what was sent, which is not given back yet."""
        return [(head, data[: self.header], data[self.header :]) for head in self.output.look()
                for data in [self.output.read(head)]]  # fmt: skip


def arena_address():
    """The static that says where physical memory lies."""
    return host_arena.arena
