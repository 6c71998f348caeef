"""/proc/PID: what a process has used, how it stands when memory runs out, where in the kernel it is, and its names."""

from goanna.kernel.arch import processor_count
from goanna.kernel.base.errno import EACCES, EINVAL
from goanna.kernel.base.text import Text
from goanna.kernel.file.declare import Generated
from goanna.kernel.file.subject import Subject
from goanna.kernel.identity.credentials import CAP_SYS_RESOURCE, capable
from goanna.kernel.memory import pages
from goanna.kernel.signal.memory_out import ADJUSTMENTS, badness
from goanna.kernel.thread.current import current, current_process
from goanna.kernel.thread.process import (
    FETCHED_BYTES,
    READ_BYTES,
    READ_CALLS,
    WRITE_CALLS,
    WRITTEN_BYTES,
    Process,
    Usage,
    tree_lock,
)
from goanna.kernel.thread.thread import Thread, ThreadState, frame_of
from goanna.kernel.thread.usage import usage_of, usage_of_thread
from goanna.metal import Slice, i32, i64, metal, u8, u64

__all__ = ["FILES", "of_thread", "write_allowed"]


@metal
def write_transfers(text: Text, subject: Subject) -> i64:
    """io. What is written stays in memory, or goes to a folder of the host: no disk is written."""
    used = Usage()
    with tree_lock:
        if subject.is_thread:
            usage_of_thread(subject.thread, used)
        else:
            usage_of(subject.process, used)
    text.line(b"rchar: ", used.counts[READ_BYTES])
    text.line(b"wchar: ", used.counts[WRITTEN_BYTES])
    text.line(b"syscr: ", used.counts[READ_CALLS])
    text.line(b"syscw: ", used.counts[WRITE_CALLS])
    text.line(b"read_bytes: ", used.counts[FETCHED_BYTES])
    text.put(b"write_bytes: 0\ncancelled_write_bytes: 0\n")
    return 0


@metal
def write_score(text: Text, subject: Subject) -> i64:
    """oom_score: how soon a process is ended when memory runs out, 0 to 2000 (Linux proc_oom_score)."""
    total = i64(pages.total_pages())
    points: i64 = 0
    with tree_lock:
        if subject.process.memory_adjustment != -ADJUSTMENTS:
            points = max((1000 + badness(subject.process) * 1000 // total) * 2 // 3, 0)
    text.signed(points)
    text.byte(0x0A)
    return 0


@metal
def write_adjustment(text: Text, subject: Subject) -> i64:
    """oom_score_adj."""
    text.signed(i64(subject.process.memory_adjustment))
    text.byte(0x0A)
    return 0


@metal
def write_old_adjustment(text: Text, subject: Subject) -> i64:
    """oom_adj: the same on the scale from -17 to 15."""
    adjustment = i64(subject.process.memory_adjustment)
    if adjustment == ADJUSTMENTS:
        text.put(b"15")
    elif adjustment < 0:
        text.byte(0x2D)
        text.number(u64(-adjustment) * 17 // ADJUSTMENTS)
    else:
        text.number(u64(adjustment) * 17 // ADJUSTMENTS)
    text.byte(0x0A)
    return 0


@metal
def parse_signed(said: Slice[u8]) -> tuple[i64, bool]:
    """A decimal number between blanks, and whether it is one."""
    start: u64 = 0
    end = len(said)
    while end > start and said[end - 1] in (0x20, 0x0A):
        end -= 1
    while start < end and said[start] == 0x20:
        start += 1
    negative = start < end and said[start] == 0x2D
    if negative:
        start += 1
    if start == end or end - start > 9:
        return 0, False
    value: i64 = 0
    for byte in said[start:end]:
        if byte < 0x30 or byte > 0x39:
            return 0, False
        value = value * 10 + i64(byte - 0x30)
    return -value if negative else value, True


@metal
def set_adjustment(said: Slice[u8], subject: Subject) -> i64:
    """oom_score_adj: who may not override limits goes no lower than who could has let it."""
    value, good = parse_signed(said)
    if not good or value < -ADJUSTMENTS or value > ADJUSTMENTS:
        return -EINVAL
    process: Process = subject.process
    free = capable(CAP_SYS_RESOURCE)
    if value < i64(process.least_adjustment) and not free:
        return -EACCES
    process.memory_adjustment = i32(value)
    if free:
        process.least_adjustment = i32(value)
    return 0


@metal
def set_thread_name(said: Slice[u8], subject: Subject) -> i64:
    """comm: of threads of the writer's own process."""
    if subject.process is not current_process():
        return -EINVAL
    length = min(len(said), 15)
    if length != 0 and said[length - 1] == 0x0A:
        length -= 1
    thread: Thread = subject.thread
    for index in range(u64(0), u64(16)):
        thread.name[index] = said[index] if index < length else u8(0)
    return 0


@metal
def write_thread_name(text: Text, subject: Subject) -> i64:
    """comm."""
    text.string(subject.thread.name[:])
    text.byte(0x0A)
    return 0


@metal
def put_word(text: Text, value: u64) -> None:
    """A number as 0x..., after a blank."""
    text.put(b" 0x")
    text.hexadecimal(value, 1)


@metal
def write_call(text: Text, subject: Subject) -> i64:
    """syscall: the call that a thread waits in, its arguments, stack pointer and program counter."""
    thread: Thread = subject.thread
    if thread.stack == 0 or (thread is not current() and thread.state != ThreadState.BLOCKED):
        text.put(b"running\n")
        return 0
    frame = frame_of(thread)
    if frame.is_call():
        text.number(frame.number())
        for index in range(u64(0), u64(6)):
            put_word(text, frame.argument(index))
    else:
        text.put(b"-1")
    put_word(text, frame.stack_pointer())
    put_word(text, frame.program_counter())
    text.byte(0x0A)
    return 0


@metal
def write_allowed(text: Text, thread: Thread) -> None:
    """The lines of status about processors and memory that a thread may use."""
    online = (u64(1) << u64(processor_count())) - 1
    mask = thread.affinity.load() & online
    text.put(b"Cpus_allowed:\t")
    text.hexadecimal(mask, u64((processor_count() + 3) // 4))
    text.put(b"\nCpus_allowed_list:\t")
    first = True
    at: u64 = 0
    while mask >> at != 0:
        if mask >> at & 1 == 0:
            at += 1
            continue
        end = at
        while mask >> end & 1 != 0:
            end += 1
        text.put(b"" if first else b",")
        first = False
        text.number(at)
        if end - at > 1:
            text.byte(0x2D)
            text.number(end - 1)
        at = end
    text.put(b"\nMems_allowed:\t1\nMems_allowed_list:\t0\n")


MAP = b"         0          0 4294967295\n"


def of_thread(base: str) -> list[Generated]:
    """What a process and each of its threads have."""
    return [
        Generated(f"{base}/comm", 0o644, text=write_thread_name, store=set_thread_name),
        Generated(f"{base}/io", 0o400, text=write_transfers),
        Generated(f"{base}/oom_score", 0o444, text=write_score),
        Generated(f"{base}/oom_score_adj", 0o644, text=write_adjustment, store=set_adjustment),
        Generated(f"{base}/oom_adj", 0o644, text=write_old_adjustment),
        Generated(f"{base}/personality", 0o400, text=b"00000000\n"),
        Generated(f"{base}/syscall", 0o400, text=write_call),
        Generated(f"{base}/wchan", 0o444, text=b"0"),
        Generated(f"{base}/uid_map", 0o644, text=MAP),
        Generated(f"{base}/gid_map", 0o644, text=MAP),
        Generated(f"{base}/projid_map", 0o644, text=MAP),
        Generated(f"{base}/setgroups", 0o644, text=b"allow\n"),
    ]


FILES = of_thread("/proc/{pid}") + of_thread("/proc/{pid}/task/{tid}")
