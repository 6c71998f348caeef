"""A space in which device registers lie: memory, or the ports of a PC. Drivers are handed one and never ask which."""

from goanna.metal import Fn, constant, metal, struct, u8, u16, u32, u64, unsafe

__all__ = ["IN_MEMORY", "RegisterSpace"]


@struct
class RegisterSpace:
    """How registers are reached. Addresses are the kernel's own in memory, and port numbers in port space."""

    read8: Fn[[u64], u8]
    read16: Fn[[u64], u16]
    read32: Fn[[u64], u32]
    write8: Fn[[u64, u8], None]
    write16: Fn[[u64, u16], None]
    write32: Fn[[u64, u32], None]


@metal
def memory_read8(address: u64) -> u8:
    """Read a byte."""
    return unsafe.load(u8, address, volatile=True)


@metal
def memory_read16(address: u64) -> u16:
    """Read 16 bits."""
    return unsafe.load(u16, address, volatile=True)


@metal
def memory_read32(address: u64) -> u32:
    """Read 32 bits."""
    return unsafe.load(u32, address, volatile=True)


@metal
def memory_write8(address: u64, value: u8) -> None:
    """Write a byte."""
    unsafe.store(u8, address, value, volatile=True)


@metal
def memory_write16(address: u64, value: u16) -> None:
    """Write 16 bits."""
    unsafe.store(u16, address, value, volatile=True)


@metal
def memory_write32(address: u64, value: u32) -> None:
    """Write 32 bits."""
    unsafe.store(u32, address, value, volatile=True)


IN_MEMORY = constant(
    RegisterSpace,
    {
        "read8": memory_read8,
        "read16": memory_read16,
        "read32": memory_read32,
        "write8": memory_write8,
        "write16": memory_write16,
        "write32": memory_write32,
    },
)
