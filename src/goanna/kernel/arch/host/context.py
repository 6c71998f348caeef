"""Stacks on the host: switching from one to another in the test's own thread, as a kernel does."""

import platform

from goanna.kernel.arch.host.frame import FRAME_SIZE
from goanna.metal import Fn, metal, struct, u64, unsafe

__all__ = ["Context", "prepare_context", "switch_context"]


@struct
class Context:
    """A stack that isn't running: its pointer. What must be kept across a call lies on it."""

    stack: u64


if platform.machine() in ("x86_64", "AMD64"):
    # Where a stack that isn't running has r12, r13, the return address and the float control words, in words.
    ENTRY, ARGUMENT, RETURN, CONTROL, WORDS = 4, 3, 7, 0, 8
    FLOAT_CONTROL = 0x037F_0000_1F80  # fnstcw and stmxcsr as a process starts with
    SWITCH = """
        pushq %rbp
        pushq %rbx
        pushq %r12
        pushq %r13
        pushq %r14
        pushq %r15
        subq $8, %rsp
        stmxcsr (%rsp)
        fnstcw 4(%rsp)
        movq %rsp, (%rdi)
        movq (%rsi), %rsp
        fldcw 4(%rsp)
        ldmxcsr (%rsp)
        addq $8, %rsp
        popq %r15
        popq %r14
        popq %r13
        popq %r12
        popq %rbx
        popq %rbp
        retq
    """
    START = """
        movq %r13, %rdi
        callq *%r12
        ud2
    """
else:
    # The same of x19, x20 and x30; nothing at CONTROL is read.
    ENTRY, ARGUMENT, RETURN, CONTROL, WORDS = 0, 1, 11, 20, 22
    FLOAT_CONTROL = 0
    SWITCH = """
        sub sp, sp, #176
        stp x19, x20, [sp, #0]
        stp x21, x22, [sp, #16]
        stp x23, x24, [sp, #32]
        stp x25, x26, [sp, #48]
        stp x27, x28, [sp, #64]
        stp x29, x30, [sp, #80]
        stp d8, d9, [sp, #96]
        stp d10, d11, [sp, #112]
        stp d12, d13, [sp, #128]
        stp d14, d15, [sp, #144]
        mov x9, sp
        str x9, [x0]
        ldr x9, [x1]
        mov sp, x9
        ldp x19, x20, [sp, #0]
        ldp x21, x22, [sp, #16]
        ldp x23, x24, [sp, #32]
        ldp x25, x26, [sp, #48]
        ldp x27, x28, [sp, #64]
        ldp x29, x30, [sp, #80]
        ldp d8, d9, [sp, #96]
        ldp d10, d11, [sp, #112]
        ldp d12, d13, [sp, #128]
        ldp d14, d15, [sp, #144]
        add sp, sp, #176
        ret
    """
    START = """
        mov x0, x20
        blr x19
        brk #1
    """


@metal(naked=True)
def switch_context(old: Context, new: Context) -> None:
    """Save this stack in `old` and go on where `new` was saved."""
    unsafe.asm(SWITCH)


@metal(naked=True)
def start_context() -> None:
    unsafe.asm(START)


@metal
def prepare_context(context: Context, stack_top: u64, entry: Fn[[u64], None], argument: u64) -> None:
    """Make a context that calls entry(argument), which never returns. The stack top is 16-byte aligned.

    The room of a user frame at the very top is left alone.
    """
    stack = stack_top - FRAME_SIZE - WORDS * 8
    unsafe.store(u64, stack + CONTROL * 8, FLOAT_CONTROL)
    unsafe.store(u64, stack + ENTRY * 8, unsafe.address(entry))
    unsafe.store(u64, stack + ARGUMENT * 8, argument)
    unsafe.store(u64, stack + RETURN * 8, unsafe.address(start_context))
    context.stack = stack
