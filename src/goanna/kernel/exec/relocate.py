"""Moves a position-independent program that leaves this to its interpreter, as `go build -buildmode=pie` writes them.

Such a program names an interpreter (ld.so) and no library. All that the interpreter would have done is to add the base
to the words that the table lists, and then to take away the right to write where the program asks for it (RELRO).
"""

from goanna.kernel.arch import ELF_RELATIVE
from goanna.kernel.base.errno import EFAULT, ENOEXEC
from goanna.kernel.exec.elf import RELA_SIZE, Layout
from goanna.kernel.memory.remote import Window
from goanna.kernel.memory.space import AddressSpace
from goanna.metal import Array, i64, metal, struct, u8, u64, unsafe, wrapping

__all__ = ["relocate"]

AT_ONCE = 64  # entries read at a time


@struct
class Relocation:
    """Elf64_Rela."""

    offset: u64
    info: u64  # kind in the low half, symbol in the high half
    addend: u64


@metal
def relocate(space: AddressSpace, layout: Layout, bias: u64) -> i64:
    """Apply the table of a mapped program. 0, -ENOEXEC (an entry that is not relative), -EFAULT (one astray)."""
    table = Window()
    table.start(space)
    target = Window()
    target.start(space)
    batch = Array[Relocation, AT_ONCE]()
    size = layout.relocations_size
    if size % RELA_SIZE != 0 or size > layout.high - layout.low:
        return -ENOEXEC
    done: u64 = 0
    while done < size:
        count = min((size - done) // RELA_SIZE, u64(AT_ONCE))
        bytes_here = unsafe.slice(u8, unsafe.address(batch), count * RELA_SIZE)
        if table.read(bytes_here, wrapping(bias + layout.relocations + done)) != 0:
            return -EFAULT
        for each in batch[0:count]:
            if each.info != ELF_RELATIVE:
                return -ENOEXEC
            if each.offset < layout.low or each.offset > layout.high - 8:
                return -EFAULT
            if target.put(wrapping(bias + each.offset), wrapping(bias + each.addend)) != 0:
                return -EFAULT
        done += count * RELA_SIZE
    return 0
