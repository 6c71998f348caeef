"""The way into compiled code on the host, and the ways out of it when a check fails, when it touches memory that isn't
there, and when it runs for too long.

Compiled code has no exceptions. A call from Python enters through `metal_enter`, which saves the registers that a call
preserves and remembers the stack; a failed check jumps back there, from whatever stack the code has switched to since.
A signal handler does the same for a fault. Nothing in between is unwound: `with` blocks don't run their exits, so the
module's variables are as the failure left them.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import llvmlite.binding as llvm

from .backend import machine, parse, run_passes
from .errors import CheckFailed, InternalError
from .target import host_target

__all__ = ["Entry", "entry", "time_limit"]

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

# Where Linux keeps the first two argument registers and the program counter in a handler's ucontext_t.
_CONTEXT = {"x86_64": (40 + 8 * 8, 40 + 9 * 8, 40 + 16 * 8), "aarch64": (184, 192, 184 + 32 * 8)}
_SI_ADDR = 16  # siginfo_t.si_addr
_SIGNALS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGVTALRM)
_SA_SIGINFO, _SA_ONSTACK, _SA_NODEFER, _SA_RESTART = 4, 0x08000000, 0x40000000, 0x10000000
# What metal_try gives for a fault: no check has such a number, for theirs have 31 bits.
_FAULT = 0xFFFF_FFFE
_ALTERNATE_STACK = 65536
# A limit that passes while Python runs, and not compiled code, is looked at again after this time, in seconds.
_AGAIN = 0.02

_ENGINE = """
define i64 @metal_enter(ptr %function, ptr %arguments, ptr %state) naked noinline {{
  call void asm sideeffect "{enter}", ""()
  unreachable
}}
define void @metal_unwind(i64 %stack, i32 %check) naked noinline noreturn {{
  call void asm sideeffect "{unwind}", ""()
  unreachable
}}
define i64 @metal_try(ptr %function, ptr %arguments) noinline nounwind {{
  %result = call i64 @metal_enter(ptr %function, ptr %arguments, ptr {state})
  ret i64 %result
}}
define void @metal_fail(i32 %check) noinline cold noreturn nounwind {{
  %stack = load volatile i64, ptr {state}
  %outside = icmp eq i64 %stack, 0
  br i1 %outside, label %abort, label %unwind
abort:
  call void @llvm.trap()
  unreachable
unwind:
  call void @metal_unwind(i64 %stack, i32 %check)
  unreachable
}}
define void @metal_signal(i32 %signal, ptr %info, ptr %context) noinline nounwind {{
  %stack = load volatile i64, ptr {state}
  %outside = icmp eq i64 %stack, 0
  br i1 %outside, label %look, label %unwind
look:
  %timer = icmp eq i32 %signal, {timer}
  br i1 %timer, label %later, label %hand_on
later:
  ret void
hand_on:
  %index = zext i32 %signal to i64
  %offset = mul i64 %index, {action_size}
  %earlier = getelementptr i8, ptr {earlier}, i64 %offset
  %ignored = call i32 @sigaction(i32 %signal, ptr %earlier, ptr null)
  ret void
unwind:
  %number = zext i32 %signal to i64
  store i64 %number, ptr {fault}
  %address_at = getelementptr i8, ptr %info, i64 {si_addr}
  %address = load i64, ptr %address_at
  %fault_address = getelementptr i8, ptr {fault}, i64 8
  store i64 %address, ptr %fault_address
  %first = getelementptr i8, ptr %context, i64 {first}
  store i64 %stack, ptr %first
  %second = getelementptr i8, ptr %context, i64 {second}
  store i64 {fault_number}, ptr %second
  %counter = getelementptr i8, ptr %context, i64 {counter}
  store ptr @metal_unwind, ptr %counter
  ret void
}}
declare void @llvm.trap()
declare i32 @sigaction(i32, ptr, ptr)
"""


class _Action(ctypes.Structure):
    """struct sigaction of Linux's C libraries on 64-bit machines."""

    _fields_ = [
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_uint8 * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    ]


class _Stack(ctypes.Structure):
    """stack_t."""

    _fields_ = [("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


class Entry:
    """The process's one way into compiled code; `entry()` gives it."""

    def __init__(self) -> None:
        target = host_target()
        parts = {"x86_64": _X86_64, "aarch64": _AARCH64}.get(target.name)
        if parts is None:
            raise InternalError(f"metal runs on x86-64 and arm64 hosts, not on {target.name}")
        self._state = ctypes.c_uint64(0)
        self._fault = (ctypes.c_uint64 * 2)()
        self._earlier = (_Action * (max(_SIGNALS) + 1))()
        first, second, counter = _CONTEXT[target.name]
        text = _ENGINE.format(
            **{key: parts[key].format(leave=parts["leave"]).replace("\n", "\\0A") for key in ("enter", "unwind")},
            state=_pointer(self._state), fault=_pointer(self._fault), earlier=_pointer(self._earlier),
            action_size=ctypes.sizeof(_Action), si_addr=_SI_ADDR, first=first, second=second, counter=counter,
            fault_number=_FAULT, timer=int(signal.SIGVTALRM),
        )  # fmt: skip
        module = parse(text, target)
        run_passes(module, target, 1)
        self._jit = llvm.create_lljit_compiler(machine(target, 1))
        library = llvm.JITLibraryBuilder().add_object_img(machine(target, 1).emit_object(module)).add_current_process()
        names = ("metal_try", "metal_fail", "metal_signal")
        for name in names:
            library.export_symbol(name)
        self._tracker = library.link(self._jit, "metal_entry")
        self._signal: int = self._tracker["metal_signal"]
        self.fail_address: int = self._tracker["metal_fail"]
        self._try = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(self._tracker["metal_try"])
        if sys.platform == "linux":
            self._catch_faults()

    def _catch_faults(self) -> None:
        """Faults inside compiled code come to us, others go to whoever had the signal before. The stack may be what the
        fault is about, so the handler has its own."""
        library: Any = ctypes.CDLL(None, use_errno=True)
        earlier = _Stack()
        library.sigaltstack(None, ctypes.byref(earlier))
        if not earlier.address:
            self._stack = ctypes.create_string_buffer(_ALTERNATE_STACK)
            stack = _Stack(ctypes.addressof(self._stack), 0, _ALTERNATE_STACK)
            library.sigaltstack(ctypes.byref(stack), None)
        action = _Action(handler=self._signal, flags=_SA_SIGINFO | _SA_ONSTACK | _SA_NODEFER | _SA_RESTART)
        for number in _SIGNALS:
            library.sigaction(number, ctypes.byref(action), ctypes.byref(self._earlier[number]))

    def call(self, function: int, arguments: int) -> int | None:
        """Call `void (ptr)` at an address with the address of an arguments block. None, or the number of the check that
        failed. May be nested, from a Python function that metal calls. Raises CheckFailed for a fault."""
        check: int = self._try(function, arguments)
        if check < 0:
            return None
        if check == _FAULT:
            raise CheckFailed(self._fault_reason(), "code that metal compiled", "?", 0)
        return check

    def _fault_reason(self) -> str:
        number, address = self._fault
        match signal.Signals(number):
            case signal.SIGSEGV | signal.SIGBUS:
                return f"memory at {address:#x} that is not there (signal {number})"
            case signal.SIGVTALRM:
                return "the time limit was reached"
        return f"an instruction at {address:#x} that the processor refuses (signal {number})"


def _pointer(thing: Any) -> str:
    return f"inttoptr (i64 {ctypes.addressof(thing)} to ptr)"


@cache
def entry() -> Entry:
    """The process's entry, made at the first call."""
    return Entry()


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """A limit, in seconds of processor time, on compiled code called in the block: past it, CheckFailed is raised.

    In the main thread only. Code that hangs while it waits for the host uses no processor time.
    """
    entry()
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
