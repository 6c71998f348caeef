"""A process as a file: readable from its end on (pidfd_open(2), Linux fs/pidfs.c and kernel/pid.c)."""

from goanna.kernel.base.errno import EBADF, EINVAL, ENOENT, ENOMEM, EPERM, ESRCH
from goanna.kernel.file.anonymous import anonymous_attributes
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.descriptors import add_descriptor, files, get_file
from goanna.kernel.file.flags import O_NONBLOCK, O_RDWR, POLLHUP, POLLIN
from goanna.kernel.file.subject import hold_files
from goanna.kernel.file.table import drop_table
from goanna.kernel.file.watch import Watchers
from goanna.kernel.thread.current import current_process
from goanna.kernel.thread.process import Credentials, Process, release_process, tree_lock
from goanna.kernel.thread.thread import (
    close_process_descriptor,
    find_in_table,
    hold_described_process,
    open_process_descriptor,
)
from goanna.metal import Ptr, constant, i32, i64, metal, u32, unsafe

CAP_SYS_PTRACE = 1 << 19
POLLRDNORM = 0x40


@metal
def process_of(description: Description) -> Process:
    """The process below a description."""
    return unsafe.at(Process, description.object)


@metal
def poll_process(description: Description) -> u32:
    """Readable once the process has ended, and hung up once its parent has heard of it too."""
    process = process_of(description)
    with tree_lock:
        if not process.zombie:
            return 0
        return POLLIN | POLLRDNORM if process.parent is not None else POLLIN | POLLRDNORM | POLLHUP


@metal
def process_watchers(description: Description) -> Ptr[Watchers]:
    """Who waits for its end."""
    return process_of(description).watchers


@metal
def release_description(description: Description) -> None:
    """The last reference is gone."""
    release_process(process_of(description))


PIDFD = constant(
    Operations,
    {
        "label": b"anon_inode:[pidfd]",
        "poll": poll_process,
        "watchers": process_watchers,
        "attributes": anonymous_attributes,
        "release": release_description,
    },
)


@open_process_descriptor.set
@metal
def open_process(process: Process, options: u32) -> i64:
    """A new descriptor of a process, closed by execve. Its number, -EMFILE or -ENOMEM."""
    process.references.add(1)
    description = create(PIDFD, O_RDWR | (options & O_NONBLOCK), unsafe.address(process))
    if description is None:
        release_process(process)
        return -ENOMEM
    return add_descriptor(description, True)


@close_process_descriptor.set
@metal
def close_process(descriptor: i64) -> None:
    """Close what open_process gave."""
    description = files().remove(i32(descriptor))
    if description is not None:
        description.drop()


@hold_described_process.set
@metal
def described_process(descriptor: i32) -> tuple[Ptr[Process], bool, i64]:
    """The process that a descriptor is of, with a reference; whether it is O_NONBLOCK; 0 or -EBADF."""
    description = get_file(descriptor)
    if description is None:
        return None, False, -EBADF
    nonblocking = description.nonblocking()
    process: Ptr[Process] = None
    if description.operations is PIDFD:
        process = process_of(description)
        process.references.add(1)
    description.drop()
    return process, nonblocking, 0 if process is not None else -EBADF


@metal
def sys_pidfd_open(id: i32, options: u32) -> i64:
    """pidfd_open(2), of whole processes."""
    if (options & ~u32(O_NONBLOCK)) != 0 or id <= 0:
        return -EINVAL
    process: Ptr[Process] = None
    with tree_lock:
        thread = find_in_table(u32(id))
        if thread is None or thread.process is None:
            return -ESRCH
        process = thread.process
        if process.id != u32(id):
            return -ENOENT
        process.references.add(1)
    result = open_process(process, options)
    release_process(process)
    return result


@metal
def may_reach_into(target: Process) -> bool:
    """Whether the running process may look into another and change it (Linux ptrace_may_access)."""
    mine: Process = current_process()
    if mine is target:
        return True
    me = mine.credentials
    if me.effective & CAP_SYS_PTRACE != 0:
        return True
    return target.dumpable == 1 and same_owner(me, target.credentials)


@metal
def same_owner(me: Credentials, other: Credentials) -> bool:
    """Whether all identities of another are the running process's own."""
    users = me.user == other.user and me.user == other.effective_user and me.user == other.saved_user
    groups = me.group == other.group and me.group == other.effective_group and me.group == other.saved_group
    return users and groups and other.permitted & ~me.permitted == 0


@metal
def sys_pidfd_getfd(descriptor: i32, wanted: i32, options: u32) -> i64:
    """pidfd_getfd(2): a descriptor of what another process has open."""
    if options != 0:
        return -EINVAL
    process, _, error = described_process(descriptor)
    if error < 0:
        return error
    result = take_from(process, wanted)
    release_process(process)
    return result


@metal
def take_from(process: Process, wanted: i32) -> i64:
    """A new descriptor for what a process has open under a number."""
    if process.zombie:
        return -ESRCH
    if not may_reach_into(process):
        return -EPERM
    table = hold_files(process)
    if table is None:
        return -ESRCH
    description = table.get(wanted)
    drop_table(table)
    return -EBADF if description is None else add_descriptor(description, True)
