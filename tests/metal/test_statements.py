"""Branches, match, loops, with and what is known while compiling: compiled by the JIT at O0 and O2 and called."""

from goanna.metal import Atomic, Slice, enumeration, i64, likely, metal, panic, static, struct, u8, u32, u64, unlikely
from tests.metal.failing import fails


@enumeration(u8)
class State:
    READY = 0
    RUNNING = 1
    DONE = 5


@metal
def described(number: u8) -> u32:
    state = State(number)
    match state:
        case State.READY:
            return 1
        case State.RUNNING | State.DONE:
            return 2


def test_enumerations_and_exhaustive_match(run):
    assert [run(described, each) for each in (0, 1, 5)] == [1, 2, 2]
    fails(run, "not a member of State", described, 2)


@metal
def guarded(x: i64) -> i64:
    match x:
        case 0 | 1:
            return 10
        case n if n < 0:
            return -n
        case _:
            return x * 2


def test_match_with_guard_and_capture(run):
    assert [run(guarded, each) for each in (0, 1, -5, 6)] == [10, 10, 5, 12]


@metal
def loops(n: u64) -> u64:
    total: u64 = 0
    for i in range(n):
        if i == 3:
            continue
        if i == 8:
            break
        total += i
    for i in range(10, 0, -3):
        total += i
    while total % 7 != 0:
        total += 1
    return total


def loops_in_python(n):
    total = sum(i for i in range(min(n, 8)) if i != 3) + sum(range(10, 0, -3))
    return total + -total % 7


def test_loops(run):
    for n in (0, 1, 5, 20):
        assert run(loops, n) == loops_in_python(n)


@metal
def full_range() -> u64:
    count: u64 = 0
    last: u8 = 255
    for i in range(u8(250), last, 4):
        count += u64(i)
    return count


def test_a_range_ends_at_the_end_of_its_type(run):
    assert run(full_range) == 250 + 254


@struct
class Lock:
    held: Atomic[bool]
    entered: u32

    def __enter__(self) -> None:
        _, taken = self.held.compare_exchange(False, True)
        assert taken, "taken twice"

    def __exit__(self) -> None:
        self.held.store(False)
        self.entered += 1


lock = static(Lock)
other = static(Lock)


@metal
def every_way_out(way: u32) -> u32:
    for _ in range(2):
        with lock, other:
            if way == 0:
                return 10
            if way == 1:
                break
            if way == 2:
                continue
        assert not lock.held.load(), "still held"
    assert not lock.held.load() and not other.held.load(), "still held at the end"
    return lock.entered


def test_with_runs_its_exit_on_every_way(run):
    assert [run(every_way_out, way) for way in range(4)] == [10, 1, 2, 2]


def table_size(n):
    return n * 3


@metal
def folded() -> u32:
    limit: u32 = table_size(4) + 2**3
    if likely(limit == 20) and not unlikely(limit == 21):
        return limit
    return panic_now()


@metal
def panic_now() -> u32:
    panic("told to")


def test_python_runs_while_compiling_and_panic_names_its_line(run):
    assert run(folded) == 20
    assert fails(run, "told to", panic_now).function == "panic_now"


DEBUGGING = False


@metal
def chosen() -> u32:
    if DEBUGGING:
        return this_name_does_not_exist  # noqa: F821
    return 3


def test_a_known_condition_compiles_one_branch(run):
    assert run(chosen) == 3


@metal
def walrus(data: Slice[u8]) -> u64:
    total: u64 = 0
    index: u64 = 0
    while (byte := data[index]) != 0:
        total += u64(byte)
        index += 1
    return total


def test_walrus(run):
    assert run(walrus, b"\1\2\3\0") == 6
