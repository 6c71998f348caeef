"""What execve does to open files: what is marked so is closed."""

from goanna.kernel.file.table import MAXIMUM_DESCRIPTORS, FileTable
from goanna.metal import i32, metal

__all__ = ["close_marked"]


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
