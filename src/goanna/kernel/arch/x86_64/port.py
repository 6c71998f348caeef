"""Port input and output."""

from goanna.metal import Slice, metal, u8, u16, u32, u64, unsafe

__all__ = ["in8", "in16", "in32", "in_bytes", "out8", "out16", "out32", "out_bytes"]


@metal(inline=True)
def in8(port: u16) -> u8:
    """Read a byte."""
    return unsafe.asm("inb $1, $0", "={al},{dx},~{memory}", port, result=u8)


@metal(inline=True)
def in16(port: u16) -> u16:
    """Read 16 bits."""
    return unsafe.asm("inw $1, $0", "={ax},{dx},~{memory}", port, result=u16)


@metal(inline=True)
def in32(port: u16) -> u32:
    """Read 32 bits."""
    return unsafe.asm("inl $1, $0", "={eax},{dx},~{memory}", port, result=u32)


@metal(inline=True)
def out8(port: u16, value: u8) -> None:
    """Write a byte."""
    unsafe.asm("outb $1, $0", "{dx},{al},~{memory}", port, value)


@metal(inline=True)
def out16(port: u16, value: u16) -> None:
    """Write 16 bits."""
    unsafe.asm("outw $1, $0", "{dx},{ax},~{memory}", port, value)


@metal(inline=True)
def out32(port: u16, value: u32) -> None:
    """Write 32 bits."""
    unsafe.asm("outl $1, $0", "{dx},{eax},~{memory}", port, value)


@metal
def in_bytes(port: u16, target: Slice[u8]) -> None:
    """Fill `target` with bytes read one after another: one instruction, so one exit of a virtual machine a page."""
    unsafe.asm(
        "cld; rep insb", "={rdi},={rcx},{dx},0,1,~{memory},~{flags}", port, unsafe.address(target), u64(len(target)),
        result=tuple[u64, u64],
    )  # fmt: skip


@metal
def out_bytes(port: u16, source: Slice[u8]) -> None:
    """Write all bytes of `source` to a port."""
    unsafe.asm(
        "cld; rep outsb", "={rsi},={rcx},{dx},0,1,~{memory},~{flags}", port, unsafe.address(source), u64(len(source)),
        result=tuple[u64, u64],
    )  # fmt: skip
