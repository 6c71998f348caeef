"""The process: what its threads share. An address space, descriptors, signal handlers, credentials, limits, a place in
the tree of processes.

Higher rooms hang their own structures on it; this room only keeps the pointers and says when a process begins and ends.
"""

from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory.objects import Cache
from goanna.metal import Array, Atomic, Ptr, metal, static, struct, u8, u32, u64

__all__ = ["Credentials", "Limit", "Process", "ProcessList", "processes", "release_process", "tree_lock"]

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
    groups: Array[u32, GROUPS]
    effective: u64  # capabilities
    permitted: u64
    inheritable: u64
    bounding: u64
    ambient: u64


@struct
class Process:
    """One process. Tree lock: parent, children, threads, thread_count, group, session."""

    id: u32
    group: u32
    session: u32
    thread_count: u32
    references: Atomic[u32]  # one while it lives, one for each pointer kept elsewhere
    parent: Ptr["Process"]
    child_link: Link
    children: "ProcessList"
    threads: 'List("goanna.kernel.thread.thread.Thread", "process_link")'

    space: Ptr["goanna.kernel.memory.space.AddressSpace"]  # set before its first thread runs, until its last has ended
    files: Ptr["goanna.kernel.file.table.FileTable"]
    place: Ptr["goanna.kernel.file.place.Place"]
    signals: Ptr["goanna.kernel.signal.state.ProcessSignals"]
    limits: Array[Limit, LIMITS]
    credentials: Credentials

    exiting: Atomic[bool]  # its threads are being ended
    exit_status: u32  # as wait4 reports it; written once, by who sets `exiting`
    exit_signal: u32  # what its parent gets at its end
    started: u64  # nanoseconds since boot
    cpu_time: Atomic[u64]  # nanoseconds of threads that have ended
    children_cpu_time: Atomic[u64]
    faults: Atomic[u64]  # page faults served without and with reading
    major_faults: Atomic[u64]
    barriers: Atomic[u32]  # membarrier registrations
    umask: u32
    dumpable: u32
    name: Array[u8, 16]


ProcessList = List(Process, "child_link")
processes = Cache(Process)


@metal
def release_process(process: Process) -> None:
    """Give a reference back. The last one frees the structure."""
    if process.references.sub(1) == 1:
        processes.free(process)
