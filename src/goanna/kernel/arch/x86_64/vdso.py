"""What the vDSO needs of x86-64: the counter in user mode, the system call where that isn't enough, names and version.

The functions are compiled in the vDSO's profile and run in user mode.
"""

from goanna.metal import i64, metal, u64, unsafe, wrapping

from .numbers import SYSCALL_NUMBERS

__all__ = ["VDSO_PREFIX", "VDSO_VERSION", "vdso_barrier", "vdso_call", "vdso_counter"]

VDSO_PREFIX = "__vdso_"
VDSO_VERSION = "LINUX_2.6"


@metal(inline=True)
def vdso_counter() -> u64:
    """The counter, read after everything before it has been done. Reads of memory don't move across."""
    low, high = unsafe.asm("lfence; rdtsc", "={rax},={rdx},~{memory}", result=tuple[u64, u64])
    return wrapping(high << 32) | low


@metal(inline=True)
def vdso_barrier() -> None:
    """Reads of memory before it are done before those after it: the processor keeps them in order."""
    unsafe.asm("", "~{memory}")


def vdso_call(name: str):
    """A function that makes the system call of that name."""
    number = SYSCALL_NUMBERS[name]

    @metal(inline=True)
    def call(first: u64, second: u64, third: u64) -> i64:
        return unsafe.asm(
            "syscall",
            "={rax},{rax},{rdi},{rsi},{rdx},~{rcx},~{r11},~{memory}",
            number,
            first,
            second,
            third,
            result=i64,
        )

    return call
