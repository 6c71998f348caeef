"""Runs metal on the host: compiles a module with LLVM's JIT, calls into it, and turns a failed check into a number.

Compiled code has no exceptions. A call from Python enters through `metal_enter`, which saves the registers that a call
preserves and remembers the stack; a failed check jumps back there, from whatever stack the code has switched to since.
Nothing in between is unwound: `with` blocks don't run their exits, so the module's variables are as the failure left
them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import count

import llvmlite.binding as llvm

from .backend import machine, parse, run_passes
from .errors import InternalError
from .target import host_target

__all__ = ["HostModule", "slots", "thunk_ir"]

# metal_enter(function, arguments, state): state points to the innermost entry's stack, or 0. One more word is pushed
# for the float control words and to keep the stack 16-byte aligned at the call.
_X86_64 = {
    "enter": """pushq %rbp
movq %rsp, %rbp
pushq %rbx
pushq %r12
pushq %r13
pushq %r14
pushq %r15
pushq (%rdx)
pushq %rdx
subq $$8, %rsp
stmxcsr (%rsp)
fnstcw 4(%rsp)
movq %rsp, (%rdx)
movq %rdi, %rax
movq %rsi, %rdi
callq *%rax
movq $$-1, %rax
{leave}""",
    "leave": """cld
ldmxcsr (%rsp)
fldcw 4(%rsp)
addq $$8, %rsp
popq %rdx
popq (%rdx)
popq %r15
popq %r14
popq %r13
popq %r12
popq %rbx
popq %rbp
ret""",
    "unwind": """movq %rdi, %rsp
movl %esi, %eax
{leave}""",
}

_AARCH64 = {
    "enter": """stp x29, x30, [sp, #-176]!
mov x29, sp
stp x19, x20, [sp, #16]
stp x21, x22, [sp, #32]
stp x23, x24, [sp, #48]
stp x25, x26, [sp, #64]
stp x27, x28, [sp, #80]
stp d8, d9, [sp, #96]
stp d10, d11, [sp, #112]
stp d12, d13, [sp, #128]
stp d14, d15, [sp, #144]
ldr x9, [x2]
stp x9, x2, [sp, #160]
mov x10, sp
str x10, [x2]
mov x9, x0
mov x0, x1
blr x9
mov x0, #-1
{leave}""",
    "leave": """ldp x9, x2, [sp, #160]
str x9, [x2]
ldp d14, d15, [sp, #144]
ldp d12, d13, [sp, #128]
ldp d10, d11, [sp, #112]
ldp d8, d9, [sp, #96]
ldp x27, x28, [sp, #80]
ldp x25, x26, [sp, #64]
ldp x23, x24, [sp, #48]
ldp x21, x22, [sp, #32]
ldp x19, x20, [sp, #16]
ldp x29, x30, [sp], #176
ret""",
    "unwind": """mov sp, x0
mov w0, w1
{leave}""",
}

_ENGINE = """
@metal_state = internal global i64 0
define i64 @metal_enter(ptr %function, ptr %arguments, ptr %state) naked noinline {{
  call void asm sideeffect "{enter}", ""()
  unreachable
}}
define internal void @metal_unwind(i64 %stack, i32 %check) naked noinline noreturn {{
  call void asm sideeffect "{unwind}", ""()
  unreachable
}}
define i64 @metal_try(ptr %function, ptr %arguments) noinline nounwind {{
  %result = call i64 @metal_enter(ptr %function, ptr %arguments, ptr @metal_state)
  ret i64 %result
}}
define void @metal_fail(i32 %check) noinline cold noreturn nounwind {{
  %stack = load volatile i64, ptr @metal_state
  %outside = icmp eq i64 %stack, 0
  br i1 %outside, label %abort, label %unwind
abort:
  call void @llvm.trap()
  unreachable
unwind:
  call void @metal_unwind(i64 %stack, i32 %check)
  unreachable
}}
declare void @llvm.trap()
"""


def engine_ir() -> str:
    """The IR of metal_try, metal_fail and their assembly for this machine, without target lines."""
    name = host_target().name
    parts = {"x86_64": _X86_64, "aarch64": _AARCH64}.get(name)
    if parts is None:
        raise InternalError(f"metal runs on x86-64 and arm64 hosts, not on {name}")
    text = {key: parts[key].format(leave=parts["leave"]).replace("\n", "\\0A") for key in ("enter", "unwind")}
    return _ENGINE.format(**text)


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


class HostModule:
    """A compiled module. It lives as long as this object: keep it while its functions or variables are in use."""

    _numbers = count()

    def __init__(self, ir_text: str, optimize: int = 1) -> None:
        """Compile IR text (host profile: no target lines, failed checks call `void @metal_fail(i32)`, which may be
        declared or not) at an optimisation level of 0 to 2. Raises InternalError if LLVM refuses it."""
        target = host_target()
        declared = [line for line in ir_text.splitlines() if not line.startswith("declare void @metal_fail(")]
        module = parse("\n".join(declared) + engine_ir(), target)
        run_passes(module, target, optimize)
        code = machine(target, optimize).emit_object(module)
        self._jit = llvm.create_lljit_compiler(machine(target, optimize))
        library = llvm.JITLibraryBuilder()
        names = [each.name for values in (module.functions, module.global_variables) for each in values
                 if not each.is_declaration and each.linkage == llvm.Linkage.external]  # fmt: skip
        for name in names:
            library.export_symbol(name)
        library.add_object_img(code).add_current_process()
        self._tracker = library.link(self._jit, f"metal{next(self._numbers)}")
        self._addresses: dict[str, int] = {name: self._tracker[name] for name in names}
        self._try = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(self.address("metal_try"))

    def address(self, symbol: str) -> int:
        """Where an external symbol of the module lies. Raises KeyError."""
        return self._addresses[symbol]

    def call(self, function: int, arguments: int) -> int | None:
        """Call `void (ptr)` at an address with the address of an arguments block. None, or the number of the check that
        failed. May be nested, from a Python function that metal calls."""
        check = self._try(function, arguments)
        return int(check) if check >= 0 else None
