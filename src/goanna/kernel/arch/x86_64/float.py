"""The vector and floating-point state of a thread, whole, whatever its size. The kernel itself uses none of it.

An area is 64-byte aligned and `float_size()` bytes long, in the standard format of XSAVE (or FXSAVE, whose 512
bytes are its beginning). Intel SDM volume 1, 13.4.
"""

from goanna.metal import fill, metal, u8, u16, u32, u64, unsafe

from .processor import features

__all__ = ["float_init", "float_mask", "float_restore", "float_restore_checked", "float_save", "float_size"]

CONTROL_WORD, MXCSR = 0x37F, 0x1F80  # as a program starts: all exceptions masked, extended precision
MXCSR_OFFSET = 24


@metal(inline=True)
def float_size() -> u64:
    """Bytes of an area."""
    return features.float_size


@metal(inline=True)
def float_mask() -> u64:
    """The parts of the state that are kept, as bits of XCR0; 0 where the processor has FXSAVE alone."""
    return features.xcr0


@metal
def float_init(address: u64) -> None:
    """Make an area hold the state with which a program starts."""
    fill(unsafe.slice(u8, address, features.float_size), 0)
    unsafe.store(u16, address, CONTROL_WORD)
    unsafe.store(u32, address + MXCSR_OFFSET, MXCSR)


@metal
def float_save(address: u64) -> None:
    """Keep this processor's state in an area."""
    low, high = u32.wrap(features.xcr0), u32.wrap(features.xcr0 >> 32)
    if features.xsaveopt:
        unsafe.asm("xsaveopt64 ($0)", "r,{eax},{edx},~{memory}", address, low, high)
    elif features.xsave:
        unsafe.asm("xsave64 ($0)", "r,{eax},{edx},~{memory}", address, low, high)
    else:
        unsafe.asm("fxsave64 ($0)", "r,~{memory}", address)


@metal
def float_restore(address: u64) -> None:
    """Load this processor's state from an area that the kernel wrote."""
    if features.xsave:
        low, high = u32.wrap(features.xcr0), u32.wrap(features.xcr0 >> 32)
        unsafe.asm("xrstor64 ($0)", "r,{eax},{edx},~{memory}", address, low, high)
    else:
        unsafe.asm("fxrstor64 ($0)", "r,~{memory}", address)


# The record after the instruction sends a fault to the second label, with the answer 1 in eax.
_XRSTOR, _FXRSTOR = (
    f"1: {name} ($1)\nxorl %eax, %eax\njmp 3f\n2: movl $$1, %eax\n3:\n"
    '.pushsection .goanna.extable, "a"\n.quad 1b, 2b\n.popsection'
    for name in ("xrstor64", "fxrstor64")
)


@metal
def float_restore_checked(address: u64) -> bool:
    """The same from an area (in kernel memory) whose content a program chose. False: the processor refuses it."""
    failed: u32 = 0
    if features.xsave:
        low, high = u32.wrap(features.xcr0), u32.wrap(features.xcr0 >> 32)
        failed = unsafe.asm(_XRSTOR, "={eax},r,0,{edx},~{memory},~{flags}", address, low, high, result=u32)
    else:
        failed = unsafe.asm(_FXRSTOR, "={eax},r,~{memory},~{flags}", address, result=u32)
    return failed == 0
