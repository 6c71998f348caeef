"""The calls on descriptors themselves: dup and its kin, close, close_range, fcntl."""

from goanna.kernel.base.errno import EBADF, EFAULT, EINVAL
from goanna.kernel.file import flags
from goanna.kernel.file.description import Description, close
from goanna.kernel.file.descriptors import descriptor_limit, files, get_file
from goanna.kernel.file.flags import FASYNC, O_CLOEXEC, O_DIRECT, O_PATH, S_IFIFO, S_IFMT, S_IFREG, SETTABLE_FLAGS
from goanna.kernel.file.lock_calls import record_lock
from goanna.kernel.file.memory_descriptor import add_seals, get_seals
from goanna.kernel.file.pipe_calls import pipe_capacity, pipe_resize
from goanna.kernel.file.signal_driven import get_owner, set_asynchronous, set_owner, set_owner_signal
from goanna.kernel.file.table import MAXIMUM_DESCRIPTORS
from goanna.kernel.file.thread_files import own_files
from goanna.kernel.thread.current import current
from goanna.metal import i32, i64, metal, u32, u64, unsafe

# What a descriptor that only names a place (O_PATH) answers.
PATH_COMMANDS = (flags.F_DUPFD, flags.F_DUPFD_CLOEXEC, flags.F_GETFD, flags.F_SETFD, flags.F_GETFL)

CLOSE_RANGE_UNSHARE = 2
CLOSE_RANGE_CLOEXEC = 4


@metal
def duplicate(description: Description, minimum: u64, close_on_exec: bool) -> i64:
    """The lowest free descriptor from `minimum` on made to refer to it too. Keeps the caller's reference."""
    limit = descriptor_limit()
    if minimum >= limit or minimum >= MAXIMUM_DESCRIPTORS:
        return -EINVAL
    descriptor = files().reserve(u32(minimum), limit)
    if descriptor >= 0:
        description.hold()
        files().install(descriptor, description, close_on_exec)
    return i64(descriptor)


@metal
def sys_dup(descriptor: i32) -> i64:
    """dup(2)."""
    description = get_file(descriptor)
    if description is None:
        return -EBADF
    result = duplicate(description, 0, False)
    description.drop()
    return result


@metal
def sys_dup2(old: i32, new: i32) -> i64:
    """dup2(2): onto itself it does nothing."""
    if old == new:
        description = get_file(old)
        if description is None:
            return -EBADF
        description.drop()
        return i64(new)
    return duplicate_onto(old, new, False)


@metal
def sys_dup3(old: i32, new: i32, options: u32) -> i64:
    """dup3(2)."""
    if (options & ~O_CLOEXEC) != 0 or old == new:
        return -EINVAL
    return duplicate_onto(old, new, (options & O_CLOEXEC) != 0)


@metal
def duplicate_onto(old: i32, new: i32, close_on_exec: bool) -> i64:
    """Make `new` refer to what `old` does; what it referred to before is closed."""
    if u64(u32.wrap(new)) >= min(descriptor_limit(), MAXIMUM_DESCRIPTORS):
        return -EBADF
    description = get_file(old)
    if description is None:
        return -EBADF
    replaced, error = files().replace(new, description, close_on_exec)
    if error < 0:
        description.drop()
        return i64(error)
    if replaced is not None:
        close(replaced, unsafe.address(files()))
    return i64(new)


@metal
def sys_close(descriptor: i32) -> i64:
    """close(2)."""
    description = files().remove(descriptor)
    if description is None:
        return -EBADF
    close(description, unsafe.address(files()))
    return 0


@metal
def sys_close_range(first: u32, last: u32, options: u32) -> i64:
    """close_range(2)."""
    if (options & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) != 0 or first > last:
        return -EINVAL
    if (options & CLOSE_RANGE_UNSHARE) != 0:
        error = own_files(current())
        if error < 0:
            return error
    table = files()
    end = min(last, MAXIMUM_DESCRIPTORS - 1) + 1
    number = first
    while number < end:
        number = table.next_used(number, end)
        if number < end:
            if (options & CLOSE_RANGE_CLOEXEC) != 0:
                table.mark_close_on_exec(i32(number), True)
            else:
                description = table.remove(i32(number))
                if description is not None:
                    close(description, unsafe.address(table))
        number += 1
    return 0


@metal
def sys_fcntl(descriptor: i32, command: u32, argument: u64) -> i64:
    """fcntl(2). No file has leases: EINVAL."""
    description = get_file(descriptor)
    if description is None:
        return -EBADF
    result: i64 = -EBADF
    if (description.status.load() & O_PATH) == 0 or command in PATH_COMMANDS:
        result = control(descriptor, description, command, argument)
    description.drop()
    return result


@metal
def control(descriptor: i32, description: Description, command: u32, argument: u64) -> i64:
    """One fcntl command."""
    match command:
        case flags.F_DUPFD:
            return duplicate(description, argument, False)
        case flags.F_DUPFD_CLOEXEC:
            return duplicate(description, argument, True)
        case flags.F_GETFD:
            return descriptor_flags(descriptor)
        case flags.F_SETFD:
            return set_descriptor_flags(descriptor, u32.wrap(argument))
        case flags.F_GETFL:
            return i64(description.status.load())
        case flags.F_SETFL:
            return set_status(descriptor, description, u32.wrap(argument))
        case flags.F_SETOWN | flags.F_SETOWN_EX:
            return set_owner(description, argument, command == flags.F_SETOWN_EX)
        case flags.F_GETOWN | flags.F_GETSIG:
            return get_owner(description, 0, command == flags.F_GETSIG)
        case flags.F_GETOWN_EX:
            return get_owner(description, argument, False) if argument != 0 else -EFAULT
        case flags.F_SETSIG:
            return set_owner_signal(description, argument)
        case flags.F_DUPFD_QUERY:
            return same_description(description, i32.wrap(argument))
        case flags.F_GETPIPE_SZ:
            return pipe_capacity(description)
        case flags.F_SETPIPE_SZ:
            return pipe_resize(description, u32.wrap(argument))
        case (
            flags.F_GETLK | flags.F_SETLK | flags.F_SETLKW
            | flags.F_OFD_GETLK | flags.F_OFD_SETLK | flags.F_OFD_SETLKW
        ):  # fmt: skip
            return record_lock(description, command, argument)
        case flags.F_ADD_SEALS:
            return add_seals(description, u32.wrap(argument))
        case flags.F_GET_SEALS:
            return get_seals(description)
        case flags.F_GETLEASE:
            return flags.F_UNLCK
        case _:
            return -EINVAL


@metal
def descriptor_flags(descriptor: i32) -> i64:
    """F_GETFD."""
    return flags.FD_CLOEXEC if files().closes_on_exec(descriptor) else 0


@metal
def set_descriptor_flags(descriptor: i32, wanted: u32) -> i64:
    """F_SETFD."""
    return 0 if files().mark_close_on_exec(descriptor, (wanted & flags.FD_CLOEXEC) != 0) else -EBADF


@metal
def set_status(descriptor: i32, description: Description, wanted: u32) -> i64:
    """F_SETFL: what can change changes, the rest is ignored."""
    if (wanted & O_DIRECT) != 0 and (description.mode() & S_IFMT) not in (S_IFIFO, S_IFREG):
        return -EINVAL
    if ((wanted ^ description.status.load()) & FASYNC) != 0:
        error = set_asynchronous(description, descriptor, (wanted & FASYNC) != 0)
        if error < 0:
            return error
    description.change_status(SETTABLE_FLAGS, wanted & SETTABLE_FLAGS)
    return 0


@metal
def same_description(description: Description, other: i32) -> i64:
    """F_DUPFD_QUERY: 1 if both descriptors refer to one description."""
    table = files()
    with table.lock:
        found = table.find(other)
        if found is None:
            return -EBADF
        return 1 if found is description else 0
