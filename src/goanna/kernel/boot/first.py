"""The first process: its memory, its files, its limits, and the program of the image in it."""

from goanna.kernel.arch import Frame, prepare_context
from goanna.kernel.base.errno import EACCES, ENOENT, ENOMEM, ENOTDIR
from goanna.kernel.boot.network import start_program
from goanna.kernel.boot.ports import start_terminal, terminal_is
from goanna.kernel.boot.settings import settings
from goanna.kernel.boot.standing import describe_person, find_entry, take_identity, take_place
from goanna.kernel.exec.load import describe_machine, load_program
from goanna.kernel.exec.stack import Start
from goanna.kernel.file.executable import set_executable
from goanna.kernel.file.flags import O_NOCTTY, O_RDWR, S_IFREG
from goanna.kernel.file.node import set_budget
from goanna.kernel.file.node_pages import map_source
from goanna.kernel.file.terminal_console import lead_runner_terminal, open_runner_terminal
from goanna.kernel.identity.limits import RLIMIT_NOFILE, RLIMIT_STACK, default_limits, limit_new_space
from goanna.kernel.memory import pages, space
from goanna.kernel.shared.boot import FLAG_TERMINAL_INPUT
from goanna.kernel.thread.create import make_process, make_thread
from goanna.kernel.thread.process import Process
from goanna.kernel.thread.queue import make_ready
from goanna.kernel.thread.thread import (
    Thread,
    allocate_id,
    file_process_setup,
    frame_of,
    publish_thread,
    signal_process_setup,
    signal_thread_setup,
    tree_lock,
)
from goanna.kernel.thread.work import begin_program_thread
from goanna.kernel.variant import NETWORK
from goanna.metal import Slice, i32, i64, metal, u8, u32

__all__ = ["start_first_process"]


@metal
def load_first(process: Process, frame: Frame) -> i64:
    """Load the image's program into a new process. 0 or a negative errno."""
    memory = space.create()
    if memory is None:
        return -ENOMEM
    process.space = memory
    limit_new_space(process, memory)
    entry, error = find_entry(settings.program)
    if entry is None:
        return error if error < 0 else -ENOENT
    if entry.kind() != S_IFREG:
        return -EACCES
    source = map_source(entry.node, entry)
    start = Start(arguments=settings.arguments, environment=settings.environment, path=settings.program)
    describe_machine(start)
    describe_person(start, process)
    error = load_program(memory, source, entry.node.size, start)
    source.release()
    if error < 0:
        return error
    set_executable(process, entry)
    name_process(process, entry.text())
    frame.start(start.entry, start.stack)
    return 0


@metal
def name_process(process: Process, name: Slice[u8]) -> None:
    """The first 15 bytes of the program's name."""
    count = min(len(name), 15)
    process.name[0:count] = name[0:count]


@metal
def start_first_process() -> i64:
    """Make process 1 with the program in it, ready to run. 0 or a negative errno, after which nothing can be done:
    -ENOTDIR if there is no such working directory."""
    process = make_process()
    if process is None:
        return -ENOMEM
    default_limits(process, pages.total_pages())
    if settings.open_files != 0:
        process.limits[RLIMIT_NOFILE].current = settings.open_files
        process.limits[RLIMIT_NOFILE].maximum = settings.open_files
    if settings.stack_limit != 0:
        process.limits[RLIMIT_STACK].current = settings.stack_limit
    if settings.files_limit != 0:
        set_budget(settings.files_limit)
    thread = make_thread(process)
    if thread is None:
        return -ENOMEM
    error = signal_process_setup(process, None, 0)
    if error == 0:
        error = signal_thread_setup(thread, None, 0)
    if error == 0:
        error = file_process_setup(process, None, 0)
    if error == 0:
        error = open_terminals(process)
    if error == 0:
        take_identity(process)
        error = load_first(process, frame_of(thread))
    if error < 0:
        return error
    error = take_place(process)
    if error < 0:
        return -ENOTDIR
    run(process, thread)
    return 0


@metal
def open_terminals(process: Process) -> i64:
    """Put the runner's terminal under those descriptors that are one there. 0 or a negative errno."""
    if not start_terminal():
        return -ENOMEM
    for number in range(u32(0), u32(3)):
        if terminal_is(FLAG_TERMINAL_INPUT << number):
            entry, error = find_entry(b"/dev/hvc0")
            if entry is None:
                return error
            description, failed = open_runner_terminal(O_RDWR | O_NOCTTY)
            if description is None:
                entry.drop()
                return failed
            description.entry = entry
            old, _ = process.files.replace(i32(number), description, False)
            if old is not None:
                old.drop()
    return 0


@metal
def run(process: Process, thread: Thread) -> None:
    """Number the first thread, and let it run."""
    count = min(len(process.name), len(thread.name))
    thread.name[0:count] = process.name[0:count]
    with tree_lock:
        thread.id = allocate_id()
        process.id = thread.id
        process.group = thread.id
        process.session = thread.id
        lead_runner_terminal(process)
        publish_thread(thread)
    prepare_context(thread.context, thread.stack_top, begin_program_thread, 0)
    if NETWORK:
        start_program(thread)
    else:
        make_ready(thread)
