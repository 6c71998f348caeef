"""Delivery: what a thread does about its signals on the way back to user mode.

Default actions (end, stop, continue) happen here; a handler gets its frame from arch/; a call that a signal interrupted
is restarted or answers EINTR. Linux kernel/signal.c get_signal, arch/x86/kernel/signal.c.
"""

from goanna.kernel.arch import Frame, call_restart_by, signal_frame_push
from goanna.kernel.arch.signal_setup import SignalSetup
from goanna.kernel.base.errno import EINTR, ERESTART_RESTARTBLOCK, ERESTARTNOHAND, ERESTARTNOINTR, ERESTARTSYS
from goanna.kernel.signal.info import SIGINFO_SIZE, Information
from goanna.kernel.signal.jobs import begin_stop, orphaned, report_resumed, stop_here
from goanna.kernel.signal.mask import set_blocked
from goanna.kernel.signal.numbers import (
    IGNORED,
    SA_NODEFER,
    SA_RESETHAND,
    SA_RESTART,
    SI_KERNEL,
    SIG_DFL,
    SIG_IGN,
    SIGSEGV,
    SIGSTOP,
    SS_AUTODISARM,
    STOPPING,
)
from goanna.kernel.signal.send import force, force_default
from goanna.kernel.signal.state import Action, mask_of, recompute
from goanna.kernel.signal.take import take, take_synchronous
from goanna.kernel.thread.current import current
from goanna.kernel.thread.exit import end_process
from goanna.kernel.thread.thread import WORK_EXIT, Thread, deliver_signals
from goanna.metal import Array, copy, i32, metal, sizeof, struct, u8, u32, u64, unsafe

__all__ = ["Delivery", "deliver", "next_delivery"]


@struct
class Delivery:
    """A signal that was taken, and the handler that is to run."""

    number: u32
    information: Information
    action: Action


@deliver_signals.set
@metal
def deliver(frame: Frame) -> None:
    """Do what the running thread's signals ask for; sets up one handler at most, and WORK_SIGNAL if there is more.

    Called on the way to user mode, with no lock held, after WORK_SIGNAL was found set and taken back. Does not return
    if the process ends.
    """
    thread = current()
    delivery = Delivery()
    if next_delivery(thread, delivery):
        handle(thread, frame, delivery)
        return
    if (thread.work.load() & WORK_EXIT) != 0:
        return
    if frame.is_call():
        restart_unhandled(frame)
    with thread.process.signals.lock:
        if thread.signals.restore:
            thread.signals.restore = False
            set_blocked(thread, thread.signals.saved)


@metal
def next_delivery(thread: Thread, delivery: Delivery) -> bool:
    """Take signals and do their default actions until one has a handler; False if there is none left."""
    shared = thread.process.signals
    mine = thread.signals
    shared.lock.acquire()
    while True:
        if shared.death != 0:
            return die(thread, shared.death)
        if (thread.work.load() & WORK_EXIT) != 0:
            shared.lock.release()
            return False
        if shared.report != 0:
            report_resumed(shared)
            continue
        if mine.stop_wanted:
            stop_here(thread)
            continue
        number = take_synchronous(mine, delivery.information)
        if number == 0:
            number = take(shared, mine, mine.blocked, delivery.information)
        if number == 0:
            recompute(thread)
            shared.lock.release()
            return False
        action = shared.action(number)
        mask = mask_of(number)
        if action.handler == SIG_IGN:
            continue
        if action.handler != SIG_DFL:
            delivery.number = number
            copy(delivery.action, action)
            if (action.flags & SA_RESETHAND) != 0:
                action.handler = SIG_DFL
            shared.lock.release()
            return True
        if (mask & IGNORED) != 0:
            continue
        if (mask & STOPPING) == 0:
            return die(thread, number)
        mine.stop_taken = True
        if number == SIGSTOP or not orphaned(thread.process):
            begin_stop(thread, number)


@metal
def die(thread: Thread, number: u32) -> bool:
    """End the process by a signal. Lock held; end_process never returns."""
    thread.process.signals.lock.release()
    end_process(number)
    return False


@metal
def restart_unhandled(frame: Frame) -> None:
    """A call was interrupted, and no handler runs: make it go on."""
    result = frame.result()
    if result in (-ERESTARTSYS, -ERESTARTNOINTR, -ERESTARTNOHAND):
        frame.restart_call()
    elif result == -ERESTART_RESTARTBLOCK:
        call_restart_by(frame)


@metal
def interrupt_call(frame: Frame, flags: u64) -> None:
    """A call was interrupted, and a handler runs: the call is made again after it, or has failed."""
    result = frame.result()
    if result == -ERESTARTNOINTR or (result == -ERESTARTSYS and (flags & SA_RESTART) != 0):
        frame.restart_call()
    elif result in (-ERESTARTSYS, -ERESTARTNOHAND, -ERESTART_RESTARTBLOCK):
        frame.set_result(-EINTR)


@metal
def handle(thread: Thread, frame: Frame, delivery: Delivery) -> None:
    """Make the thread run a handler; if its stack can't take the frame, SIGSEGV instead."""
    mine = thread.signals
    action = delivery.action
    if frame.is_call():
        interrupt_call(frame, action.flags)
    frame.forget_call()
    information = Array[u8, SIGINFO_SIZE]()
    information[0 : sizeof(Information)] = unsafe.slice(
        u8, unsafe.address(delivery.information), sizeof(Information)
    )
    setup = SignalSetup(
        number=delivery.number,
        handler=action.handler,
        flags=action.flags,
        restorer=action.restorer,
        mask=mine.saved if mine.restore else mine.blocked,
        information=information,
        fault_number=mine.fault_number,
        fault_error=mine.fault_error,
        fault_address=mine.fault_address,
    )
    setup.stack.address = mine.stack.address
    setup.stack.size = mine.stack.size
    setup.stack.flags = mine.stack.flags
    if not signal_frame_push(frame, thread.float_area, setup):
        refuse(delivery.number)
        return
    with thread.process.signals.lock:
        mine.restore = False
        blocked = mine.blocked | action.mask
        if (action.flags & SA_NODEFER) == 0:
            blocked |= mask_of(delivery.number)
        set_blocked(thread, blocked)
    if (mine.stack.flags & SS_AUTODISARM) != 0:
        mine.stack.disable()


@metal
def refuse(number: u32) -> None:
    """A handler could not be started: SIGSEGV, which ends the process if it was SIGSEGV's own."""
    information = Information(number=i32(SIGSEGV), code=SI_KERNEL)
    if number == SIGSEGV:
        force_default(information)
    else:
        force(information)
