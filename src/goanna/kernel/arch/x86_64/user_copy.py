"""Access to a program's memory by instructions that may fault.

A page fault in one of them is served by the memory room; where it can't be, or for an address that is none, the
trap code goes on at the second address of the instruction's record in `.goanna.extable`. Addresses past the user
half count as faults. May block: no spin lock is held.
"""

from goanna.metal import metal, u32, u64, unsafe

from .layout import USER_TOP
from .trap import smap

__all__ = ["user_compare_exchange32", "user_copy_in", "user_copy_out", "user_load32", "user_store32", "user_zero"]

_OPEN = """
    cmpb $0, {smap}(%rip)
    je 91f
    stac
91:
"""
_CLOSE = """
    cmpb $0, {smap}(%rip)
    je 92f
    clac
92:
"""


def _record(fault: str, go_on: str) -> str:
    return f'.pushsection .goanna.extable, "a"\n.quad {fault}, {go_on}\n.popsection\n'


def _bulk(wide: str, narrow: str) -> str:
    """Words first, then the bytes that are left; a fault among the words goes on by bytes, to the exact end."""
    return f"""
    {_OPEN}
    cld
    movq %rdx, %rcx
    shrq $3, %rcx
    andl $7, %edx
1:  rep {wide}
2:  movl %edx, %ecx
3:  rep {narrow}
4:  movq %rcx, %rax
    {_CLOSE}
    ret
5:  leaq (%rdx,%rcx,8), %rcx
    jmp 3b
    {_record("1b", "5b")}
    {_record("3b", "4b")}
"""


_COPY = _bulk("movsq", "movsb")
# Zeroing has the count in its second argument.
_ZERO = "movq %rsi, %rdx\n" + "xorl %eax, %eax\n" + _bulk("stosq", "stosb")


@metal(naked=True)
def copy_bytes(destination: u64, source: u64, count: u64) -> u64:
    """Copy; how many bytes, those from the fault on, were not."""
    unsafe.asm(_COPY, smap=smap)


@metal(naked=True)
def zero_bytes(address: u64, count: u64) -> u64:
    """Zero; how many bytes were not."""
    unsafe.asm(_ZERO, smap=smap)


@metal(inline=True)
def reachable(address: u64, count: u64) -> u64:
    """How many of `count` bytes lie in the user half."""
    return min(count, USER_TOP - address) if address < USER_TOP else u64(0)


@metal
def user_copy_in(destination: u64, source: u64, count: u64) -> u64:
    """Copy `count` bytes from a program's memory at `source`. Gives how many were not copied: 0, or those from the
    fault on.
    """
    allowed = reachable(source, count)
    return copy_bytes(destination, source, allowed) + (count - allowed)


@metal
def user_copy_out(destination: u64, source: u64, count: u64) -> u64:
    """Copy `count` bytes to a program's memory at `destination`. Gives how many were not copied."""
    allowed = reachable(destination, count)
    return copy_bytes(destination, source, allowed) + (count - allowed)


@metal
def user_zero(address: u64, count: u64) -> u64:
    """Zero a program's memory. Gives how many bytes were not."""
    allowed = reachable(address, count)
    return zero_bytes(address, allowed) + (count - allowed)


_EXCHANGE = f"""
    {_OPEN}
    movl %esi, %eax
    xorl %r8d, %r8d
1:  lock cmpxchgl %edx, (%rdi)
2:  {_CLOSE}
    shlq $32, %r8
    orq %r8, %rax
    ret
3:  movl $1, %r8d
    jmp 2b
    {_record("1b", "3b")}
"""
_LOAD = f"""
    {_OPEN}
    xorl %eax, %eax
    xorl %r8d, %r8d
1:  movl (%rdi), %eax
2:  {_CLOSE}
    shlq $32, %r8
    orq %r8, %rax
    ret
3:  movl $1, %r8d
    jmp 2b
    {_record("1b", "3b")}
"""


_STORE = f"""
    {_OPEN}
    xorl %eax, %eax
1:  movl %esi, (%rdi)
2:  {_CLOSE}
    ret
3:  movl $1, %eax
    jmp 2b
    {_record("1b", "3b")}
"""


@metal(naked=True)
def exchange32(address: u64, expected: u32, new: u32) -> u64:
    """The old value, and bit 32 if it faulted."""
    unsafe.asm(_EXCHANGE, smap=smap)


@metal(naked=True)
def load32(address: u64) -> u64:
    """The value, and bit 32 if it faulted."""
    unsafe.asm(_LOAD, smap=smap)


@metal(naked=True)
def store32(address: u64, value: u32) -> u32:
    """1 if it faulted."""
    unsafe.asm(_STORE, smap=smap)


@metal
def user_compare_exchange32(address: u64, expected: u32, new: u32) -> tuple[bool, u32]:
    """Put `new` in place of `expected` in a program's memory, atomically. Whether it faulted, and the value found."""
    if address > USER_TOP - 4:
        return True, u32(0)
    both = exchange32(address, expected, new)
    return both >> 32 != 0, u32.wrap(both)


@metal
def user_load32(address: u64) -> tuple[bool, u32]:
    """Read 32 bits of a program's memory at once. Whether it faulted, and the value."""
    if address > USER_TOP - 4:
        return True, u32(0)
    both = load32(address)
    return both >> 32 != 0, u32.wrap(both)


@metal
def user_store32(address: u64, value: u32) -> bool:
    """Write 32 bits of a program's memory at once; whether it faulted."""
    return address > USER_TOP - 4 or store32(address, value) != 0
