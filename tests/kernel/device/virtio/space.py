"""Registers of a model of a device: each is 32 bits wide, and narrower accesses see its low bits."""

from goanna.kernel.device.registers import RegisterSpace
from goanna.metal import constant, metal, u8, u16, u32, u64

__all__ = ["word_registers"]


def word_registers(read32, write32):
    """The space in which a driver finds such registers."""

    @metal
    def read8(address: u64) -> u8:
        return u8.wrap(read32(address))

    @metal
    def read16(address: u64) -> u16:
        return u16.wrap(read32(address))

    @metal
    def write8(address: u64, value: u8) -> None:
        write32(address, u32(value))

    @metal
    def write16(address: u64, value: u16) -> None:
        write32(address, u32(value))

    return constant(
        RegisterSpace,
        {
            "read8": read8, "read16": read16, "read32": read32,
            "write8": write8, "write16": write16, "write32": write32,
        },
    )  # fmt: skip
