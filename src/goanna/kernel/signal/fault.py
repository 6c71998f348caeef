"""Faults of programs become signals: page faults that memory/ can't mend, and all other exceptions."""

from goanna.kernel.arch import (
    USER_TOP,
    Frame,
    fault_signal,
    float_save,
    interrupt_window,
    on_page_fault,
    on_user_fault,
    page_fault_error,
)
from goanna.kernel.base.errno import EACCES, EFAULT, EIO, ENOMEM
from goanna.kernel.memory.fault import handle_fault
from goanna.kernel.memory.user import quiet
from goanna.kernel.signal.info import Information
from goanna.kernel.signal.memory_out import make_room
from goanna.kernel.signal.numbers import BUS_ADRERR, SEGV_ACCERR, SEGV_MAPERR, SIGBUS, SIGSEGV
from goanna.kernel.signal.send import force
from goanna.kernel.thread.current import count, current
from goanna.kernel.thread.process import FAULTS, FETCHES, MAJOR_FAULTS
from goanna.metal import RELAXED, i32, i64, metal, u32, u64

PAGE_FAULT = 14


@metal
def raise_fault(number: u32, code: i32, address: u64) -> None:
    """Send the running thread a signal for what its own instruction did."""
    information = Information(number=i32(number), code=code)
    information.details.fault.address = address
    force(information)


@on_page_fault.set
@metal
def page_fault(frame: Frame, address: u64, access: u32) -> bool:
    """A page fault in user mode or in a user copy. True: try again. False: a signal was sent, or the copy is to end."""
    if quiet:
        return False
    thread = current()
    result: i64 = -EFAULT
    if address < USER_TOP:
        fetches = thread.counts[FETCHES].load(order=RELAXED)
        result = handle_fault(thread.process.space, address, access)
        if result == 0:
            count(thread, FAULTS if thread.counts[FETCHES].load(order=RELAXED) == fetches else MAJOR_FAULTS, 1)
            if frame.from_user():
                interrupt_window()  # so that the tick finds the kernel here
            return True
    if result == -ENOMEM:
        return make_room(thread)
    if not frame.from_user():
        return False
    mine = thread.signals
    mine.fault_number = PAGE_FAULT
    mine.fault_error = page_fault_error(frame.number(), address >= USER_TOP)
    mine.fault_address = address
    if result == -EIO:
        raise_fault(SIGBUS, BUS_ADRERR, address)
    else:
        raise_fault(SIGSEGV, SEGV_ACCERR if result == -EACCES else SEGV_MAPERR, address)
    return False


@on_user_fault.set
@metal
def user_fault(frame: Frame, vector: u32, code: u64, address: u64) -> None:
    """Any other exception in user mode, or a page fault at `address` in what the kernel wrote in a program's stead."""
    thread = current()
    float_save(thread.float_area)
    at = frame.program_counter()
    if vector == PAGE_FAULT:
        at = address
        thread.signals.fault_address = address
    number, reason, where = fault_signal(vector, at, frame.flags(), thread.float_area)
    if number == 0:
        return
    thread.signals.fault_number = u64(vector)
    thread.signals.fault_error = code
    raise_fault(number, reason, where)
