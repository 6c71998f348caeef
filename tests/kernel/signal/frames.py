"""x86-64 signal frames outside of a kernel: the user stack is a buffer of the test, vector registers are an area."""

import ctypes
import os

from goanna.kernel.arch.signal_setup import SignalReturn, SignalSetup
from goanna.kernel.arch.x86_64 import cpu, processor, signal_frame
from goanna.kernel.arch.x86_64.frame import Frame
from goanna.metal import Slice, copy, jit, metal, static, u8, u32, u64, unsafe

STACK = 64 << 10
MXCSR_MASK = 0xFFFF

low = static(u64)  # the user stack: [low, high)
high = static(u64)


@metal
def copy_out(destination: u64, source: u64, count: u64) -> u64:
    if destination < low or destination + count > high:
        return count
    copy(unsafe.slice(u8, destination, count), unsafe.slice(u8, source, count))
    return 0


@metal
def copy_in(destination: u64, source: u64, count: u64) -> u64:
    if source < low or source + count > high:
        return count
    copy(unsafe.slice(u8, destination, count), unsafe.slice(u8, source, count))
    return 0


@metal
def unchanged(address: u64) -> None:
    pass


@metal
def push(frame: Frame, area: u64, setup: SignalSetup, information: Slice[u8]) -> bool:
    setup.information = information
    return signal_frame.signal_frame_push(frame, area, setup)


@metal
def pop(frame: Frame, area: u64, scratch: Slice[u8], out: SignalReturn) -> bool:
    return signal_frame.signal_frame_pop(frame, area, scratch, out)


@metal
def state_size() -> u64:
    """Bytes of the vector state that this processor has of what the kernel keeps."""
    size: u64 = 576
    for part in range(u32(2), u32(8)):
        if (processor.features.xcr0 >> part) & 1 != 0:
            length, offset, _, _ = cpu.cpuid(0xD, part)
            size = max(size, u64(offset) + u64(length))
    return size


@metal
def loads(area: u64, keep: u64) -> None:
    """Load registers from an area and the test's own again: a fault ends the test's process."""
    every: u32 = 0xFFFFFFFF
    unsafe.asm("xsave64 ($0)", "r,{eax},{edx},~{memory}", keep, every, every)
    low_half, high_half = u32.wrap(processor.features.xcr0), u32.wrap(processor.features.xcr0 >> 32)
    unsafe.asm("xrstor64 ($0)", "r,{eax},{edx},~{memory}", area, low_half, high_half)
    unsafe.asm("xrstor64 ($0)", "r,{eax},{edx},~{memory}", keep, every, every)


class Area:
    """Aligned memory."""

    def __init__(self, size, alignment=64):
        self.buffer = ctypes.create_string_buffer(size + alignment)
        self.address = ctypes.addressof(self.buffer)
        self.address += -self.address % alignment
        self.bytes = (ctypes.c_uint8 * size).from_address(self.address)

    def __setitem__(self, place, value):
        self.bytes[place] = list(value) if isinstance(value, bytes) else value

    def __getitem__(self, place):
        found = self.bytes[place]
        return bytes(found) if isinstance(place, slice) else found

    def word(self, offset, size=8):
        return int.from_bytes(self[offset : offset + size], "little")

    def set_word(self, offset, value, size=8):
        self[offset : offset + size] = value.to_bytes(size, "little")


class Bench:
    """A compiled unit with a stack of random bytes and a float area."""

    def __init__(self, extended=True):
        names = ("user_copy_in", "user_copy_out", "float_save", "float_restore")
        before = {name: getattr(signal_frame, name) for name in names}
        replaced = (copy_in, copy_out, unchanged, unchanged)
        try:
            for name, function in zip(names, replaced, strict=True):
                setattr(signal_frame, name, function)
            self.unit = jit(push, pop, loads, state_size, processor.detect_features, processor.features, low, high)
        finally:
            for name, function in before.items():
                setattr(signal_frame, name, function)
        self.unit.call(processor.detect_features)
        features = self.unit.static(processor.features)
        if extended:
            features.float_size = self.unit.call(state_size)
        else:
            features.xsave, features.xcr0, features.float_size = False, 0, 512
        self.size, self.xcr0 = features.float_size, features.xcr0
        self.stack, self.area, self.scratch = Area(STACK, 4096), Area(self.size), Area(self.size)
        self.keep = Area(16384)
        self.reset()

    def reset(self):
        """A clean float area as a thread has it after running, and a stack full of rubbish."""
        self.stack[:] = os.urandom(STACK)
        self.unit.set(low, self.stack.address)
        self.unit.set(high, self.stack.address + STACK)
        self.area[:] = bytes(self.size)
        self.area.set_word(0, 0x37F, 2)
        self.area.set_word(24, 0x1F80, 4)
        self.area.set_word(28, MXCSR_MASK, 4)
        if self.size > 512:
            self.area.set_word(512, 3)

    def frame(self, **values):
        """A user frame whose stack pointer lies in the middle of the stack."""
        made = self.unit.new(Frame, rsp=self.stack.address + STACK - 0x1000, cs=0x23, ss=0x1B, rflags=0x202)
        for name, value in values.items():
            setattr(made, name, value)
        return made

    def push(self, frame, information=bytes(128), **values):
        values = {"number": 11, "handler": 0x401000, "flags": 0x04000004, "restorer": 0x402000} | values
        stack = values.pop("stack", None)
        setup = self.unit.new(SignalSetup, **values)
        if stack:
            setup.stack.address, setup.stack.size, setup.stack.flags = stack
        return self.unit.call(push, frame, self.area.address, setup, information)

    def pop(self, frame):
        out = self.unit.new(SignalReturn)
        done = self.unit.call(pop, frame, self.area.address, self.scratch.bytes, out)
        return out if done else None
