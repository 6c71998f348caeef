"""Making threads and processes: memory, a stack, a place in the table. What they run is the caller's to say."""

from goanna.kernel.arch import float_init, now, prepare_context, processor_index
from goanna.kernel.thread.current import current
from goanna.kernel.thread.exit import end_thread
from goanna.kernel.thread.process import Process, processes
from goanna.kernel.thread.queue import make_ready
from goanna.kernel.thread.scheduler import finish_switch, leave_forever
from goanna.kernel.thread.stack import allocate_stack, float_area_of, stack_top_of
from goanna.kernel.thread.thread import (
    Thread,
    allocate_id,
    free_thread,
    publish_thread,
    release_thread,
    threads,
    tree_lock,
    withdraw_thread,
)
from goanna.metal import Fn, Ptr, metal, u64

__all__ = ["EVERYWHERE", "begin_kernel_thread", "make_process", "make_thread", "start_kernel_thread"]

EVERYWHERE = 2**64 - 1  # affinity: any processor
NO_LIMIT = 2**64 - 1


@metal
def make_thread(process: Ptr[Process]) -> Ptr[Thread]:
    """A thread with a kernel stack, in no table yet, or None if there is no memory. With a process, it is a program's.

    It holds one reference, its own, which its end gives back; until it runs, free_thread undoes it.
    """
    thread = threads.allocate()
    if thread is None:
        return None
    thread.references.store(1)
    if process is not None:
        process.references.add(1)
        thread.process = process
    stack = allocate_stack()
    if stack == 0:
        free_thread(thread)
        return None
    thread.stack = stack
    thread.stack_top = stack_top_of(stack)
    thread.affinity.store(EVERYWHERE)
    thread.processor = processor_index()
    if process is not None:
        thread.float_area = float_area_of(stack)
        float_init(thread.float_area)
    return thread


@metal
def make_process() -> Ptr[Process]:
    """A process without memory, threads or number: it gets its first thread's. None if there is no memory.

    Its reference is given back when its parent has heard of its end.
    """
    process = processes.allocate()
    if process is None:
        return None
    process.references.store(1)
    process.started = now()
    process.dumpable = 1
    return process


@metal
def start_kernel_thread(entry: Fn[[u64], None], argument: u64, process: Ptr[Process]) -> Ptr[Thread]:
    """Run entry(argument) in a thread that stays in the kernel; None if there is no memory or no number.

    With a process it is one of that process's threads; None: it is the kernel's alone.
    """
    thread = make_thread(process)
    if thread is None:
        return None
    thread.entry = entry
    thread.argument = argument
    with tree_lock:
        thread.id = allocate_id()
        if thread.id != 0:
            publish_thread(thread)
    if thread.id == 0:
        free_thread(thread)
        return None
    prepare_context(thread.context, thread.stack_top, begin_kernel_thread, 0)
    make_ready(thread)
    return thread


@metal
def begin_kernel_thread(argument: u64) -> None:
    """The first thing that a thread of the kernel's own runs."""
    finish_switch()
    me = current()
    me.entry(me.argument)
    if me.process is not None:
        end_thread(0)
    with tree_lock:
        withdraw_thread(me)
    release_thread(me)
    leave_forever()
