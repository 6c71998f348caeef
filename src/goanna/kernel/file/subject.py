"""Whom a generated file is about: the process and thread that its path names."""

from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.place import Place
from goanna.kernel.file.table import FileTable
from goanna.kernel.memory.space import AddressSpace, acquire
from goanna.kernel.thread.process import Process, release_process, tree_lock
from goanna.kernel.thread.thread import Thread, find_in_table, next_in_table, release_thread
from goanna.metal import Ptr, metal, static, struct, u32

hanging_lock = static(SpinLock)  # protects the pointers from processes to tables and places, where another looks


@struct
class Subject:
    """Process and thread with references, or neither where the file is about the machine. `release` after use."""

    thread: Ptr[Thread]
    process: Ptr[Process]
    item: u32  # a descriptor
    is_thread: bool  # the file is about the thread alone

    def find(self, process: u32, item: u32, is_thread: bool) -> bool:
        """Look them up by number; process 0 is the machine. False: there is none such, or it is at its end."""
        self.item = item
        self.is_thread = is_thread
        if process == 0:
            return True
        with tree_lock:
            leader = find_in_table(process)
            if leader is None or leader.process is None:
                return False
            thread = find_in_table(item) if is_thread else leader
            if thread is None or thread.process is not leader.process:
                return False
            thread.references.add(1)
            self.thread = thread
            leader.process.references.add(1)
            self.process = leader.process
            return True

    def release(self) -> None:
        """Give the references back."""
        if self.thread is not None:
            release_thread(self.thread)
            release_process(self.process)
            self.thread = None
            self.process = None


@metal
def hold_space(process: Process) -> Ptr[AddressSpace]:
    """A process's memory with a reference, or None if the process is at its end."""
    with tree_lock:
        if process.thread_count == 0 or process.space is None:
            return None
        acquire(process.space)
        return process.space


@metal
def hold_files(process: Process) -> Ptr[FileTable]:
    """A process's descriptor table with a reference, or None if the process is at its end."""
    with hanging_lock:
        files = process.files
        if files is not None:
            files.references.add(1)
        return files


@metal
def hold_files_of(thread: Thread) -> Ptr[FileTable]:
    """The same of a thread, which may have a table of its own."""
    with hanging_lock:
        files = thread.process.files
        if files is not None:
            files = thread.files
            if files is not None:
                files.references.add(1)
        return files


@metal
def hold_place(process: Process) -> Ptr[Place]:
    """A process's place with a reference, or None."""
    with hanging_lock:
        place = process.place
        if place is not None:
            place.references.add(1)
        return place


@metal
def next_id(start: u32, of: u32) -> u32:
    """The lowest thread number from `start` on: of first threads (`of` 0), or of those of process `of`. 0: none."""
    lowest: u32 = 0
    with tree_lock:
        thread = next_in_table(None)
        while thread is not None:
            if thread.id >= start and (lowest == 0 or thread.id < lowest) and belongs(thread, of):
                lowest = thread.id
            thread = next_in_table(thread)
    return lowest


@metal
def belongs(thread: Thread, of: u32) -> bool:
    """Whether a thread is one of those that a directory lists."""
    if thread.process is None:
        return False
    return thread.id == thread.process.id if of == 0 else thread.process.id == of
