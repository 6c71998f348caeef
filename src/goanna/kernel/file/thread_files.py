"""Descriptors and directories of threads: those of the process, unless one was made without CLONE_FILES or CLONE_FS, or
has made its own by unshare (Linux kernel/fork.c, copy_files, copy_fs and ksys_unshare).

A thread's pointer to what is its process's counts as no reference; to anything else it is one. What others see of a
process, in /proc, is what the process has.
"""

from goanna.kernel.base.errno import ENOMEM
from goanna.kernel.file.place import Place, copy_place, drop_place, leave_space
from goanna.kernel.file.subject import hanging_lock
from goanna.kernel.file.table import FileTable, copy_table, drop_table
from goanna.kernel.thread.inherit import CLONE_FILES, CLONE_FS, CLONE_NEWNS
from goanna.kernel.thread.process import Process
from goanna.kernel.thread.thread import Thread, file_thread_setup, file_thread_teardown
from goanna.metal import Ptr, i64, metal, u64

__all__ = ["adopt", "own_files", "own_place"]


@file_thread_setup.set
@metal
def setup_thread(new: Thread, me: Thread, flags: u64) -> i64:
    """Give a new thread what its maker has, or a copy. 0, or -ENOMEM with nothing left behind."""
    process: Process = me.process
    new.files = me.files
    new.place = me.place
    if flags & CLONE_FILES == 0:
        new.files = copy_table(me.files)
    elif me.files is not process.files:
        me.files.references.add(1)
    if flags & CLONE_FS == 0:
        new.place = copy_place(me.place)
    elif me.place is not process.place:
        me.place.references.add(1)
    error = -i64(ENOMEM)
    if new.files is not None and new.place is not None:
        error = leave_space(new.place) if flags & CLONE_NEWNS != 0 else i64(0)
    if error < 0:
        teardown_thread(new)
    return error


@file_thread_teardown.set
@metal
def teardown_thread(thread: Thread) -> None:
    """A thread ends: what it has for itself goes. May sleep."""
    process: Process = thread.process
    files = thread.files
    place = thread.place
    with hanging_lock:
        thread.files = process.files
        thread.place = process.place
    if files is not None and files is not process.files:
        drop_table(files)
    if place is not None and place is not process.place:
        drop_place(place)


@metal
def adopt(me: Thread) -> None:
    """The running thread is its process's only one: what it has for itself becomes the process's. May sleep."""
    process: Process = me.process
    files: Ptr[FileTable] = process.files
    place: Ptr[Place] = process.place
    with hanging_lock:
        process.files = me.files
        process.place = me.place
    if files is not None and files is not me.files:
        drop_table(files)
    if place is not None and place is not me.place:
        drop_place(place)


@metal
def own_files(me: Thread) -> i64:
    """Have the running thread share its descriptors with none. 0 or -ENOMEM. May sleep."""
    process: Process = me.process
    alone = process.thread_count == 1
    if alone:
        adopt(me)
    shared: FileTable = me.files
    of_others = shared is process.files and not alone
    if not of_others and shared.references.load() == 1:
        return 0
    own = copy_table(shared)
    if own is None:
        return -ENOMEM
    with hanging_lock:
        me.files = own
        if alone:
            process.files = own
    if not of_others:
        drop_table(shared)
    return 0


@metal
def own_place(me: Thread) -> i64:
    """The same of its directories."""
    process: Process = me.process
    alone = process.thread_count == 1
    if alone:
        adopt(me)
    shared: Place = me.place
    of_others = shared is process.place and not alone
    if not of_others and shared.references.load() == 1:
        return 0
    own = copy_place(shared)
    if own is None:
        return -ENOMEM
    with hanging_lock:
        me.place = own
        if alone:
            process.place = own
    if not of_others:
        drop_place(shared)
    return 0
