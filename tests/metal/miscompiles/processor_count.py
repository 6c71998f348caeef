"""A processor's own variable is read anew after each call: where its block lies is no constant."""

from goanna.metal import metal, per_processor, struct, u32, u64


@struct
class Counters:
    calls: u64
    last: u32


calls = per_processor(u64)
counters = per_processor(Counters)

EXPECTED = 12 * 1000 + 5


@metal(inline=False)
def count(by: u64) -> None:
    global calls
    calls += by
    counters.calls += 1
    counters.last = u32(by)


@metal
def program() -> u64:
    global calls
    calls = 0
    counters.calls = 0
    count(3)
    first = calls
    count(4)
    second = calls
    count(5)
    if first != 3 or second != 7 or counters.calls != 3:
        return 0
    return calls * 1000 + u64(counters.last)
