"""The system call: from SYSCALL in user mode to `on_call`, and back by SYSRET or, where the program's registers
were changed, IRET.

Everything is saved, because a signal or a clone needs all registers; the way in and out takes 60 instructions.
"""

from goanna.metal import Fn, hook, metal, per_processor, u64, unsafe

from .cpu import MSR_LSTAR, MSR_STAR, MSR_SYSCALL_MASK, write_msr
from .descriptor import task
from .frame import CALL, FRAME_SIZE, KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA, Frame
from .trap import POP, PUSH, finish_work, leave_kernel, work
from .unwind import AT_FRAME, NO_CALLER, unwound

__all__ = ["enable_calls", "on_call", "set_kernel_stack", "user_frame"]

# A system call: on the thread's kernel stack, interrupts off. The callee stores the result in the frame.
on_call = hook(Fn[[Frame], None])

# Cleared on entry: TF IF DF IOPL NT RF AC.
_MASKED_FLAGS = 1 << 8 | 1 << 9 | 1 << 10 | 3 << 12 | 1 << 14 | 1 << 16 | 1 << 18

kernel_stack = per_processor(u64)  # the upper end of the running thread's kernel stack
user_stack = per_processor(u64)  # a place for one moment: the program's stack pointer at entry

# Offsets in the frame: rcx 88, r11 48, rip 136, rflags 152; behind the popped registers the stack pointer is at 40.
# SYSRET loads rip from rcx and the flags from r11; it faults in kernel mode for an address past the user half.
ENTER = f"""
    swapgs
    movq %rsp, %gs:{{user_stack}}
    movq %gs:{{kernel_stack}}, %rsp
    push ${USER_DATA}
    push %gs:{{user_stack}}
    push %r11
    push ${USER_CODE}
    push %rcx
    push %rax
    push ${CALL}
    {PUSH}
"""
ANSWER = """
    xorl %ebp, %ebp
    movq %rsp, %rdi
    call {handler}
1:  cmpl $0, %gs:{work}
    jne 3f
    movq 88(%rsp), %rcx
    movq 48(%rsp), %r11
    cmpq %rcx, 136(%rsp)
    jne 4f
    cmpq %r11, 152(%rsp)
    jne 4f
    testl $0x10100, %r11d
    jne 4f
    movq %rcx, %rax
    shrq $47, %rax
    jne 4f
"""
LEAVE = f"""
    {POP}
    movq 40(%rsp), %rsp
    swapgs
    sysretq
"""
OTHERWISE = """
3:  movq %rsp, %rdi
    call {finish}
    jmp 1b
4:  jmp {leave}
"""
ENTRY = unwound((NO_CALLER, ENTER), (AT_FRAME, ANSWER), (NO_CALLER, LEAVE), (AT_FRAME, OTHERWISE))


@metal
def handle_call(frame: Frame) -> None:
    """What the entry calls."""
    on_call(frame)


@metal(naked=True)
def call_entry() -> None:
    """Where SYSCALL leads."""
    unsafe.asm(
        ENTRY, user_stack=user_stack, kernel_stack=kernel_stack, handler=handle_call, work=work, finish=finish_work,
        leave=leave_kernel,
    )  # fmt: skip


@metal
def enable_calls() -> None:
    """Let this processor take system calls."""
    write_msr(MSR_STAR, KERNEL_CODE << 32 | KERNEL_DATA << 48)  # SYSRET: data at + 8, code at + 16
    write_msr(MSR_LSTAR, unsafe.address(call_entry))
    write_msr(MSR_SYSCALL_MASK, _MASKED_FLAGS)


@metal(inline=True)
def set_kernel_stack(top: u64) -> None:
    """The upper end (16-byte border) of the stack on which the kernel is entered from user mode from now on."""
    global kernel_stack
    kernel_stack = top
    task.kernel_stack = top


@metal(inline=True)
def user_frame(top: u64) -> Frame:
    """The frame of a program whose kernel stack ends at `top`."""
    return unsafe.at(Frame, top - FRAME_SIZE)
