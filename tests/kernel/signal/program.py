"""What threads of a simulated program need to take signals: their setup, a handler, the way to user mode and back."""

from goanna.kernel.arch import Frame
from goanna.kernel.arch.host.processors import pass_through_user, spend_time
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory import user as user_memory
from goanna.kernel.signal import deliver, jobs, setup
from goanna.kernel.signal import memory_out as memory_out_module
from goanna.kernel.signal.handler_return import sys_rt_sigreturn
from goanna.kernel.signal.state import Action
from goanna.kernel.thread import thread as threads
from goanna.kernel.thread.current import current
from goanna.kernel.thread.process import Process
from goanna.metal import Array, Atomic, i64, metal, static, u8, u32, u64, unsafe
from tests.kernel.thread.simulation import USER_PAGE, Simulation

HANDLER = 0x401000
CODE = 0x400000
RLIMIT_SIGPENDING = 11
SIGINFO = 128

lock = static(SpinLock)  # setup of the process
handled = static(Atomic[u64])  # handlers that ran, in all threads
handled_by = static(Array[u64, 16])
seen = static(Array[u8, 16 * SIGINFO])  # the siginfo that each thread's last handler was given
memory_outs = static(u64)


@metal
def memory_out(process: Process) -> None:
    global memory_outs
    memory_outs += 1


@metal
def begin(number: u64, frame: Frame) -> None:
    """Give the running thread its signals and a user stack. Thread n has USER_PAGE + n pages of its own."""
    me = current()
    with lock:
        if me.process.signals is None:
            me.process.limits[RLIMIT_SIGPENDING].current = 1000
            setup.setup_process(me.process, None, 0)
    setup.setup_thread(me, None, 0)
    frame.plain = 1
    frame.pc = CODE
    frame.sp = stack_of(number) + 4096


@metal
def stack_of(number: u64) -> u64:
    """The first address of a thread's page."""
    return USER_PAGE + number * 4096


@metal
def install(number: u32, flags: u64, mask: u64) -> None:
    """Have the handler run on a signal."""
    shared = current().process.signals
    with shared.lock:
        action: Action = shared.action(number)
        action.handler = HANDLER
        action.flags = flags
        action.mask = mask


@metal
def block(mask: u64) -> None:
    """Block signals before the program begins."""
    current().signals.blocked = mask


@metal
def run_handlers(number: u64, frame: Frame) -> None:
    """While the program is in the handler: note it, and return from it."""
    while frame.pc == HANDLER:
        user_memory.copy_in(seen[number * SIGINFO : (number + 1) * SIGINFO], frame.argument(1))
        handled.add(1)
        handled_by[number] += 1
        frame.set_result(sys_rt_sigreturn(frame))
        pass_through_user(frame)


@metal
def compute(number: u64, frame: Frame, nanoseconds: u64) -> None:
    """The program computes for a time."""
    spend_time(frame, nanoseconds)
    run_handlers(number, frame)


@metal
def finish_call(number: u64, frame: Frame, result: i64) -> bool:
    """A call gives its result, and the thread goes on to user mode. True: the call is to be made again."""
    frame.plain = 0
    frame.pc = CODE + 2
    frame.set_result(result)
    pass_through_user(frame)
    run_handlers(number, frame)
    return frame.pc == CODE


@metal
def word(number: u64, offset: u64) -> u32:
    """Four bytes of the siginfo that a thread's last handler was given."""
    return unsafe.load(u32, unsafe.address(seen) + number * SIGINFO + offset)


HOOKS = (
    (threads.signal_thread_teardown, setup.teardown_thread),
    (threads.signal_process_teardown, setup.teardown_process),
    (threads.deliver_signals, deliver.deliver),
    (threads.tell_of_death, jobs.notify_death),
    (threads.cut_tie, jobs.hang_up_orphans),
    (threads.send_death_signal, jobs.tell_of_maker),
    (threads.dying, jobs.is_dying),
    (memory_out_module.on_memory_out, memory_out),
)
STATICS = (handled, handled_by, seen)


def simulation(*roots):
    """A Simulation whose threads take signals."""
    return Simulation(*roots, *STATICS, hooks=HOOKS)
