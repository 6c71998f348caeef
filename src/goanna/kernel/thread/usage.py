"""What processes have used: getrusage, wait4 and times ask here.

All processor time counts as the program's own: the kernel does not tell it from its own, as Linux does not for a
program that no tick has met in the kernel.
"""

from goanna.kernel.arch import PAGE_SIZE
from goanna.kernel.memory.user import put_struct
from goanna.kernel.thread.process import Process, Usage
from goanna.kernel.thread.scheduler import running_time
from goanna.kernel.thread.thread import Thread
from goanna.metal import Array, copy, i64, metal, struct, u64

__all__ = ["put_usage", "usage_of", "usage_of_thread"]

NANOSECONDS = 1_000_000_000


@struct
class ResourceUsage:
    """struct rusage."""

    user_seconds: i64
    user_microseconds: i64
    system_seconds: i64
    system_microseconds: i64
    maximum_resident: i64  # KiB
    unused: Array[i64, 3]
    minor_faults: i64
    major_faults: i64
    more: Array[i64, 6]
    voluntary_switches: i64
    involuntary_switches: i64


@metal
def usage_of(process: Process, usage: Usage) -> None:
    """What all threads of a process have used, ended ones too. Process tree lock held."""
    copy(usage, process.ended)
    usage.time = process.cpu_time.load()
    if process.space is not None:
        usage.peak = max(usage.peak, process.space.peak)
    thread = process.threads.head()
    while thread is not None:
        add_thread(usage, thread)
        thread = process.threads.after(thread)


@metal
def usage_of_thread(thread: Thread, usage: Usage) -> None:
    """What the running thread has used; memory is its process's."""
    add_thread(usage, thread)
    usage.peak = max(thread.process.ended.peak, thread.process.space.peak)


@metal
def add_thread(usage: Usage, thread: Thread) -> None:
    """Count a living thread in."""
    usage.time += running_time(thread)
    usage.faults += thread.faults.load()
    usage.switches += thread.switches.load()
    usage.preemptions += thread.preemptions.load()


@metal
def put_usage(address: u64, usage: Usage) -> i64:
    """Write a struct rusage to the program. 0 or -EFAULT."""
    record = ResourceUsage(
        user_seconds=i64(usage.time // NANOSECONDS),
        user_microseconds=i64(usage.time % NANOSECONDS // 1000),
        maximum_resident=i64(usage.peak * (PAGE_SIZE // 1024)),
        minor_faults=i64(usage.faults),
        voluntary_switches=i64(usage.switches),
        involuntary_switches=i64(usage.preemptions),
    )
    return put_struct(address, record)
