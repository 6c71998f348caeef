"""Copies within one array, up and down, at every distance and size around the words of memmove."""

from goanna.metal import Array, Slice, metal, u8, u64, wrapping

EXPECTED = 0


@metal(inline=False)
def shift(data: Slice[u8], source: u64, target: u64, count: u64) -> None:
    data[target : target + count] = data[source : source + count]


@metal
def program() -> u64:
    wrong: u64 = 0
    for count in range(40):
        for distance in range(12):
            up = Array[u8, 64]()
            down = Array[u8, 64]()
            for i in range(64):
                up[i] = u8(i)
                down[i] = u8(i)
            shift(up, 3, 3 + distance, count)
            shift(down, 3 + distance, 3, count)
            for i in range(64):
                moved = wrapping(i - 3 - distance) < count and i >= 3 + distance
                if u64(up[i]) != (i - distance if moved else i):
                    wrong += 1
                if u64(down[i]) != (i + distance if wrapping(i - 3) < count and i >= 3 else i):
                    wrong += 1
    return wrong
