"""Atomic bytes and half words: riscv64 has none, and works on the word around them, whose rest must not change."""

from goanna.metal import Array, Atomic, metal, static, struct, u8, u16, u32, u64

EXPECTED = 0x11_7FFE_44_0000_0005


@struct
class Cells:
    before: u8
    byte: Atomic[u8]
    half: Atomic[u16]
    word: Atomic[u32]
    after: Array[u8, 8]


cells = static(Cells)


@metal
def program() -> u64:
    cells.before = 0x11
    cells.byte.store(0x40)
    cells.byte.add(4)
    cells.half.store(0xFFFE)
    old = cells.half.and_(0x7FFF)
    seen, swapped = cells.half.compare_exchange(1, 2)
    if old != 0xFFFE or seen != 0x7FFE or swapped:
        return 1
    cells.word.store(7)
    if cells.word.sub(2) != 7 or cells.byte.exchange(0x44) != 0x44:
        return 2
    for each in cells.after:
        if each != 0:
            return 3
    return ((u64(cells.before) << 56 >> 16 | u64(cells.half.load()) << 24 | u64(cells.byte.load()) << 16) << 16) + u64(
        cells.word.load()
    )
