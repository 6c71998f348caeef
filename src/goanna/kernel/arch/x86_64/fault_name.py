"""The exceptions of the processor in words, for panics (Intel SDM volume 3, table 7-1)."""

from goanna.metal import Array, Slice, constant, metal, u8, u32, u64

NAMES = [
    "division error", "debug exception", "NMI", "breakpoint", "overflow", "bound range", "invalid instruction",
    "no FPU", "double fault", "segment overrun", "invalid TSS", "segment not present", "stack segment fault",
    "general protection fault", "page fault", "", "FPU error", "alignment check", "machine check", "SIMD error",
    "virtualization exception", "control protection exception",
]  # fmt: skip
WIDTH = max(len(name) for name in NAMES)
TABLE = constant(Array[u8, WIDTH * len(NAMES)], "".join(name.ljust(WIDTH, "\0") for name in NAMES).encode())


@metal
def fault_name(vector: u32) -> Slice[u8]:
    """What an exception is called."""
    if vector >= len(NAMES):
        return b"unknown exception"
    start = u64(vector) * WIDTH
    length: u64 = 0
    while length < WIDTH and TABLE[start + length] != 0:
        length += 1
    return TABLE[start : start + length]
