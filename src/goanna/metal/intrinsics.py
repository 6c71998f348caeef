"""The names a metal module may use that are neither types nor functions of its own: builtins of metal and `unsafe`.

Each is an inert object here; lowering gives it meaning. Those that only ask about types work at the macro level too.
"""

from __future__ import annotations

import typing
from typing import Any

__all__ = ["BUILTINS", "Intrinsic", "Order", "unsafe"]


class Intrinsic:
    """A function that metal itself knows how to compile."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"{self.name} has a meaning in compiled functions only")


class Order:
    """A memory order of atomic operations."""

    def __init__(self, llvm: str) -> None:
        self.llvm = llvm


BUILTINS = {
    name: Intrinsic(name)
    for name in [
        "wrapping", "panic", "unreachable", "likely", "unlikely", "fill", "copy", "pointer",
        "count_leading_zeros", "count_trailing_zeros", "population_count", "byte_swap", "rotate_left",
        "multiply_high", "fence", "compiler_barrier", "return_address",
        "add_overflows", "sub_overflows", "mul_overflows",
    ]
}  # fmt: skip


class _Unsafe:
    """The only spelling of unchecked things: a search for `unsafe.` finds them all."""

    def __init__(self) -> None:
        for name in [
            "load", "store", "at", "pointer", "slice", "address", "cast", "container", "function", "index",
            "uninitialized", "asm",
        ]:  # fmt: skip
            setattr(self, name, Intrinsic(f"unsafe.{name}"))

    def __repr__(self) -> str:
        return "unsafe"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"unsafe has no {name!r}")

    def __dir__(self) -> list[str]:
        return [*vars(self)]


unsafe: Any = _Unsafe()


def of_python(value: Any) -> str | None:
    """The name of the Python builtin that `value` is, if metal compiles it."""
    try:
        return _PYTHON.get(value)
    except TypeError:
        return None


_PYTHON: dict[Any, str] = {len: "len", min: "min", max: "max", abs: "abs", range: "range", enumerate: "enumerate"}

RELAXED, ACQUIRE, RELEASE = Order("monotonic"), Order("acquire"), Order("release")
SEQUENTIAL = Order("seq_cst")

wrapping: Any = BUILTINS["wrapping"]
panic: typing.Callable[..., typing.NoReturn] = typing.cast(Any, BUILTINS["panic"])
unreachable: typing.Callable[..., typing.NoReturn] = typing.cast(Any, BUILTINS["unreachable"])
likely: Any = BUILTINS["likely"]
unlikely: Any = BUILTINS["unlikely"]
fill: Any = BUILTINS["fill"]
copy: Any = BUILTINS["copy"]
pointer: Any = BUILTINS["pointer"]
count_leading_zeros: Any = BUILTINS["count_leading_zeros"]
count_trailing_zeros: Any = BUILTINS["count_trailing_zeros"]
population_count: Any = BUILTINS["population_count"]
byte_swap: Any = BUILTINS["byte_swap"]
rotate_left: Any = BUILTINS["rotate_left"]
multiply_high: Any = BUILTINS["multiply_high"]
fence: Any = BUILTINS["fence"]
compiler_barrier: Any = BUILTINS["compiler_barrier"]
return_address: Any = BUILTINS["return_address"]
add_overflows: Any = BUILTINS["add_overflows"]
sub_overflows: Any = BUILTINS["sub_overflows"]
mul_overflows: Any = BUILTINS["mul_overflows"]
