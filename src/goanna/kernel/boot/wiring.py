"""Hooks that join rooms which don't know each other, and belong to neither."""

from goanna.kernel.arch import PAGE_SIZE, hardware_capabilities, signal_frame_size
from goanna.kernel.base.log import Line, warn, write_line
from goanna.kernel.base.panic import describe_program, panic_output
from goanna.kernel.base.text import Text
from goanna.kernel.boot.ports import drain_ports
from goanna.kernel.boot.settings import settings
from goanna.kernel.boot.standing import set_directory
from goanna.kernel.device.control import log_line, memory_out, on_signal, panic_text
from goanna.kernel.exec.load import describe_machine, map_vdso
from goanna.kernel.exec.stack import Start
from goanna.kernel.file.memory_file import on_size_limit
from goanna.kernel.file.pipe import on_broken_pipe
from goanna.kernel.file.tree import Entry
from goanna.kernel.memory import pages
from goanna.kernel.memory.calls import current_space
from goanna.kernel.memory.space import AddressSpace
from goanna.kernel.net.address import Address
from goanna.kernel.net.claim import on_lost_address
from goanna.kernel.net.config.notation import put_address
from goanna.kernel.net.interface import Interface
from goanna.kernel.shared.boot import FLAG_CONTROL
from goanna.kernel.signal.info import Information
from goanna.kernel.signal.memory_out import on_memory_out
from goanna.kernel.signal.numbers import SI_KERNEL, SI_USER, SIGPIPE, SIGXFSZ
from goanna.kernel.signal.send import send_to_process, send_to_thread
from goanna.kernel.syscall.dispatch import put_call
from goanna.kernel.thread.current import current, current_process, current_thread
from goanna.kernel.thread.process import Process, tree_lock
from goanna.kernel.thread.thread import find_in_table, frame_of
from goanna.kernel.time import vdso_map
from goanna.metal import Slice, i32, metal, u8, u32, u64

__all__: list[str] = []

FIRST_PROCESS = 1

write_line.set(log_line)
map_vdso.set(vdso_map.map_vdso)


@panic_output.set
@metal
def tell_panic(text: Slice[u8]) -> None:
    """Say why the kernel failed, to the last byte."""
    panic_text(text)
    drain_ports(settings.flags & FLAG_CONTROL != 0)


@describe_program.set
@metal
def describe_running_program(text: Text) -> None:
    """Lines for a panic: where the program was, and its last system call."""
    thread = current_thread
    if thread is None or thread.process is None or thread.stack_top == 0:
        return
    frame = frame_of(thread)
    text.put(b"  program: thread ")
    text.number(u64(thread.id))
    text.put(b" at 0x")
    text.hexadecimal(frame.program_counter(), 1)
    text.put(b", its last system call was ")
    put_call(text, frame.number() & 0xFFFF_FFFF)
    text.byte(0x0A)


@describe_machine.set
@metal
def describe(start: Start) -> None:
    """What the processor offers programs."""
    start.hwcap, start.hwcap2 = hardware_capabilities()
    start.signal_stack = signal_frame_size()


@set_directory.set
@metal
def stand_in(process: Process, entry: Entry) -> None:
    """The working directory of a process that doesn't run yet."""
    process.place.set_directory(entry)


@current_space.set
@metal
def space_of_current() -> AddressSpace:
    """The running process's memory."""
    return current_process().space


@on_broken_pipe.set
@metal
def broken_pipe() -> None:
    """A write found no reader: SIGPIPE to the thread that wrote."""
    information = Information(number=SIGPIPE, code=SI_USER)
    send_to_thread(current(), information)


@on_lost_address.set
@metal
def tell_lost(interface: Interface, address: Address, time: u64) -> None:
    """Another machine on the link has an address that was to be ours: say which."""
    line = Line()
    text = line.start()
    text.put(b"goanna: ")
    text.string(interface.name[:])
    text.put(b": another machine on its link has the address ")
    put_address(text, address)
    warn(line.bytes())


@on_size_limit.set
@metal
def size_limit() -> None:
    """A file would have become larger than RLIMIT_FSIZE allows: SIGXFSZ to the thread."""
    information = Information(number=SIGXFSZ, code=SI_KERNEL)
    send_to_thread(current(), information)


@on_signal.set
@metal
def signal_from_outside(number: u32) -> None:
    """The runner was told to end, say: the first process gets the signal, as from the kernel."""
    information = Information(number=i32(number), code=SI_KERNEL)
    with tree_lock:
        leader = find_in_table(FIRST_PROCESS)
        if leader is not None and leader.process is not None:
            send_to_process(leader.process, information)


@on_memory_out.set
@metal
def tell_memory_out(process: Process) -> None:
    """No page was left, and a process is ended for it: say how much it had in use. For the first process, the program,
    the runner words it."""
    committed: u64 = 0
    with tree_lock:
        if process.space is not None:
            committed = process.space.committed * PAGE_SIZE
    available = pages.total_pages() * PAGE_SIZE
    first = process.id == FIRST_PROCESS
    if first and memory_out(available, committed):
        return
    line = Line()
    text = line.start()
    text.put(b"goanna: out of memory: ")
    if first:
        text.put(b"the program")
    else:
        text.put(b"process ")
        text.number(u64(process.id))
        text.put(b" (")
        text.string(process.name[:])
        text.put(b")")
    text.put(b" has ")
    text.number(committed >> 20)
    text.put(b" MiB in use of ")
    text.number(available >> 20)
    text.put(b" MiB, and needs more" if first else b" MiB, and is ended")
    warn(line.bytes())
