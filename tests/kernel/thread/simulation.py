"""A whole kernel of threads inside a test: simulated processors, memory, and programs that are metal functions.

A test's threads are functions of one number; they share statics. Everything that happens follows from the seed.
"""

import ctypes
import mmap

from goanna.kernel.arch import KERNEL_AREA, Frame, pause
from goanna.kernel.arch.host import arena as host_arena
from goanna.kernel.arch.host import processors, user
from goanna.kernel.arch.host.page_table import READ, WRITE
from goanna.kernel.arch.host.processors import DEADLOCK, RUNAWAY, pass_through_user, simulate, spend_time, stop
from goanna.kernel.memory import fault, pages, placement, shared, space
from goanna.kernel.memory import user as user_memory
from goanna.kernel.memory.mapping import MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, Request, map_request
from goanna.kernel.memory.placement import MAP_FIXED
from goanna.kernel.memory.source import PageSource
from goanna.kernel.thread import thread as threads
from goanna.kernel.thread import work
from goanna.kernel.thread.create import make_process, start_kernel_thread
from goanna.kernel.thread.current import current_process
from goanna.kernel.thread.exit import end_thread
from goanna.kernel.thread.process import Process
from goanna.kernel.thread.scheduler import idle_loop, start_scheduler
from goanna.kernel.thread.thread import Thread
from goanna.kernel.time import timer
from goanna.kernel.time.wall import start_wall_clock
from goanna.metal import Atomic, Fn, Ptr, i64, jit, metal, static, u32, u64
from tests.kernel.hooks import filled

MEMORY = 16 << 20
STACKS = 8 << 20
STEPS = 2_000_000
USER_PAGE = 0x10000  # an address of the process's memory; 16 pages are there
USER_PAGES = 16
SHARED_PAGE = 0x100000  # shared memory, mapped twice
SHARED_AGAIN = 0x200000

_first = static(Fn[[u64], None])
_count = static(u64)
_started = static(Atomic[bool])  # all threads are there: the process doesn't end before
process = static(Ptr[Process])
frame = static(Frame)
ended_with = static(u32)


@metal
def no_thread_setup(new: Thread, maker: Ptr[Thread], flags: u64) -> i64:
    return 0


@metal
def no_files(new: Thread, maker: Thread, flags: u64) -> i64:
    return 0


@metal
def no_thread_teardown(thread: Thread) -> None:
    pass


@metal
def no_process_setup(new: Process, maker: Ptr[Process], flags: u64) -> i64:
    return 0


@metal
def no_process_teardown(process: Process) -> None:
    pass


@metal
def no_signals(frame: Frame) -> None:
    pass


@metal
def unwanted(process: Process, number: u32) -> bool:
    return False


@metal
def no_tie(process: Process, parent: Process, ends: bool) -> None:
    pass


@metal
def not_dying(thread: Thread) -> bool:
    return False


@metal
def no_descriptor(process: Process, options: u32) -> i64:
    return -24


@metal
def no_close(descriptor: i64) -> None:
    pass


@metal
def machine_ended(status: u32) -> None:
    global ended_with
    ended_with = status
    stop(0)


@metal
def serve_fault(frame: Frame, address: u64, access: u32) -> bool:
    if user_memory.quiet:
        return False
    return fault.handle_fault(current_process().space, address, access) == 0


@metal
def no_random() -> u64:
    return 0


HOOKS = (
    (threads.signal_thread_setup, no_thread_setup),
    (threads.signal_thread_teardown, no_thread_teardown),
    (threads.signal_process_setup, no_process_setup),
    (threads.signal_process_teardown, no_process_teardown),
    (threads.file_process_setup, no_process_setup),
    (threads.file_process_teardown, no_process_teardown),
    (threads.file_thread_setup, no_files),
    (threads.file_thread_teardown, no_thread_teardown),
    (threads.deliver_signals, no_signals),
    (threads.tell_of_death, unwanted),
    (threads.cut_tie, no_tie),
    (threads.send_death_signal, no_process_teardown),
    (threads.dying, not_dying),
    (threads.open_process_descriptor, no_descriptor),
    (threads.close_process_descriptor, no_close),
    (threads.machine_end, machine_ended),
    (placement.random_u64, no_random),
    (user.on_page_fault, serve_fault),
    (processors.before_user, work.do_work),
    (processors.on_timer, timer.run_timers),
)


@metal
def start_memory(address: u64, size: u64) -> None:
    host_arena.arena = address
    pages.add_range(0x1000, size)
    pages.initialize()


@metal
def start_process(end: u64) -> None:
    global process
    process = make_process()
    process.id = 1
    process.credentials.effective = 2**64 - 1
    process.space = space.create()
    map_user(USER_PAGE, MAP_PRIVATE, None)
    source = shared.create(USER_PAGES)
    map_user(SHARED_PAGE, MAP_SHARED, source)
    map_user(SHARED_AGAIN, MAP_SHARED, source)


@metal
def map_user(address: u64, kind: u32, source: Ptr[PageSource]) -> None:
    request = Request(address=address, length=USER_PAGES * 4096, protection=READ | WRITE, maximum=READ | WRITE)
    request.flags = kind | MAP_FIXED | (MAP_ANONYMOUS if source is None else 0)
    request.source = source
    assert map_request(process.space, request) == i64(address), "the test's memory can't be mapped"


@metal
def run_processor(index: u32) -> None:
    start_scheduler()
    if index == 0:
        start_wall_clock()
        start_process(0)
        for number in range(_count):
            start_kernel_thread(run_thread, number, process)
        _started.store(True)
    while not _started.load():
        pause()
    idle_loop()


@metal
def run_thread(number: u64) -> None:
    _first(number)
    end_thread(0)


@metal
def run(first: Fn[[u64], None], count: u64, processors: u32, seed: u64) -> u32:
    """Run `count` threads, first(0), first(1), ..., to the end of all. 0, DEADLOCK, RUNAWAY."""
    global _first, _count
    _first = first
    _count = count
    return simulate(run_processor, processors, seed, STEPS)


@metal
def pass_user() -> None:
    """What a thread does between two calls."""
    pass_through_user(frame)


@metal
def spend(nanoseconds: u64) -> None:
    """What a thread does that computes."""
    spend_time(frame, nanoseconds)


def compile(*roots, hooks=()):
    """A unit with these functions, in which `run` can be called."""
    with filled(*HOOKS, *hooks):
        return jit(run, start_memory, ended_with, processors.simulated_time, *roots, optimize=0)


class Simulation:
    """A unit and the memory of its machine."""

    _stacks = None

    def __init__(self, *roots, hooks=()):
        self.unit = compile(*roots, hooks=hooks)
        self.first = {}  # values of statics at the start
        self.prepare = None  # called before the start to set more of them
        self.memory = mmap.mmap(-1, MEMORY)
        if Simulation._stacks is None:
            library = ctypes.CDLL(None)
            library.mmap.restype = ctypes.c_void_p
            library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x100000  # MAP_FIXED_NOREPLACE
            Simulation._stacks = library.mmap(KERNEL_AREA, STACKS, 3, flags, -1, 0)
            assert Simulation._stacks == KERNEL_AREA

    def run(self, function, count, processors=1, seed=1):
        """Start afresh and run threads; asserts that all came to their end."""
        self.unit.reset()
        for name, value in self.first.items():
            self.unit.set(name, value)
        if self.prepare is not None:
            self.prepare()
        self.unit.call(start_memory, ctypes.addressof(ctypes.c_char.from_buffer(self.memory)), MEMORY)
        result = self.unit.call(run, function, count, processors, seed)
        assert result != DEADLOCK, f"deadlock with seed {seed} on {processors} processors"
        assert result != RUNAWAY, f"no end with seed {seed} on {processors} processors"
        return result
