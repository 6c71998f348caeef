"""What processes have used: getrusage, wait4 and times ask here.

How long a program ran is counted exactly; how much of that was the kernel's is told by the tick (tick.py).
"""

from goanna.kernel.arch import PAGE_SIZE
from goanna.kernel.memory.user import put_struct
from goanna.kernel.thread.process import (
    COUNTS,
    FAULTS,
    FETCHED_BYTES,
    MAJOR_FAULTS,
    PREEMPTIONS,
    SWITCHES,
    SYSTEM_TICKS,
    USER_TICKS,
    Process,
    Split,
    Usage,
)
from goanna.kernel.thread.scheduler import running_time
from goanna.kernel.thread.thread import Thread
from goanna.kernel.thread.tick import split_time
from goanna.metal import Array, copy, i64, metal, struct, u64

__all__ = ["add_counts", "put_usage", "usage_of", "usage_of_thread"]

NANOSECONDS = 1_000_000_000
BLOCK = 512


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
    swaps: i64
    blocks_in: i64  # of 512 bytes
    more: Array[i64, 4]
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
    split(usage, process.shown)


@metal
def usage_of_thread(thread: Thread, usage: Usage) -> None:
    """What a thread has used; memory is its process's. Process tree lock held."""
    add_thread(usage, thread)
    process = thread.process
    usage.peak = process.ended.peak
    if process.space is not None:
        usage.peak = max(usage.peak, process.space.peak)
    split(usage, thread.shown)


@metal
def split(usage: Usage, shown: Split) -> None:
    """Find out what of the time was the kernel's. Process tree lock held."""
    usage.system = split_time(shown, usage.time, usage.counts[USER_TICKS], usage.counts[SYSTEM_TICKS])


@metal
def add_thread(usage: Usage, thread: Thread) -> None:
    """Count a living thread in."""
    usage.time += running_time(thread)
    add_counts(usage, thread)


@metal
def add_counts(usage: Usage, thread: Thread) -> None:
    """Count in what was counted for a thread."""
    for index in range(u64(0), u64(COUNTS)):
        usage.counts[index] += thread.counts[index].load()


@metal
def put_usage(address: u64, usage: Usage) -> i64:
    """Write a struct rusage to the program. 0 or -EFAULT."""
    record = ResourceUsage(
        user_seconds=i64((usage.time - usage.system) // NANOSECONDS),
        user_microseconds=i64((usage.time - usage.system) % NANOSECONDS // 1000),
        system_seconds=i64(usage.system // NANOSECONDS),
        system_microseconds=i64(usage.system % NANOSECONDS // 1000),
        maximum_resident=i64(usage.peak * (PAGE_SIZE // 1024)),
        minor_faults=i64(usage.counts[FAULTS]),
        major_faults=i64(usage.counts[MAJOR_FAULTS]),
        blocks_in=i64(usage.counts[FETCHED_BYTES] // BLOCK),
        voluntary_switches=i64(usage.counts[SWITCHES]),
        involuntary_switches=i64(usage.counts[PREEMPTIONS]),
    )
    return put_struct(address, record)
