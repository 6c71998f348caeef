"""rt_sigreturn: back from a handler to where the signal came in between."""

from goanna.kernel.arch import PAGE_SIZE, Frame, float_size, signal_frame_pop, virtual
from goanna.kernel.arch.signal_setup import SignalReturn
from goanna.kernel.memory import pages
from goanna.kernel.signal.actions import change_stack
from goanna.kernel.signal.info import Information
from goanna.kernel.signal.mask import set_blocked
from goanna.kernel.signal.numbers import SI_KERNEL, SIGSEGV
from goanna.kernel.signal.send import force
from goanna.kernel.thread.current import current
from goanna.metal import i32, i64, metal, u8, u32, u64, unsafe

__all__ = ["sys_rt_sigreturn"]


@metal
def order_for(size: u64) -> u32:
    """The smallest order of pages that takes `size` bytes."""
    order: u32 = 0
    while u64(PAGE_SIZE) << order < size:
        order += 1
    return order


@metal
def sys_rt_sigreturn(frame: Frame) -> i64:
    """rt_sigreturn. What the stack pointer points to must be a frame that a signal left; if it isn't: SIGSEGV.

    The result is the register that the program had, so that storing it changes nothing.
    """
    thread = current()
    back = SignalReturn()
    frame.forget_call()
    thread.restart.call = None
    order = order_for(float_size())
    scratch = pages.allocate_order(order)
    good = False
    if scratch != 0:
        room = unsafe.slice(u8, virtual(scratch), float_size())
        good = signal_frame_pop(frame, thread.float_area, room, back)
        pages.free_order(scratch, order)
    if not good:
        force(Information(number=i32(SIGSEGV), code=SI_KERNEL))
        return 0
    with thread.process.signals.lock:
        set_blocked(thread, back.mask)
    change_stack(thread.signals.stack, back.stack, frame.stack_pointer())
    return frame.result()
