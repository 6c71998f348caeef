"""Runs metal on the host: compiles a module with LLVM's JIT, and passes arguments and results as blocks of slots.

How a call enters compiled code, and leaves it when a check fails, is in `host_entry`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import count
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm

from . import object_cache
from .backend import machine, parse, run_passes
from .host_entry import entry
from .object_cache import CompiledModule
from .target import host_target

__all__ = ["HostModule", "slots", "thunk_ir"]


def slots(llvm_type: str) -> int:
    """How many 8-byte slots of an arguments block a value takes: a slice {ptr, i64} takes two, a tuple the sum."""
    return sum(1 for _ in _leaves(llvm_type))


def _members(llvm_type: str) -> list[str]:
    """The member types of a literal structure type."""
    members, depth, start = [], 0, 1
    for position, character in enumerate(llvm_type):
        depth += (character in "{[<") - (character in "}]>")
        if (character == "," and depth == 1) or (character == "}" and depth == 0):
            members.append(llvm_type[start:position].strip())
            start = position + 1
    return [each for each in members if each]


def _leaves(llvm_type: str, path: tuple[int, ...] = ()) -> list[tuple[tuple[int, ...], str]]:
    """The scalars of a type in order, each with its path of member numbers."""
    if llvm_type == "void":
        return []
    if not llvm_type.startswith("{"):
        return [(path, llvm_type)]
    found = []
    for index, member in enumerate(_members(llvm_type)):
        found += _leaves(member, (*path, index))
    return found


def thunk_ir(symbol: str, param_llvm_types: Sequence[str], result_llvm_type: str) -> str:
    """The IR of `void @"symbol$thunk"(ptr args)`: calls `symbol` with arguments from a block, stores the result there.

    Every scalar has an 8-byte slot, in order, its value in the slot's low bytes; a slice {ptr, i64} has two, and a
    tuple one for each scalar in it. Results are written over the block from slot 0 on; iN and i1 results are widened
    with zeros to the whole slot. The block has at least as many slots as the larger of the two. Types are as in IR:
    i1 to i64, ptr, {...} of these, and void for no result.
    """
    lines: list[str] = []
    names = (f"%t{number}" for number in count())
    slot = 0

    def load(leaf: str) -> str:
        nonlocal slot
        place, wide = next(names), next(names)
        lines.append(f"  {place} = getelementptr i64, ptr %args, i64 {slot}")
        slot += 1
        if leaf == "ptr":
            lines.append(f"  {wide} = load ptr, ptr {place}")
        else:
            lines.append(f"  {wide} = load i64, ptr {place}")
            if leaf != "i64":
                narrow = next(names)
                lines.append(f"  {narrow} = trunc i64 {wide} to {leaf}")
                return narrow
        return wide

    arguments = []
    for parameter in param_llvm_types:
        if not parameter.startswith("{"):
            arguments.append(f"{parameter} {load(parameter)}")
            continue
        value = "poison"
        for path, leaf in _leaves(parameter):
            scalar, name = load(leaf), next(names)
            indexes = ", ".join(map(str, path))
            lines.append(f"  {name} = insertvalue {parameter} {value}, {leaf} {scalar}, {indexes}")
            value = name
        arguments.append(f"{parameter} {value}")
    call = f'call {result_llvm_type} @"{symbol}"({", ".join(arguments)})'
    if result_llvm_type == "void":
        lines.append(f"  {call}")
    else:
        result = next(names)
        lines.append(f"  {result} = {call}")
        for slot, (path, leaf) in enumerate(_leaves(result_llvm_type)):
            value = result
            if path:
                value = next(names)
                lines.append(f"  {value} = extractvalue {result_llvm_type} {result}, {', '.join(map(str, path))}")
            if leaf not in ("ptr", "i64"):
                wide = next(names)
                lines.append(f"  {wide} = zext {leaf} {value} to i64")
                value, leaf = wide, "i64"
            place = next(names)
            lines.append(f"  {place} = getelementptr i64, ptr %args, i64 {slot}")
            lines.append(f"  store {leaf} {value}, ptr {place}")
    return "\n".join([f'define void @"{symbol}$thunk"(ptr %args) {{', *lines, "  ret void", "}", ""])


@cache
def _compiler() -> tuple[object, ...]:
    """What decides, beside text and level, what the JIT makes of a module."""
    here = Path(__file__).parent
    passes = [(here / name).read_bytes() for name in ("backend.py", "target.py", "host_engine.py")]
    return llvmlite.__version__, llvm.llvm_version_info, llvm.get_process_triple(), llvm.get_host_cpu_name(), passes


def _compile(ir_text: str, optimize: int) -> CompiledModule:
    target = host_target()
    module = parse(ir_text, target)
    names = [each.name for values in (module.functions, module.global_variables) for each in values
             if not each.is_declaration and each.linkage == llvm.Linkage.external]  # fmt: skip
    run_passes(module, target, optimize)
    return CompiledModule(machine(target, optimize).emit_object(module), names)


class HostModule:
    """A compiled module. It lives as long as this object: keep it while its functions or variables are in use."""

    _numbers = count()

    def __init__(self, ir_text: str, optimize: int = 1) -> None:
        """Compile IR text (host profile: no target lines, failed checks call `void @metal_fail(i32)`, which may be
        declared or not) at an optimisation level of 0 to 2, unless it was compiled before. Raises InternalError if
        LLVM refuses it."""
        target = host_target()
        self._entry = entry()
        key = object_cache.key(ir_text, (_compiler(), optimize))
        with object_cache.alone(key):
            made = object_cache.find(key)
            if made is None:
                made = _compile(ir_text, optimize)
                object_cache.keep(key, made)
        self._jit = llvm.create_lljit_compiler(machine(target, optimize))
        library = llvm.JITLibraryBuilder()
        library.add_object_img(made.code).add_current_process().import_symbol("metal_fail", self._entry.fail_address)
        for name in made.names:
            library.export_symbol(name)
        self._tracker = library.link(self._jit, f"metal{next(self._numbers)}")
        self._addresses: dict[str, int] = {name: self._tracker[name] for name in made.names}

    def address(self, symbol: str) -> int:
        """Where an external symbol of the module lies. Raises KeyError."""
        return self._addresses[symbol]

    def call(self, function: int, arguments: int) -> int | None:
        """Call `void (ptr)` at an address with the address of an arguments block. None, or the number of the check that
        failed. May be nested, from a Python function that metal calls. Raises CheckFailed for memory that isn't there,
        an instruction that the processor refuses, and when a `time_limit` is reached."""
        return self._entry.call(function, arguments)
