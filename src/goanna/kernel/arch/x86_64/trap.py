"""Exceptions and interrupts: from the processor's vector to the function that answers it, and the way back.

Every handler runs with interrupts off. From user mode it runs on the thread's own kernel stack and may block; an
interrupt that comes while this processor is idle (`halt`, `interrupt_window`) runs on the stack that was in use and
may not.
"""

from goanna.metal import (
    Array,
    Fn,
    extern_static,
    hook,
    metal,
    per_processor,
    static,
    struct,
    u8,
    u32,
    u64,
    unsafe,
)

from .cpu import halt_forever, read_cr2
from .descriptor import EMERGENCY_STACK, VECTORS, set_gate
from .frame import KERNEL_DATA, Frame
from .layout import LOWEST_KERNEL_ADDRESS, PAGE_SIZE, USER_TOP
from .unwind import AT_FRAME, NO_CALLER, unwound

__all__ = [
    "EXECUTE", "READ", "WRITE", "before_user", "ending", "on_kernel_fault", "on_page_fault", "on_reschedule",
    "on_timer", "on_user_fault", "raise_work", "register_interrupt", "set_vectors", "take_vector", "take_work",
]  # fmt: skip

READ, WRITE, EXECUTE = 1, 2, 4

NMI, DOUBLE_FAULT, GENERAL_PROTECTION, PAGE_FAULT, MACHINE_CHECK = 2, 8, 13, 14, 18
BREAKPOINT, OVERFLOW = 3, 4
FIRST_INTERRUPT = 32  # vectors from here to TIMER are the lines of the interrupt controllers
LINES = 24  # that have the vectors from FIRST_INTERRUPT on; further ones and messages get theirs from FIRST_FREE on
TIMER, RESCHEDULE, SHOOTDOWN, SPURIOUS = 56, 57, 58, 63
FIRST_FREE = 64
WITH_CODE = {8, 10, 11, 12, 13, 14, 17, 21, 29, 30}  # exceptions that push an error code
ON_EMERGENCY_STACK = (NMI, DOUBLE_FAULT, MACHINE_CHECK)

# A page fault in user mode or in a user copy, on the kernel stack of the thread. `access` is READ, WRITE or EXECUTE.
# True: try the instruction again. False: in user mode the hook has done what was to be done (a signal, most likely);
# in a copy, the copy ends there.
on_page_fault = hook(Fn[[Frame, u64, u32], bool])
# Any other exception of user mode: frame, vector, error code. On the kernel stack of the thread.
on_user_fault = hook(Fn[[Frame, u32, u64, u64], None])
# An exception of the kernel itself, or one that is the machine's end: frame, vector, error code, address of a page
# fault (of the last one, for a double fault). Never returns. Any stack.
on_kernel_fault = hook(Fn[[Frame, u32, u64, u64], None])
# The timer of this processor. In interrupt context: must neither block nor switch threads.
on_timer = hook(Fn[[], None])
# Another processor asks this one to look at its queue. In interrupt context.
on_reschedule = hook(Fn[[], None])
# On the way out to user mode while this processor's work word is not 0; to empty it by take_work. May block and switch.
before_user = hook(Fn[[Frame], None])


@struct
class Handler:
    """Who answers a vector."""

    function: Fn[[u64], None]  # in interrupt context
    argument: u64


handlers = static(Array[Handler, VECTORS - FIRST_INTERRUPT])  # filled at boot, constant afterwards
next_vector = static(u32, FIRST_FREE)
work = per_processor(u32)  # what is to be done before this processor returns to user mode; written by itself alone
spurious_count = static(u64)
stopping = static(bool)  # the machine is at its end: an NMI stops the processor it reaches

end_of_interrupt = hook(Fn[[], None])  # set by apic.py
answer_shootdown = hook(Fn[[], None])  # set by tlb.py
answer_kick = hook(Fn[[Frame], None])  # set by park.py
answer_refused = hook(Fn[[Frame], bool])  # set by start.py: whether a general protection fault of a program is mended

smap = static(bool)  # STAC and CLAC are there and wanted

fixups_start = extern_static("__extable_start", u8)
fixups_end = extern_static("__extable_end", u8)


@metal
def protect_user_memory() -> None:
    """From now on user memory is closed to the kernel but between STAC and CLAC."""
    global smap
    smap = True


@metal
def stop_on_interrupt() -> None:
    """From now on a processor that gets an NMI halts."""
    global stopping
    stopping = True


@metal
def ending() -> bool:
    """Whether other processors were stopped where they were: a lock that is taken now stays so for good."""
    return stopping


@metal(inline=True)
def raise_work(bits: u32) -> None:
    """Have before_user called ere this processor returns to user mode."""
    global work
    work |= bits


@metal(inline=True)
def take_work() -> u32:
    """What was raised since the last call."""
    global work
    bits = work
    work = 0
    return bits


@metal
def fixup(address: u64) -> u64:
    """Where the kernel goes on if the instruction at `address` faults; 0: it must not fault.

    The table's records are made by user_copy.py: address, where to go on.
    """
    record = unsafe.address(fixups_start)
    while record < unsafe.address(fixups_end):
        if unsafe.load(u64, record) == address:
            return unsafe.load(u64, record + 8)
        record += 16
    return 0


@metal
def page_fault(frame: Frame, address: u64) -> None:
    """Vector 14. The error code's bits: 0 present, 1 write, 2 user mode, 3 reserved bit, 4 instruction fetch."""
    code = frame.code
    access: u32 = EXECUTE if code & 16 != 0 else WRITE if code & 2 != 0 else READ
    if frame.from_user():
        if USER_TOP + PAGE_SIZE <= address < LOWEST_KERNEL_ADDRESS:
            # No address at all. Processors say so by another exception; the emulation of QEMU 8.2 does not.
            on_user_fault(frame, GENERAL_PROTECTION, 0, 0)
        else:
            on_page_fault(frame, address, access)
        return
    go_on = fixup(frame.rip)
    if go_on == 0 or address >= USER_TOP or code & 8 != 0:
        on_kernel_fault(frame, PAGE_FAULT, code, address)
        return
    if not on_page_fault(frame, address, access):
        frame.rip = go_on


@metal
def exception(frame: Frame, vector: u32) -> None:
    """Any vector below 32 but the page fault."""
    if vector == NMI:
        if stopping:
            halt_forever()
        answer_kick(frame)
        return
    if vector in (DOUBLE_FAULT, MACHINE_CHECK):  # on the emergency stack, whoever ran
        on_kernel_fault(frame, vector, frame.code, read_cr2())
        return
    if frame.from_user():
        if vector != GENERAL_PROTECTION or not answer_refused(frame):
            on_user_fault(frame, vector, frame.code, 0)
        return
    go_on = fixup(frame.rip)
    if go_on != 0:
        frame.rip = go_on
        return
    on_kernel_fault(frame, vector, frame.code, 0)


@metal
def interrupt(vector: u32) -> None:
    """Vectors from 32 on."""
    global spurious_count
    if vector == SPURIOUS:  # wants no end of interrupt
        spurious_count += 1
        return
    end_of_interrupt()
    if vector == TIMER:
        on_timer()
    elif vector == RESCHEDULE:
        on_reschedule()
    elif vector == SHOOTDOWN:
        answer_shootdown()
    elif handlers[vector - FIRST_INTERRUPT].function is not None:
        handler = handlers[vector - FIRST_INTERRUPT]
        handler.function(handler.argument)
    else:
        spurious_count += 1


@metal
def handle_trap(frame: Frame) -> None:
    """What the stubs call."""
    vector = u32.wrap(frame.vector)
    if vector == PAGE_FAULT:
        page_fault(frame, read_cr2())
    elif vector >= FIRST_INTERRUPT:
        interrupt(vector)
    else:
        exception(frame, vector)


@metal
def finish_work(frame: Frame) -> None:
    """Until nothing is left to do before user mode."""
    while work != 0:
        before_user(frame)


@metal
def register_interrupt(vector: u32, function: Fn[[u64], None], argument: u64) -> None:
    """Have `function(argument)` answer a vector, in interrupt context. At boot."""
    handlers[vector - FIRST_INTERRUPT].argument = argument
    handlers[vector - FIRST_INTERRUPT].function = function


@metal
def take_vector() -> u32:
    """A vector that nobody has; 0 if none is left. At boot."""
    global next_vector
    if next_vector == VECTORS:
        return 0
    next_vector += 1
    return next_vector - 1


GENERAL = ("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi")
PUSH = "".join(f"push %{name}\n" for name in reversed(GENERAL))
POP = "".join(f"pop %{name}\n" for name in GENERAL)


def _stub(vector: int) -> str:
    entry = "{emergency}" if vector in ON_EMERGENCY_STACK else "{common}"
    code = "" if vector in WITH_CODE else "push $0\n"
    return f".balign 16\n{code}push ${vector}\njmp {entry}\n"


STUBS = ".cfi_undefined 16\n" + "".join(_stub(vector) for vector in range(VECTORS))

# The frame's cs is at 24 behind the pushed vector, at 144 once all registers are pushed. A trap out of user mode leaves
# the stack segment null, a call leaves the kernel's: nothing here looks at it, but an emulator keeps a translation of
# the kernel for each, so both get the same.
COMMON = unwound(
    (
        NO_CALLER,
        f"""
    cld
    testb $3, 24(%rsp)
    je 1f
    swapgs
1:  {PUSH}
""",
    ),
    (
        AT_FRAME,
        f"""
    cmpb $0, {{smap}}(%rip)
    je 2f
    clac
2:  testb $3, 144(%rsp)
    je 3f
    movl ${KERNEL_DATA}, %eax
    movl %eax, %ss
    xorl %ebp, %ebp
3:  movq %rsp, %rdi
    call {{handler}}
    jmp {{leave}}
""",
    ),
)

LEAVE = unwound(
    (
        AT_FRAME,
        """
    testb $3, 144(%rsp)
    je 2f
1:  cmpl $0, %gs:{work}
    jne 3f
    swapgs
""",
    ),
    (
        NO_CALLER,
        f"""
2:  {POP}
    addq $16, %rsp
    iretq
""",
    ),
    (
        AT_FRAME,
        """
3:  movq %rsp, %rdi
    call {finish}
    jmp 1b
""",
    ),
)

# These come at any instruction, between SYSCALL and SWAPGS too: the base itself tells whose it is. The kernel's is
# negative, and user mode can't set such a one.
EMERGENCY = unwound(
    (
        NO_CALLER,
        f"""
    cld
    {PUSH}
""",
    ),
    (
        AT_FRAME,
        """
    movl $0xc0000101, %ecx
    rdmsr
    xorl %ebx, %ebx
    testl %edx, %edx
    js 1f
    swapgs
    incl %ebx
1:  movq %rsp, %rdi
    call {handler}
    testl %ebx, %ebx
    je 2f
    swapgs
""",
    ),
    (
        NO_CALLER,
        f"""
2:  {POP}
    addq $16, %rsp
    iretq
""",
    ),
)


@metal(naked=True)
def trap_stubs() -> None:
    """The entry of vector n is n * 16 bytes from here."""
    unsafe.asm(STUBS, common=trap_common, emergency=trap_emergency)


@metal(naked=True)
def trap_common() -> None:
    """Builds the frame."""
    unsafe.asm(COMMON, smap=smap, handler=handle_trap, leave=leave_kernel)


@metal(naked=True)
def trap_emergency() -> None:
    """Builds the frame on the emergency stack."""
    unsafe.asm(EMERGENCY, handler=handle_trap)


@metal(naked=True)
def leave_kernel() -> None:
    """With the stack pointer at a frame: back to where it came from, by IRET."""
    unsafe.asm(LEAVE, work=work, finish=finish_work)


@metal(naked=True)
def enter_user(frame: Frame) -> None:
    """Go to user mode with the registers of `frame`, which lies at the top of the kernel stack. Never returns."""
    unsafe.asm(".cfi_undefined 16\nmovq %rdi, %rsp\njmp {leave}", leave=leave_kernel)


@metal
def set_vectors() -> None:
    """Fill the interrupt table. Once."""
    stubs = unsafe.address(trap_stubs)
    assert stubs & 15 == 0, "the trap stubs are not on a 16-byte border"
    for vector in range(u64(0), u64(VECTORS)):
        stack: u64 = EMERGENCY_STACK if vector in ON_EMERGENCY_STACK else 0
        level: u64 = 3 if vector in (BREAKPOINT, OVERFLOW) else 0
        set_gate(vector, stubs + vector * 16, stack, level)
