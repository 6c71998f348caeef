"""An e1000 from its own side: registers in metal, everything else in Python, from the layout of its descriptors in
Intel's 8254x manual, 3. It shares no code with the driver.
"""

import struct

from goanna.metal import Array, metal, static, u32, u64
from goanna.metal import struct as metal_struct
from tests.kernel.device.virtio.space import word_registers

BASE = 0x10_0000
RING = 256
RX, TX = 0x2800, 0x3800


@metal_struct
class Registers:
    """What the driver sees and says; `words` are those that are plain memory, by offset / 4."""

    words: Array[u32, 0x1800]
    cause: u32
    mask: u32
    resets: u32
    stuck: bool  # a reset never ends
    shown: u32  # writes of the transmit ring's tail


registers = static(Registers)


@metal
def read32(address: u64) -> u32:
    offset = address - BASE
    if offset == 0xC0:
        return registers.cause
    return registers.words[offset // 4]


@metal
def write32(address: u64, value: u32) -> None:
    offset = address - BASE
    match offset:
        case 0xC0:
            registers.cause &= ~value
        case 0xD0:
            registers.mask |= value
        case 0xD8:
            registers.mask &= ~value
        case 0x0000:
            if value & 1 << 26 != 0 and not registers.stuck:
                registers.resets += 1
                value &= ~u32(1 << 26)
            registers.words[0] = value
        case 0x0008:
            pass
        case _:
            if offset == TX + 0x18:
                registers.shown += 1
            registers.words[offset // 4] = value


SPACE = word_registers(read32, write32)


class Device:
    """The device. `memory` is the machine's, by physical address."""

    def __init__(self, unit, memory):
        self.unit, self.memory, self.registers = unit, memory, unit.get(registers)
        self.taken = self.sent = 0
        self.context = None
        self.interrupts = 0

    def word(self, offset):
        """A register."""
        return self.registers.words[offset // 4]

    def ring(self, base):
        """Where a ring lies."""
        return self.word(base) | self.word(base + 4) << 32

    def cause(self, bits):
        """Something happened; whether that interrupts."""
        self.registers.cause |= bits
        interrupts = self.registers.cause & self.registers.mask != 0
        self.interrupts += interrupts
        return interrupts

    def receive(self, frame, status=0x23, errors=0):
        """A frame comes in. False: the driver has no buffer for it."""
        head = self.taken
        if head == self.word(RX + 0x18):
            return False
        entry = self.ring(RX) + head * 16
        (address,) = struct.unpack_from("<Q", self.memory, entry)
        assert len(frame) <= 1522
        self.memory[address : address + len(frame)] = frame
        struct.pack_into("<HHBBH", self.memory, entry + 8, len(frame), 0, status, errors, 0)
        self.taken = (head + 1) % RING
        self.cause(0x80)
        return True

    def transmit(self, most=1000):
        """(frame, checksum's place or None) of what was sent, up to so many descriptors; they are done."""
        found, frame, place = [], b"", None
        while most and self.sent != self.word(TX + 0x18):
            most -= 1
            entry = self.ring(TX) + self.sent * 16
            address, command, status = struct.unpack_from("<QII", self.memory, entry)
            assert command & 1 << 29, "an old descriptor"
            if command >> 20 & 15 == 0:
                self.context = (address >> 32 & 0xFF, address >> 40 & 0xFF)
            else:
                assert command >> 20 & 15 == 1
                length = command & 0xFFFFF
                if status >> 9 & 1:
                    place = self.context
                frame += bytes(self.memory[address : address + length])
                if command & 1 << 24:
                    found.append((frame, place))
                    frame, place = b"", None
            struct.pack_into("<I", self.memory, entry + 12, status | 1)
            self.sent = (self.sent + 1) % RING
            self.cause(1)
        return found
