"""metal: a statically typed subset of Python for kernels, compiled ahead of time by LLVM.

This list is the whole language as a module imports it; docs/metal.md teaches it.
"""

from typing import TypeVar

from .errors import CheckFailed, CompileErrors, MetalError
from .function import MetalFunction, constant, extern, extern_static, hook, metal, per_processor, static
from .intrinsics import (
    ACQUIRE,
    RELAXED,
    RELEASE,
    add_overflows,
    byte_swap,
    compiler_barrier,
    copy,
    count_leading_zeros,
    count_trailing_zeros,
    fence,
    fill,
    likely,
    mul_overflows,
    multiply_high,
    panic,
    pointer,
    population_count,
    return_address,
    rotate_left,
    sub_overflows,
    unlikely,
    unreachable,
    unsafe,
    wrapping,
)
from .structure import enumeration, struct, union
from .types import (
    Array,
    Atomic,
    Big,
    Fn,
    Ptr,
    Slice,
    Volatile,
    alignof,
    i8,
    i16,
    i32,
    i64,
    offsetof,
    sizeof,
    u8,
    u16,
    u32,
    u64,
    usize,
)


def jit(*roots: object, optimize: int = 1) -> "Unit":
    """Compile functions, structures (all their methods) and statics together for this machine, for tests.

    Raises CompileErrors with every mistake found. See metal/host_unit.py for what the result can do.
    """
    from .host_unit import Unit

    return Unit(roots, optimize)


__all__ = [
    "ACQUIRE", "RELAXED", "RELEASE", "Array", "Atomic", "Big", "CheckFailed", "CompileErrors", "Fn", "MetalError",
    "MetalFunction", "Ptr", "Slice", "TypeVar", "Volatile", "add_overflows", "alignof", "byte_swap",
    "compiler_barrier", "constant", "copy", "count_leading_zeros", "count_trailing_zeros", "enumeration", "extern",
    "extern_static", "fence", "fill", "hook", "i8", "i16", "i32", "i64", "jit", "likely", "metal", "mul_overflows",
    "multiply_high", "offsetof", "panic", "per_processor", "pointer", "population_count", "return_address",
    "rotate_left", "sizeof", "static", "struct", "sub_overflows", "u8", "u16", "u32", "u64", "union", "unlikely",
    "unreachable", "unsafe", "usize", "wrapping",
]  # fmt: skip

if False:  # for type checkers only: importing the JIT costs LLVM's start
    from .host_unit import Unit
