"""The thread: a stack of its own in the kernel, user registers at its top, and what the scheduler knows about it.

A thread is one thing, the process it runs in (process.py) another. Threads are found by number in a table that the
process tree lock protects; whoever keeps a pointer to another thread beyond that lock holds a reference.
"""

from goanna.kernel.arch import Context, Frame, user_frame
from goanna.kernel.base.heap import HeapNode
from goanna.kernel.base.list import Link, List
from goanna.kernel.memory.objects import Cache
from goanna.kernel.thread.process import COUNTS, Process, Split, release_process, tree_lock
from goanna.kernel.thread.stack import free_stack
from goanna.kernel.time.timer import Timer
from goanna.metal import Array, Atomic, Fn, Ptr, enumeration, hook, i32, i64, metal, static, struct, u8, u16, u32, u64

__all__ = [
    "WORK_EXIT",
    "WORK_RESCHEDULE",
    "WORK_SIGNAL",
    "Process",
    "RestartBlock",
    "Thread",
    "ThreadState",
    "allocate_id",
    "close_process_descriptor",
    "cut_tie",
    "deliver_signals",
    "dying",
    "file_process_setup",
    "file_process_teardown",
    "file_thread_setup",
    "file_thread_teardown",
    "find_thread",
    "frame_of",
    "free_thread",
    "hold_described_process",
    "machine_end",
    "names_group",
    "open_process_descriptor",
    "publish_thread",
    "release_thread",
    "renumber_thread",
    "send_death_signal",
    "signal_process_setup",
    "signal_process_teardown",
    "signal_thread_setup",
    "signal_thread_teardown",
    "tell_of_death",
    "thread_total",
    "threads_born",
    "withdraw_thread",
]

WORK_RESCHEDULE = 1  # another thread should run here
WORK_SIGNAL = 2  # a signal may be deliverable
WORK_EXIT = 4  # the thread is to end

RESERVED_IDS = 300  # numbers up to this are given out once only, Linux RESERVED_PIDS
PID_MAXIMUM = 4_194_304  # Linux include/linux/threads.h PID_MAX_LIMIT on 64-bit machines


@enumeration(u8)
class ThreadState:
    """Where a thread is in its life. Changed by the thread itself and by who wakes it."""

    BLOCKED = 0
    READY = 1
    RUNNING = 2
    DEAD = 3
    MOVING = 4  # leaves a processor that its affinity no longer has


@struct
class RestartBlock:
    """How a call that a signal interrupted goes on with the time that is left (restart_syscall)."""

    call: Fn[["RestartBlock"], i64]
    address: u64
    deadline: u64
    value: u64
    clock: u32
    flags: u32


@struct
class Thread:
    """One thread. Fields without a lock in their comment are the thread's own."""

    context: Context  # while it isn't running: where it goes on
    stack: u64  # its kernel stack, from allocate_stack
    stack_top: u64  # end of its kernel stack; the user frame lies just below
    float_area: u64  # address of its saved vector registers, 64-byte aligned; 0 for a thread of the kernel's own
    thread_pointer: u64  # while it isn't running: FS base, TPIDR_EL0, tp
    user_gs: u64  # while it isn't running
    id: u32  # tid
    state: ThreadState  # the run queue's lock
    process: Ptr[Process]  # None for a thread of the kernel's own
    references: Atomic[u32]  # one for the table, one for each pointer kept elsewhere
    process_link: Link  # Process.threads; process tree lock
    table_link: Link  # table of threads; process tree lock

    work: Atomic[u32]  # WORK_ bits, set by anyone, seen on the way to user mode
    waiting: Atomic[u32]  # what a sleeper waits for and what woke it: see scheduler.py
    wait_timer: Timer  # ends a wait with a deadline
    restart: RestartBlock

    processor: u32  # where it runs or ran last; the run queue's lock
    on_processor: Atomic[bool]  # a processor runs on its stack
    affinity: Atomic[u64]  # mask of processors where it may run
    run_node: HeapNode  # the run queue's lock
    virtual_runtime: u64  # weighted time it has run, against its queue's; the run queue's lock
    started: u64  # when it last began to run
    charged: u64  # up to when virtual_runtime and cpu_time count its running
    run_base: u64  # while it runs: now() less the nanoseconds it has run, wrapping
    cpu_time: Atomic[u64]  # nanoseconds it has run, up to `charged`
    float_processor: u32  # 1 + where its vector registers were loaded last, 0: nowhere
    counts: Array[Atomic[u64], COUNTS]
    shown: Split  # process tree lock
    policy: u32  # SCHED_OTHER, SCHED_BATCH or SCHED_IDLE
    nice: i32  # -20 to 19
    io_priority: u16  # class and level, see io_priority_calls.py

    files: Ptr["goanna.kernel.file.table.FileTable"]  # its process's, or with a reference one of its own
    place: Ptr["goanna.kernel.file.place.Place"]  # the same
    signals: Ptr["goanna.kernel.signal.state.ThreadSignals"]
    awaited: u32  # while it waits for children: the one, 0 for any
    set_child_tid: u64  # user address where a new process's first thread leaves its number (CLONE_CHILD_SETTID)
    clear_child_tid: u64  # user address to zero and wake at its end (CLONE_CHILD_CLEARTID)
    robust_list: u64  # user address of a struct robust_list_head
    robust_length: u64
    pi_dead: Atomic[bool]  # it ends, and hands over no more priority-inheritance futexes
    name: Array[u8, 16]  # comm, zero-terminated
    entry: Fn[[u64], None]  # what a thread of the kernel's own runs
    argument: u64


threads = Cache(Thread)

_TABLE_SIZE = 256
ThreadTable = List(Thread, "table_link")
_table = static(Array[ThreadTable, _TABLE_SIZE])  # process tree lock
_last_id = static(u32)  # process tree lock
_born = static(u64)  # threads that were ever published; process tree lock
_wrapped = static(bool)  # numbers are given out a second time; process tree lock

# What higher rooms keep with a thread or process. Setup gives 0 or a negative errno, having undone what it did.
signal_thread_setup = hook(Fn[[Thread, Ptr[Thread], u64], i64])  # new thread, its maker, CLONE_ flags
signal_thread_teardown = hook(Fn[[Thread], None])
signal_process_setup = hook(Fn[[Process, Ptr[Process], u64], i64])
signal_process_teardown = hook(Fn[[Process], None])
file_process_setup = hook(Fn[[Process, Ptr[Process], u64], i64])
file_process_teardown = hook(Fn[[Process], None])
file_thread_setup = hook(Fn[[Thread, Thread, u64], i64])
file_thread_teardown = hook(Fn[[Thread], None])
# A process has ended: its parent gets the signal of that number (0: none). True: that one won't wait for it.
# The callers of this hook and the next two hold the process tree lock.
tell_of_death = hook(Fn[[Process, u32], bool])
# The tie between a process and a parent in another group is about to go: a group that is stopped, and that nobody could
# continue any more, is hung up. The bool: the process itself is ending.
cut_tie = hook(Fn[[Process, Process, bool], None])
send_death_signal = hook(Fn[[Process], None])  # the process's maker has ended: its death_signal, if it has one
# A new descriptor of a process in the running one's table, with O_ flags: its number or a negative errno; and its end.
open_process_descriptor = hook(Fn[[Process, u32], i64])
close_process_descriptor = hook(Fn[[i64], None])
# The process that a descriptor of the running process is of, with a reference; whether it is O_NONBLOCK; 0 or -EBADF.
hold_described_process = hook(Fn[[i32], tuple[Ptr[Process], bool, i64]])
dying = hook(Fn[[Thread], bool])  # whether a signal that can't be evaded ends the thread's process
deliver_signals = hook(Fn[[Frame], None])  # on the way to user mode, after WORK_SIGNAL was taken back
machine_end = hook(Fn[[u32], None])  # the first process has ended, with this wait status; does not return


@metal
def frame_of(thread: Thread) -> Frame:
    """The user registers of a thread that is in the kernel."""
    return user_frame(thread.stack_top)


@metal
def find_in_table(id: u32) -> Ptr[Thread]:
    """The thread of that number or None. Process tree lock held; it may be used until that is released."""
    bucket = _table[u64(id % _TABLE_SIZE)]
    thread = bucket.head()
    while thread is not None:
        if thread.id == id:
            return thread
        thread = bucket.after(thread)
    return None


@metal
def next_in_table(thread: Ptr[Thread]) -> Ptr[Thread]:
    """The thread that follows in the table, the first one for None; None at the end. Process tree lock held."""
    bucket: u64 = 0
    if thread is not None:
        bucket = u64(thread.id % _TABLE_SIZE)
        following = _table[bucket].after(thread)
        if following is not None:
            return following
        bucket += 1
    while bucket < _TABLE_SIZE:
        first = _table[bucket].head()
        if first is not None:
            return first
        bucket += 1
    return None


@metal
def find_thread(id: u32) -> Ptr[Thread]:
    """The thread of that number with a reference that the caller gives back by release_thread, or None."""
    with tree_lock:
        thread = find_in_table(id)
        if thread is not None:
            thread.references.add(1)
        return thread


@metal
def thread_total() -> u64:
    """How many threads there are."""
    total: u64 = 0
    with tree_lock:
        for bucket in _table:
            total += bucket.length()
    return total


@metal
def threads_born() -> tuple[u64, u32]:
    """How many threads there ever were, and the number that the youngest got."""
    with tree_lock:
        return _born, _last_id


@metal
def allocate_id() -> u32:
    """A number that no thread, process, group or session has; 0 if there is none. Process tree lock held."""
    global _last_id, _wrapped
    for _ in range(PID_MAXIMUM):
        if _last_id >= PID_MAXIMUM - 1:
            _last_id = RESERVED_IDS
            _wrapped = True
        _last_id += 1
        if find_in_table(_last_id) is None and not (_wrapped and names_group(_last_id)):
            return _last_id
    return 0


@metal
def names_group(id: u32) -> bool:
    """Whether a group or session of that number has members. Process tree lock held."""
    thread = next_in_table(None)
    while thread is not None:
        process = thread.process
        if process is not None and (process.group == id or process.session == id):
            return True
        thread = next_in_table(thread)
    return False


@metal
def publish_thread(thread: Thread) -> None:
    """Put a thread into the table and into its process. Process tree lock held; the table holds a reference."""
    global _born
    _born += 1
    thread.references.add(1)
    _table[u64(thread.id % _TABLE_SIZE)].append(thread)
    if thread.process is not None:
        thread.process.threads.append(thread)
        thread.process.thread_count += 1
        if thread.files is None:
            thread.files = thread.process.files
        if thread.place is None:
            thread.place = thread.process.place


@metal
def withdraw_thread(thread: Thread) -> None:
    """Take a thread out of the table; the caller then releases the table's reference. Process tree lock held."""
    _table[u64(thread.id % _TABLE_SIZE)].remove(thread)


@metal
def renumber_thread(thread: Thread, id: u32) -> None:
    """Give a thread in the table another number, which is free. Process tree lock held."""
    withdraw_thread(thread)
    thread.id = id
    _table[u64(id % _TABLE_SIZE)].append(thread)


@metal
def free_thread(thread: Thread) -> None:
    """Free what a thread that has ended, and runs no more, had for itself."""
    if thread.stack != 0:
        free_stack(thread.stack)
        thread.stack = 0
    release_thread(thread)


@metal
def release_thread(thread: Thread) -> None:
    """Give a reference back. The last one frees the structure."""
    if thread.references.sub(1) == 1:
        process = thread.process
        threads.free(thread)
        if process is not None:
            release_process(process)
