"""Generics, hooks, function values and assembly: compiled by the JIT at O0 and O2 and called."""

from functools import cache

import pytest

from goanna.metal import Array, Fn, TypeVar, constant, hook, i64, jit, metal, sizeof, struct, u8, u32, u64, unsafe
from tests.metal.failing import fails

T = TypeVar("T")


@metal
def larger(a: T, b: T) -> T:
    return a if a > b else b


@metal
def zero_of(kind: type[T]) -> T:
    return kind(0)


@metal
def generic_calls() -> tuple[u32, i64, u8]:
    a: u32 = 3
    return larger(a, 9), larger(i64(-4), -2), zero_of(u8)


def test_generic_functions(run):
    assert run(generic_calls) == (9, -2, 0)


def pair_of(kind):
    @struct
    class Pair:
        first: kind
        second: kind

    return Pair


SmallPair, LargePair = pair_of(u8), pair_of(u64)


@metal
def first_of(pair: T) -> u64:
    return u64(pair.first) + sizeof(T)


@metal
def pairs() -> tuple[u64, u64]:
    return first_of(SmallPair(first=3, second=4)), first_of(LargePair(first=1 << 40, second=5))


def test_a_generic_function_of_two_structures_of_one_name(run):
    assert run(pairs) == (3 + 2, (1 << 40) + 16)


@metal
def twice_with_sign(value: T) -> tuple[T, bool]:
    return value + value, value > 9


@metal
def generic_tuple() -> tuple[u64, bool, u8]:
    double, large = twice_with_sign(u64(20))
    small, _ = twice_with_sign(u8(3))
    return double, large, small


def test_a_generic_function_gives_tuples(run):
    assert run(generic_tuple) == (40, True, 6)


@cache
def stack_of(kind, depth):
    @struct
    class Stack:
        items: Array[kind, depth]
        top: u32

        def push(self, item: kind) -> None:
            self.items[self.top] = item
            self.top += 1

        def pop(self) -> kind:
            self.top -= 1
            return self.items[self.top]

    return Stack


Bytes = stack_of(u8, 2)
Words = stack_of(u64, 2)


@metal
def stacks(n: u64) -> u64:
    words = Words()
    small = Bytes()
    for i in range(n):
        words.push(i * 1000)
        small.push(u8(i))
    return words.pop() + u64(small.pop())


def test_generic_structures_by_closure(run):
    assert run(stacks, 2) == 1001
    fails(run, "index out of range", stacks, 3)


upcall = hook(Fn[[u32], u32])


@metal
def doubled(x: u32) -> u32:
    return x * 2


upcall.set(doubled)
HANDLERS = constant(Array[Fn[[u32], u32], 3], [doubled, None, upcall])


@metal
def indirect(x: u32, which: u64) -> u32:
    return upcall(x) + HANDLERS[which](x)


def test_hooks_and_function_values(run):
    assert run(indirect, 5, 0) == 20
    assert run(indirect, 5, 2) == 20
    fails(run, "call of a function that is None", indirect, 5, 1)


@metal(naked=True)
def naked_sum(a: u64, b: u64) -> u64:
    unsafe.asm("leaq (%rdi,%rsi), %rax\naddq ${bonus}, %rax\nret", bonus=len("four"))


@metal
def assembly(a: u64) -> tuple[u64, u64]:
    swapped = unsafe.asm("bswapq $0", "=r,0", a, result=u64)
    return naked_sum(a, 1), swapped


def test_assembly():
    import platform

    if platform.machine() != "x86_64":
        pytest.skip("the assembly of this test is for x86-64")
    assert jit(assembly).call(assembly, 10) == (15, 10 << 56)
