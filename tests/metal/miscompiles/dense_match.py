"""A dense match becomes a table of places in the code, whose entries must be reachable in a kernel's half of memory."""

from goanna.metal import metal, u64

RESULTS = (0x22, 0x60, 0x24, 0x1B, 0x26, 0x04, 0x00, 0x40, 0)
EXPECTED = 0
for number, result in enumerate(RESULTS):
    EXPECTED = (EXPECTED << 4 | result & 15) ^ number


@metal(inline=False)
def pick(number: u64, base: u64) -> u64:
    match number:
        case 0:
            return base + 2
        case 1:
            return base * 3
        case 2:
            return base ^ 4
        case 3:
            return base - 5
        case 4:
            return base | 6
        case 5:
            return base // 7
        case 6:
            return base % 8
        case 7:
            return base << 1
    return 0


@metal
def program() -> u64:
    total: u64 = 0
    for i in range(9):
        total = (total << 4 | (pick(i, 0x20) & 15)) ^ i
    return total
