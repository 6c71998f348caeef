"""The descriptors and the place in the file tree of a new process, and what becomes of them at its end."""

from goanna.kernel.base.errno import ENOMEM
from goanna.kernel.file.console import open_standard
from goanna.kernel.file.executable import get_executable, set_executable
from goanna.kernel.file.place import Place, copy_place, create_place, drop_place, leave_space
from goanna.kernel.file.subject import hanging_lock
from goanna.kernel.file.table import FileTable, copy_table, create_table, drop_table
from goanna.kernel.file.terminal_session import leader_ended
from goanna.kernel.identity.credentials import become_root
from goanna.kernel.thread.current import current
from goanna.kernel.thread.process import Process
from goanna.kernel.thread.thread import file_process_setup, file_process_teardown
from goanna.metal import Ptr, i64, metal, u32, u64

CLONE_FS = 0x200
CLONE_FILES = 0x400
CLONE_NEWNS = 0x2_0000


@file_process_setup.set
@metal
def setup_process(process: Process, parent: Ptr[Process], flags: u64) -> i64:
    """Share or copy the parent's; without a parent, begin with the console at the root. 0 or -ENOMEM."""
    error = begin(process) if parent is None else inherit(process, parent, flags)
    if error < 0:
        end(process)
    return error


@metal
def begin(process: Process) -> i64:
    """The first process: root, descriptors 0 to 2, the working directory /."""
    become_root(process.credentials)
    process.place = create_place()
    process.files = create_table()
    if process.place is None or process.files is None:
        return -ENOMEM
    for number in range(u32(0), u32(3)):
        description = open_standard(number)
        if description is None:
            return -ENOMEM
        descriptor = process.files.reserve(number, 3)
        if descriptor < 0:
            description.drop()
            return i64(descriptor)
        process.files.install(descriptor, description, False)
    return 0


@metal
def inherit(process: Process, parent: Process, flags: u64) -> i64:
    """A child, of the running thread."""
    me = current()
    set_executable(process, get_executable(parent))
    if (flags & CLONE_FS) != 0:
        me.place.references.add(1)
        process.place = me.place
    else:
        process.place = copy_place(me.place)
    if (flags & CLONE_NEWNS) != 0 and process.place is not None:
        error = leave_space(process.place)
        if error < 0:
            return error
    if (flags & CLONE_FILES) != 0:
        me.files.references.add(1)
        process.files = me.files
    else:
        process.files = copy_table(me.files)
    return -ENOMEM if process.place is None or process.files is None else i64(0)


@file_process_teardown.set
@metal
def end(process: Process) -> None:
    """Close what the process alone had open. May sleep."""
    files: Ptr[FileTable] = None
    place: Ptr[Place] = None
    with hanging_lock:
        files = process.files
        place = process.place
        process.files = None
        process.place = None
    set_executable(process, None)
    if files is not None:
        drop_table(files)
    leader_ended(process)
    if place is not None:
        drop_place(place)
