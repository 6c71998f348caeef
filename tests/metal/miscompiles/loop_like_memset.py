"""A loop that stores one byte over and over becomes a call of memset, which must not be a loop that becomes one."""

from goanna.metal import Array, Slice, metal, u8, u64

EXPECTED = 0xAB * 1000 + 0xCD * 24


@metal(inline=False)
def paint(data: Slice[u8], value: u8) -> None:
    for i in range(len(data)):
        data[i] = value


@metal
def program() -> u64:
    data = Array[u8, 1024]()
    paint(data, 0xCD)
    paint(data[11:1011], 0xAB)
    total: u64 = 0
    for each in data:
        total += u64(each)
    return total
