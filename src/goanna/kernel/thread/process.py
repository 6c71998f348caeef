"""The process: what its threads share. An address space, descriptors, signal handlers, credentials, limits, a place in
the tree of processes.

Higher rooms hang their own structures on it; this room only keeps the pointers and says when a process begins and ends.
"""

from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory.objects import Cache
from goanna.metal import Array, Atomic, Ptr, i32, metal, static, struct, u8, u32, u64

__all__ = ["Credentials", "Limit", "Process", "ProcessList", "Usage", "processes", "release_process", "tree_lock"]

LIMITS = 16  # RLIM_NLIMITS
GROUPS = 32  # supplementary groups kept

tree_lock = static(SpinLock)  # protects the table of threads, and parents, children and threads of processes


@struct
class Limit:
    """A resource limit, struct rlimit64. 2**64-1 is no limit."""

    current: u64
    maximum: u64


@struct
class Credentials:
    """User and group identities of a process."""

    user: u32
    effective_user: u32
    saved_user: u32
    file_user: u32
    group: u32
    effective_group: u32
    saved_group: u32
    file_group: u32
    group_count: u32
    no_new_privileges: bool
    keep_capabilities: bool  # PR_SET_KEEPCAPS: who gives up being root keeps what is permitted; execve ends it
    groups: Array[u32, GROUPS]
    effective: u64  # capabilities
    permitted: u64
    inheritable: u64
    bounding: u64
    ambient: u64


# What is counted for each thread.
FAULTS = 0  # page faults that were served without a device
MAJOR_FAULTS = 1  # ... and those that had to wait for one
SWITCHES = 2  # times it gave the processor up by waiting
PREEMPTIONS = 3  # times it was made to
USER_TICKS = 4  # how often a look at the processor met the program
SYSTEM_TICKS = 5  # ... and the kernel at work for it
READ_CALLS = 6
READ_BYTES = 7
WRITE_CALLS = 8
WRITTEN_BYTES = 9
FETCHES = 10  # times something was read from a device
FETCHED_BYTES = 11
COUNTS = 12


@struct
class Split:
    """Processor time as it was last told, in nanoseconds: neither part ever shrinks."""

    user: u64
    system: u64


@struct
class Usage:
    """What threads have used up."""

    time: u64  # nanoseconds of processor
    system: u64  # ... of them the kernel's
    peak: u64  # most pages in use at a time
    counts: Array[u64, COUNTS]

    def add(self, other: "Usage") -> None:
        """Count another's use in."""
        self.time += other.time
        self.system += other.system
        self.peak = max(self.peak, other.peak)
        for index in range(u64(0), u64(COUNTS)):
            self.counts[index] += other.counts[index]


@struct
class Process:
    """One process. The tree lock protects what says where it stands among others, from `group` to `death_signal`."""

    id: u32
    references: Atomic[u32]  # one until its parent has heard of its end, one for each thread and each pointer elsewhere
    group: u32
    session: u32
    thread_count: u32
    parent: Ptr["Process"]
    child_link: Link
    children: "ProcessList"
    threads: 'List("goanna.kernel.thread.thread.Thread", "process_link")'
    maker: u32  # the thread of its parent that made it; 0: another process did
    zombie: bool  # its last thread has ended: it waits for its parent to hear of it
    subreaper: bool  # gets the orphans among its descendants (PR_SET_CHILD_SUBREAPER)
    executed: bool  # has run execve
    executing: Ptr["goanna.kernel.thread.thread.Thread"]  # is ending all other threads, in execve
    borrowed_from: Ptr["Process"]  # whose thread waits (CLONE_VFORK) until this one needs its memory no more
    events: "goanna.kernel.thread.wait.WaitQueue"  # threads that wait for a child, or for the others' end in execve
    ended: Usage  # of threads that have ended, but for the time, which is in cpu_time
    shown: Split
    reaped: Usage  # of children that were waited for, and what those had reaped
    terminal: Ptr["goanna.kernel.file.terminal.Terminal"]  # the controlling one
    lost_group: u32  # of a session's leader whose terminal hung up: the group that was in front
    death_signal: u32  # what it gets when the thread that made it ends (PR_SET_PDEATHSIG)

    space: Ptr["goanna.kernel.memory.space.AddressSpace"]  # set before its first thread runs, until its last has ended
    files: Ptr["goanna.kernel.file.table.FileTable"]
    place: Ptr["goanna.kernel.file.place.Place"]
    executable: Ptr["goanna.kernel.file.tree.Entry"]
    signals: Ptr["goanna.kernel.signal.state.ProcessSignals"]
    limits: Array[Limit, LIMITS]
    credentials: Credentials

    exiting: Atomic[bool]  # its threads are being ended
    exit_status: u32  # as wait4 reports it; written once, by who sets `exiting`
    exit_signal: u32  # what its parent gets at its end
    started: u64  # nanoseconds since boot
    cpu_time: Atomic[u64]  # nanoseconds of threads that have ended
    barriers: Atomic[u32]  # membarrier registrations
    memory_adjustment: i32  # when memory runs out, thousandths of all that its use counts more (oom_score_adj)
    least_adjustment: i32  # ... and how low whoever isn't privileged may set it
    dumpable: u32
    name: Array[u8, 16]
    watchers: "goanna.kernel.file.watch.Watchers"  # who polls a descriptor of it (pidfd) for its end


ProcessList = List(Process, "child_link")
processes = Cache(Process)


@metal
def release_process(process: Process) -> None:
    """Give a reference back. The last one frees the structure."""
    if process.references.sub(1) == 1:
        processes.free(process)
