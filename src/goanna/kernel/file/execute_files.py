"""What execve does to open files: the table becomes the process's own, and what is marked so is closed."""

from goanna.kernel.base.errno import ENOMEM
from goanna.kernel.file.subject import hanging_lock
from goanna.kernel.file.table import MAXIMUM_DESCRIPTORS, FileTable, copy_table, drop_table
from goanna.kernel.thread.process import Process
from goanna.metal import i32, i64, metal

__all__ = ["close_marked", "own_files"]


@metal
def own_files(process: Process) -> i64:
    """Have a process share its descriptors with no other (CLONE_FILES). 0 or -ENOMEM. May sleep."""
    shared: FileTable = process.files
    if shared.references.load() == 1:
        return 0
    own = copy_table(shared)
    if own is None:
        return -ENOMEM
    with hanging_lock:
        process.files = own
    drop_table(shared)
    return 0


@metal
def close_marked(files: FileTable) -> None:
    """Close all descriptors that are closed by execve. May sleep."""
    number = files.next_used(0, MAXIMUM_DESCRIPTORS)
    while number < MAXIMUM_DESCRIPTORS:
        if files.closes_on_exec(i32(number)):
            description = files.remove(i32(number))
            if description is not None:
                description.drop()
        number = files.next_used(number + 1, MAXIMUM_DESCRIPTORS)
