"""Signal frames on the host: all that a handler's return must bring back, in a layout of our own on the user stack."""

from goanna.kernel.arch.host.frame import Frame
from goanna.kernel.arch.host.machine import float_init, float_restore, float_save
from goanna.kernel.arch.host.user import user_copy_in, user_copy_out
from goanna.kernel.arch.signal_setup import SignalReturn, SignalSetup, StackRecord
from goanna.metal import (
    Array,
    Fn,
    Slice,
    copy,
    hook,
    i32,
    metal,
    offsetof,
    sizeof,
    struct,
    u8,
    u32,
    u64,
    unsafe,
    wrapping,
)

__all__ = [
    "MINIMUM_SIGNAL_STACK",
    "SignalFrame",
    "call_restart_by",
    "fault_signal",
    "on_user_fault",
    "page_fault_error",
    "signal_frame_pop",
    "signal_frame_push",
]

MINIMUM_SIGNAL_STACK = 2048
MAGIC = 0x1EAF_F4A3
RESTART_SYSCALL = 219
SA_ONSTACK = 0x08000000
INFORMATION_SIZE = 128
SIGSEGV, SI_KERNEL = 11, 0x80

# An exception of user mode, of which the host has none: a test calls what is set here.
on_user_fault = hook(Fn[[Frame, u32, u64, u64], None])


@struct
class SignalFrame:
    """What lies on the user stack while a handler runs."""

    magic: u64
    frame: Frame
    mask: u64
    stack: StackRecord
    float_word: u64
    information: Array[u8, INFORMATION_SIZE]


@metal
def signal_frame_push(frame: Frame, float_area: u64, setup: SignalSetup) -> bool:
    """Write the frame for a handler and make the thread go on in it. False if the stack can't take it."""
    stack = frame.stack_pointer()
    inside = stack > setup.stack.address and stack - setup.stack.address <= setup.stack.size
    if (setup.flags & SA_ONSTACK) != 0 and setup.stack.size != 0 and not inside:
        stack = wrapping(setup.stack.address + setup.stack.size)
    address = wrapping(stack - sizeof(SignalFrame)) & ~u64(15)
    float_save(float_area)
    out = SignalFrame(magic=MAGIC, mask=setup.mask, float_word=unsafe.load(u64, float_area))
    copy(out.frame, frame)
    copy(out.stack, setup.stack)
    out.information[0:INFORMATION_SIZE] = setup.information
    if user_copy_out(address, unsafe.address(out), sizeof(SignalFrame)) != 0:
        return False
    frame.set_argument(0, u64(setup.number))
    frame.set_argument(1, address + offsetof(SignalFrame, "information"))
    frame.set_argument(2, address)
    frame.set_result(0)
    frame.set_stack_pointer(address)
    frame.set_program_counter(setup.handler)
    float_init(float_area)
    float_restore(float_area)
    return True


@metal
def signal_frame_pop(frame: Frame, float_area: u64, scratch: Slice[u8], out: SignalReturn) -> bool:
    """Go back to where the frame at the stack pointer says. False if there is none."""
    back = SignalFrame()
    if user_copy_in(unsafe.address(back), frame.stack_pointer(), sizeof(SignalFrame)) != 0 or back.magic != MAGIC:
        return False
    copy(frame, back.frame)
    frame.forget_call()
    unsafe.store(u64, float_area, back.float_word)
    float_restore(float_area)
    out.mask = back.mask
    copy(out.stack, back.stack)
    return True


@metal
def call_restart_by(frame: Frame) -> None:
    """Make the program call restart_syscall where it made the call that was interrupted."""
    frame.restart_call()
    frame.call = RESTART_SYSCALL


@metal
def fault_signal(vector: u32, address: u64, flags: u64, float_area: u64) -> tuple[u32, i32, u64]:
    """The signal, its si_code and si_addr for an exception: what a general protection fault is on x86-64."""
    return SIGSEGV, SI_KERNEL, u64(0)


@metal
def page_fault_error(code: u64, kernel_address: bool) -> u64:
    """The error code as programs see it."""
    return code
