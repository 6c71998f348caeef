"""From a number that a program gives to the open file description, in the running thread's table."""

from goanna.kernel.file.description import Description
from goanna.kernel.file.flags import O_PATH
from goanna.kernel.file.table import FileTable
from goanna.kernel.thread.current import current, current_process
from goanna.metal import Ptr, i32, i64, metal, u64, unsafe

RLIMIT_NOFILE = 7  # include/uapi/asm-generic/resource.h


@metal
def files() -> FileTable:
    """The descriptor table of the running thread, which has one as long as it makes calls: not checked each time."""
    return unsafe.at(FileTable, unsafe.address(current().files))


@metal
def descriptor_limit() -> u64:
    """RLIMIT_NOFILE of the running process."""
    return current_process().limits[RLIMIT_NOFILE].current


@metal
def get_file(descriptor: i32) -> Ptr[Description]:
    """The description behind a descriptor, with a reference to be dropped; None: EBADF. O_PATH descriptors too."""
    return files().get(descriptor)


@metal
def get_open_file(descriptor: i32) -> Ptr[Description]:
    """The same, but None for a descriptor that only names a place (O_PATH)."""
    found = files().get(descriptor)
    if found is not None and (found.status.load() & O_PATH) != 0:
        found.drop()
        return None
    return found


@metal
def add_descriptor(description: Ptr[Description], close_on_exec: bool) -> i64:
    """A new descriptor for a description, whose reference is used up even on failure. -EMFILE or -ENOMEM."""
    descriptor = files().reserve(0, descriptor_limit())
    if descriptor < 0:
        description.drop()
        return i64(descriptor)
    files().install(descriptor, description, close_on_exec)
    return i64(descriptor)
