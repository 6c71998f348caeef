"""Fields of packed and big-endian structures at odd addresses: a machine without unaligned access takes bytes."""

from goanna.metal import Array, Big, metal, struct, u8, u16, u32, u64, unsafe

EXPECTED = 0x0807060504030201 ^ 0x0B0A ^ 0x0E0F1011 ^ 0x1514131211100F0E


@struct(packed=True)
class Odd:
    first: u8
    wide: u64
    short: u16
    more: u16
    big: Big[u32]


@metal
def program() -> u64:
    memory = Array[u8, 32]()
    for i in range(32):
        memory[i] = u8(i)
    odd = unsafe.at(Odd, unsafe.address(memory))
    return (
        odd.wide
        ^ u64(odd.short - 0x0A09 + 0x0B0A)
        ^ u64(odd.big - 0x0D0E0F10 + 0x0E0F1011)
        ^ unsafe.load(u64, unsafe.address(memory) + 14, unaligned=True)
    )
