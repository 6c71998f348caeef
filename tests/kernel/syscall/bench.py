"""A process that makes system calls in a test: the real table, the real file tree over an EROFS image, no other thread.

`machine.call("openat", AT_FDCWD, b"/etc/hosts", 0)` puts bytes into user memory and hands the call their address. A
call that would have to wait ends the test: waiting is tested on simulated processors.
"""

import ctypes
import io
import mmap
from collections.abc import Callable
from functools import cache

from goanna.image.erofs import File, FileSystem, Folder, Link
from goanna.kernel.arch import SYSCALL_NUMBERS, Frame
from goanna.kernel.arch.host import arena as host_arena
from goanna.kernel.arch.host import processors, user
from goanna.kernel.arch.host.page_table import table_switch
from goanna.kernel.device import control
from goanna.kernel.exec import load
from goanna.kernel.exec.stack import Start
from goanna.kernel.file import (
    console,
    generated_mount,
    image_tree,
    integrity,
    memory_file,
    pipe,
    process_setup,
    terminal,
)
from goanna.kernel.file import mapping as file_mapping
from goanna.kernel.identity import limits
from goanna.kernel.memory import calls as memory_calls
from goanna.kernel.memory import fault, pages, space
from goanna.kernel.memory import user as user_memory
from goanna.kernel.memory.space import AddressSpace
from goanna.kernel.net import claim
from goanna.kernel.net.address import Address
from goanna.kernel.net.interface import Interface
from goanna.kernel.random import pool
from goanna.kernel.shared.control import Window
from goanna.kernel.signal import deliver
from goanna.kernel.signal import setup as signal_setup
from goanna.kernel.syscall import dispatch
from goanna.kernel.thread import thread as thread_module
from goanna.kernel.thread import work
from goanna.kernel.thread.create import make_process
from goanna.kernel.thread.current import current_process, current_thread  # noqa: F401 (assigned as a global)
from goanna.kernel.thread.process import Process, tree_lock
from goanna.kernel.thread.thread import Thread, publish_thread, threads
from goanna.kernel.time import timer
from goanna.kernel.time.wall import set_wall_offset
from goanna.metal import Array, Slice, i64, jit, metal, static, u8, u32, u64, unsafe
from tests.kernel.hooks import filled

ROOM = 64 << 20  # bytes of the machine's memory
IMAGE_ROOM = 8 << 20  # of which the root tree has these at the end
AT_FDCWD = -100
LARGE = bytes(index * 7 % 251 for index in range(300_000))

frame = static(Frame)
float_area = static(Array[u8, 1024], align=64)
written = static(Array[u8, 65536])  # what went to the console
written_count = static(u64)
records = static(Array[u8, 65536])  # what went to the control channel
record_count = static(u64)
broken_pipes = static(u64)
size_limits = static(u64)
ended = static(u32)
stream_room = static(Array[u8, 256])


@metal
def keep_output(data: Slice[u8]) -> None:
    global written_count
    written[written_count : written_count + len(data)] = data
    written_count += len(data)


@metal
def keep_record(first: Slice[u8], second: Slice[u8], third: Slice[u8]) -> None:
    keep_piece(first)
    keep_piece(second)
    keep_piece(third)


@metal
def keep_piece(data: Slice[u8]) -> None:
    global record_count
    records[record_count : record_count + len(data)] = data
    record_count += len(data)


@metal
def room_of(stream: u64, wanted: u64) -> Slice[u8]:
    return stream_room[:]


@metal
def send_room(stream: u64, count: u64) -> None:
    if stream == console.ERROR_STREAM:
        control.error_output(stream_room[0:count])
    else:
        control.output(stream_room[0:count])


@metal
def always(stream: u64) -> bool:
    return True


@metal
def no_input_wanted() -> None:
    pass


@metal
def note_broken_pipe() -> None:
    global broken_pipes
    broken_pipes += 1


@metal
def no_damage(block: u64) -> None:
    pass


@metal
def note_size_limit() -> None:
    global size_limits
    size_limits += 1


@metal
def machine_ended(status: u32) -> None:
    global ended
    ended = status


@metal
def serve_fault(frame: Frame, address: u64, access: u32) -> bool:
    if user_memory.quiet:
        return False
    return fault.handle_fault(current_process().space, address, access) == 0


@metal
def space_of_current() -> AddressSpace:
    return current_process().space


@metal
def leave_undescribed(start: Start) -> None:
    """No processor says what it has: a program is told that it is a plain one."""


@metal
def no_vdso(space: AddressSpace) -> u64:
    return 0


@metal
def ignore_window(window: Window) -> None:
    pass


@metal
def swallow(data: Slice[u8]) -> u64:
    return len(data)


@metal
def ignore_number(number: u32) -> None:
    pass


@metal
def ignore_lost(interface: Interface, address: Address, time: u64) -> None:
    pass


# What the consoles ask of the devices below them.
CONSOLE_HOOKS = (
    (control.console_port_write, keep_output),
    (control.control_port_write, keep_record),
    (control.on_signal, ignore_number),
    (control.on_window, ignore_window),
    (terminal.show_bytes, swallow),
    (terminal.typing_wanted, no_input_wanted),
    (control.on_input_end, console.console_input_end),
    (console.stream_reserve, room_of),
    (console.stream_send, send_room),
    (console.stream_ready, always),
    (console.stream_wait, always),
    (console.console_input_wanted, no_input_wanted),
)
HOOKS = (
    *CONSOLE_HOOKS,
    (integrity.on_damage, no_damage),
    (pipe.on_broken_pipe, note_broken_pipe),
    (memory_file.on_size_limit, note_size_limit),
    (memory_calls.current_space, space_of_current),
    (load.describe_machine, leave_undescribed),
    (load.map_vdso, no_vdso),
    (thread_module.machine_end, machine_ended),
    (claim.on_lost_address, ignore_lost),
    (user.on_page_fault, serve_fault),
    (processors.before_user, work.do_work),
    (processors.on_timer, timer.run_timers),
)


@metal
def start(address: u64, image_size: u64) -> i64:
    """A machine with process 1, its root tree at the end of memory."""
    global current_thread
    host_arena.arena = address
    pages.add_range(0x1000, ROOM - IMAGE_ROOM)
    pages.initialize()
    pool.seed(b"0123456789abcdef0123456789abcdef", 0)
    error = image_tree.mount_root(address + (ROOM - IMAGE_ROOM), image_size)
    if error < 0:
        return error
    generated_mount.mount_generated()
    process: Process = make_process()
    process.space = space.create()
    process.id = 1
    process.group = 1
    process.session = 1
    limits.default_limits(process, pages.total_pages())
    table_switch(process.space.table)
    signal_setup.setup_process(process, None, 0)
    thread: Thread = threads.allocate()
    thread.references.store(1)
    thread.id = 1
    thread.process = process
    thread.float_area = unsafe.address(float_area)
    thread.name[0:4] = b"test"
    signal_setup.setup_thread(thread, None, 0)
    with tree_lock:
        publish_thread(thread)
    current_thread = thread
    result = process_setup.setup_process(process, None, 0)
    thread.files = process.files
    thread.place = process.place
    return result


@metal
def make_call(number: u64, a: u64, b: u64, c: u64, d: u64, e: u64, f: u64) -> i64:
    """One system call."""
    frame.call = number
    frame.arguments[0] = a
    frame.arguments[1] = b
    frame.arguments[2] = c
    frame.arguments[3] = d
    frame.arguments[4] = e
    frame.arguments[5] = f
    dispatch.dispatch(frame)
    return frame.returned


@cache
def unit(*more):
    """The whole table, and more, compiled once a run of the tests."""
    with filled(*HOOKS):
        return jit(
            *more,
            start, make_call, dispatch.report_missed, dispatch.missed, dispatch.tracing, control.open_channel,
            user_memory.copy_in, user_memory.copy_out, console.console_receive, console.console_input_end,
            pages.free_pages, size_limits, written, written_count, records, record_count, broken_pipes, frame,
            processors.simulated_time, deliver.deliver, file_mapping.map_file, set_wall_offset, optimize=0,
        )  # fmt: skip


def default_tree() -> Folder:
    """The files of the tests: a small file, a large one, links of all kinds, a directory with many names."""
    root = Folder()
    root.add("bin/program", File(data=b"\x7fELF program", mode=0o755))
    root.add("etc/hosts", File(data=b"127.0.0.1 localhost\n", mode=0o644))
    root.add("etc/secret", File(data=b"secret", mode=0o600))
    root.add("large", File(data=LARGE, mode=0o644))
    root.add("links/hosts", Link(target=b"../etc/hosts"))
    root.add("links/absolute", Link(target=b"/etc/hosts"))
    root.add("links/folder", Link(target=b"../etc/"))
    root.add("links/loop", Link(target=b"loop"))
    root.add("links/nowhere", Link(target=b"missing"))
    for index in range(200):
        root.add(f"many/name-{index:03}", File(data=b"", mode=0o644))
    return root


class RootRefused(Exception):
    """The kernel did not take the root that it was given: its errno."""


class Machine:
    """One machine, fresh. Raises RootRefused for an image that the kernel can't begin with."""

    more: tuple = ()  # what else is compiled

    def __init__(self, tree: Folder | None = None, damage: Callable[[bytes], bytes] = bytes) -> None:
        self.unit = unit(*self.more)
        self.unit.reset()
        self.memory = mmap.mmap(-1, ROOM)
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        stream = io.BytesIO()
        FileSystem(tree or default_tree()).write(stream)
        image = damage(stream.getvalue())
        assert len(image) <= IMAGE_ROOM
        self.memory[ROOM - IMAGE_ROOM : ROOM - IMAGE_ROOM + len(image)] = image
        answer = self.unit.call(start, self.base, len(image))
        if answer != 0:
            raise RootRefused(-answer)
        self.scratch = self.raw("mmap", 0, 1 << 20, 3, 0x22, -1, 0)
        assert self.scratch > 0
        self.used = 0

    def raw(self, name: str, *arguments: int) -> int:
        """A call with numbers only."""
        number = SYSCALL_NUMBERS[name]
        return self.number(number, *arguments)

    def number(self, number: int, *arguments: int) -> int:
        """A call by number."""
        padded = [each & 0xFFFF_FFFF_FFFF_FFFF for each in (*arguments, *[0] * (6 - len(arguments)))]
        return self.unit.call(make_call, number, *padded)

    def call(self, name: str, *arguments: int | bytes) -> int:
        """A call; bytes are paths, and get a zero byte at the end."""
        self.used = 0
        return self.raw(name, *(self.put(each + b"\0") if isinstance(each, bytes) else each for each in arguments))

    def room(self, count: int) -> int:
        """User memory for `count` bytes, until the next `call`."""
        place = self.scratch + self.used
        self.used += -(-count // 16) * 16
        return place

    def put(self, data: bytes) -> int:
        """Bytes in user memory, until the next `call`: their address."""
        place = self.room(len(data))
        assert self.unit.call(user_memory.copy_out, place, data) == 0
        return place

    def poke(self, address: int, data: bytes) -> None:
        """Change user memory, wherever it is."""
        assert self.unit.call(user_memory.copy_out, address, data) == 0

    def get(self, address: int, count: int) -> bytes:
        """Bytes of user memory."""
        data = bytearray(count)
        assert self.unit.call(user_memory.copy_in, data, address) == 0
        return bytes(data)

    def open(self, path: bytes, flags: int = 0) -> int:
        """openat from the working directory."""
        return self.call("openat", AT_FDCWD, path, flags, 0o644)

    def read(self, descriptor: int, count: int) -> bytes | int:
        """What read gives: bytes, or an errno."""
        address = self.scratch + (512 << 10)
        result = self.raw("read", descriptor, address, count)
        return self.get(address, result) if result >= 0 else result

    def write(self, descriptor: int, data: bytes) -> int:
        """write."""
        self.used = 0
        return self.raw("write", descriptor, self.put(data), len(data))

    def file(self, path: bytes, step: int = 4096) -> bytes:
        """All of a file."""
        descriptor = self.open(path)
        assert descriptor >= 0, (path, descriptor)
        content = b""
        while part := self.read(descriptor, step):
            assert isinstance(part, bytes), (path, part)
            content += part
        assert self.raw("close", descriptor) == 0
        return content

    def output(self) -> bytes:
        """What went to the console."""
        return bytes(self.unit.static(written)[: self.unit.get(written_count)])
