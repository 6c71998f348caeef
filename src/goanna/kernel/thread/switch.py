"""What a processor keeps for the thread that it runs, changed from one to the next: vector registers, thread pointer,
kernel stack, page tables.

Vector registers are saved whenever a thread leaves, and loaded only if another's, or older ones, are in the processor.
"""

from goanna.kernel.arch import (
    float_restore,
    float_save,
    get_user_gs,
    kernel_table,
    processor_index,
    set_kernel_stack,
    set_thread_pointer,
    set_user_gs,
    table_switch,
    thread_pointer,
)
from goanna.kernel.thread.thread import Thread
from goanna.metal import Ptr, metal, per_processor

__all__ = ["forget_float_state", "load_memory", "load_thread", "save_thread"]

_float_owner = per_processor(Ptr[Thread])  # whose vector registers are in the processor


@metal
def save_thread(thread: Thread) -> None:
    """Save what user mode left in the processor."""
    if thread.float_area != 0:
        float_save(thread.float_area)
        thread.thread_pointer = thread_pointer()
        thread.user_gs = get_user_gs()


@metal
def load_memory(thread: Thread) -> None:
    """Run on a thread's address space, or on the kernel's if it has none."""
    process = thread.process
    if process is not None and process.space is not None:
        table_switch(process.space.table)
    else:
        table_switch(kernel_table)


@metal
def load_thread(thread: Thread) -> None:
    """Load what user mode and entry to the kernel need."""
    global _float_owner
    load_memory(thread)
    if thread.process is None:
        return
    set_kernel_stack(thread.stack_top)
    if thread.float_area != 0:
        if _float_owner is not thread or thread.float_processor != processor_index() + 1:
            float_restore(thread.float_area)
            _float_owner = thread
            thread.float_processor = processor_index() + 1
        set_thread_pointer(thread.thread_pointer)
        set_user_gs(thread.user_gs)


@metal
def forget_float_state(thread: Thread) -> None:
    """The saved vector registers of a thread that isn't running were changed: they are to be loaded."""
    thread.float_processor = 0
