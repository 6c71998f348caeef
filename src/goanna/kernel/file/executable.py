"""The file that a process runs, as /proc/PID/exe shows it."""

from goanna.kernel.file.subject import hanging_lock
from goanna.kernel.file.tree import Entry
from goanna.kernel.thread.process import Process
from goanna.metal import Ptr, metal

__all__ = ["get_executable", "set_executable"]


@metal
def get_executable(process: Process) -> Ptr[Entry]:
    """The file, with a reference; None before the first program, and at the process's end."""
    with hanging_lock:
        entry = process.executable
        if entry is not None:
            entry.hold()
        return entry


@metal
def set_executable(process: Process, entry: Ptr[Entry]) -> None:
    """Say what file a process runs, or none. The caller's reference is used up. Meanwhile the file is not to be written
    (ETXTBSY)."""
    old: Ptr[Entry] = None
    if entry is not None and entry.node is not None:
        entry.node.running.add(1)
    with hanging_lock:
        old = process.executable
        process.executable = entry
    if old is not None:
        if old.node is not None:
            old.node.running.sub(1)
        old.drop()
