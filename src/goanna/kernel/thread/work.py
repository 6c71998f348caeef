"""What a thread does on its way to user mode when something waits: give way, end, take signals."""

from goanna.kernel.arch import Frame, before_user, enter_user, take_work
from goanna.kernel.memory.user import put
from goanna.kernel.thread.current import current
from goanna.kernel.thread.exit import end_thread
from goanna.kernel.thread.queue import queue_here
from goanna.kernel.thread.scheduler import finish_switch, reschedule
from goanna.kernel.thread.thread import WORK_EXIT, WORK_SIGNAL, deliver_signals, frame_of
from goanna.metal import metal, u64

__all__ = ["begin_program_thread", "do_work"]


@before_user.set
@metal
def do_work(frame: Frame) -> None:
    """Do what waits. Interrupts off, on the thread's own stack; comes back to user mode, or not at all."""
    take_work()
    if queue_here().wanted.load():
        queue_here().wanted.store(False)
        reschedule(False)
    me = current()
    pending = me.work.load()
    if pending & WORK_EXIT != 0:
        end_thread(me.process.exit_status)
    if pending & WORK_SIGNAL != 0:
        me.work.and_(~WORK_SIGNAL & 0xFFFF_FFFF)
        deliver_signals(frame)


@metal
def begin_program_thread(argument: u64) -> None:
    """The first thing that a thread of a program runs: enter user mode by the frame at the top of its stack."""
    finish_switch()
    me = current()
    if me.set_child_tid != 0:
        put(me.set_child_tid, me.id)
    frame = frame_of(me)
    while take_work() != 0:
        do_work(frame)
    enter_user(frame)
