"""One process with signals, outside of a scheduler: calls are made directly, handlers are run by the test.

The thread's way to user mode is `settle`: it delivers until nothing is left, then runs the handlers as their frames
lie.
"""

import ctypes
import mmap
import os
import struct

from goanna.kernel.arch import Frame
from goanna.kernel.arch.host import arena as host_arena
from goanna.kernel.arch.host.page_table import READ, WRITE, table_map, table_switch
from goanna.kernel.memory import pages, space
from goanna.kernel.memory import user as user_memory
from goanna.kernel.signal import (
    actions,
    deliver,
    handler_return,
    itimer,
    kill,
    mask,
    memory_out,
    posix_timer,
    restart,
    setup,
    wait,
)
from goanna.kernel.signal.state import queued_count
from goanna.kernel.thread import current as current_module
from goanna.kernel.thread.create import make_process
from goanna.kernel.thread.current import current, current_process
from goanna.kernel.thread.process import Process, tree_lock
from goanna.kernel.thread.thread import (
    WORK_EXIT,
    WORK_SIGNAL,
    Thread,
    publish_thread,
    threads,
)
from goanna.metal import Array, Ptr, jit, metal, static, u8, u32, u64, unsafe
from tests.kernel.hooks import filled
from tests.kernel.signal.oracle import MEMORY, MEMORY_SIZE, SELF, SHOWN, Outcome, Run
from tests.kernel.thread.simulation import HOOKS

ROOM = 16 << 20
STACK = MEMORY + MEMORY_SIZE - 0x100
ALTERNATE = (MEMORY + 0x4000, MEMORY + 0xC000)
RLIMIT_SIGPENDING = 11

CALLS = {
    name: getattr(module, f"sys_{name}")
    for module, names in (
        (actions, "rt_sigaction sigaltstack"),
        (mask, "rt_sigprocmask rt_sigpending"),
        (kill, "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo"),
        (wait, "rt_sigtimedwait rt_sigsuspend"),
        (itimer, "setitimer getitimer alarm"),
        (posix_timer, "timer_create timer_settime timer_gettime timer_getoverrun timer_delete"),
        (handler_return, "rt_sigreturn"),
        (restart, "restart_syscall"),
    )
    for name in names.split()
}

frame = static(Frame)
float_area = static(Array[u8, 1024], align=64)
death = static(u32)


@metal
def end_process(status: u32) -> None:
    """In place of the end of a process: note how it ended."""
    global death
    death = status
    current().work.or_(WORK_EXIT)


@metal
def start(address: u64, size: u64, id: u32, count: u32, user: u32) -> None:
    """A process of that number and user, with `count` threads numbered from it on."""
    global current_thread
    host_arena.arena = address
    pages.add_range(0x1000, size)
    pages.initialize()
    process: Process = make_process()
    process.space = space.create()
    process.id = id
    if user != 0:
        mine = process.credentials
        mine.user = user
        mine.effective_user = user
        mine.saved_user = user
        mine.effective = 0
        mine.permitted = 0
    process.limits[RLIMIT_SIGPENDING].current = 1000
    for page in range(u64(MEMORY_SIZE // 4096)):
        table_map(process.space.table, MEMORY + page * 4096, pages.allocate_zeroed(), READ | WRITE)
    table_switch(process.space.table)
    setup.setup_process(process, None, 0)
    maker: Ptr[Thread] = None
    for number in range(count):
        thread: Thread = threads.allocate()
        thread.references.store(1)
        thread.id = id + number
        thread.process = process
        thread.float_area = unsafe.address(float_area)
        setup.setup_thread(thread, maker, 0)
        with tree_lock:
            publish_thread(thread)
        if maker is None:
            maker = thread
    current_thread = maker
    frame.sp = STACK


@metal
def become(index: u32) -> None:
    """Run as another thread of the process."""
    global current_thread
    thread = current_process().threads.head()
    for _ in range(index):
        thread = current_process().threads.after(thread)
    current_thread = thread


@metal
def take_work_bit() -> bool:
    """Whether the thread has signals to look at; the bit is taken back, as do_work does."""
    before = current().work.and_(~u32(WORK_SIGNAL))
    return (before & WORK_SIGNAL) != 0 and (before & WORK_EXIT) == 0


@metal
def unnoticed() -> u64:
    """Pending signals that some thread could take and none of those was told of."""
    shared = current_process().signals
    unheard = shared.pending.set
    result: u64 = 0
    mine = shared.threads.head()
    while mine is not None:
        told = (mine.thread.work.load() & WORK_SIGNAL) != 0
        if told:
            unheard &= mine.blocked
        else:
            result |= mine.pending.set & ~mine.blocked
        mine = shared.threads.after(mine)
    mine = shared.threads.head()
    while mine is not None:
        result |= unheard & ~mine.blocked
        mine = shared.threads.after(mine)
    return result


@metal
def unsettled() -> u64:
    """Signals sent to the running thread that it could take."""
    mine = current().signals
    return mine.pending.set & ~mine.blocked


@metal
def teardown() -> None:
    """End all threads and the process."""
    global current_thread
    process = current_process()
    mine = process.signals.threads.head()
    while mine is not None:
        current_thread = mine.thread
        setup.teardown_thread(mine.thread)
        mine = process.signals.threads.head()
    setup.teardown_process(process)


@metal
def set_limit(count: u64) -> None:
    current_process().limits[RLIMIT_SIGPENDING].current = count


@metal
def begin_call() -> None:
    """The frame is that of a call again."""
    frame.plain = 0


current_thread = current_module.current_thread
ROOTS = (
    unnoticed,
    unsettled,
    teardown,
    set_limit,
    queued_count,
    start,
    become,
    take_work_bit,
    begin_call,
    deliver.deliver,
    user_memory.copy_in,
    user_memory.copy_out,
)


class Bench:
    """A compiled unit, and one process in it after `start`."""

    def __init__(self):
        before = deliver.end_process
        deliver.end_process = end_process
        try:
            with filled(*HOOKS, (memory_out.on_memory_out, nobody)):
                self.unit = jit(*ROOTS, *CALLS.values(), frame, death)
        finally:
            deliver.end_process = before
        self.types = {name: [type_ for _, type_ in function.signature()[0]] for name, function in CALLS.items()}
        self.memory = mmap.mmap(-1, ROOM)

    def start(self, id=1000, threads=1, user=0):
        """Begin anew with a process of that number and user."""
        self.unit.reset()
        self.unit.call(start, ctypes.addressof(ctypes.c_char.from_buffer(self.memory)), ROOM, id, threads, user)
        self.frame, self.id = self.unit.static(frame), id

    def limit_pending(self, count):
        """Set RLIMIT_SIGPENDING."""
        self.unit.call(set_limit, count)

    def write(self, address, data):
        """Write the program's memory."""
        assert self.unit.call(user_memory.copy_out, address, data) == 0

    def read(self, address, size):
        """Read the program's memory."""
        data = bytearray(size)
        assert self.unit.call(user_memory.copy_in, data, address) == 0
        return bytes(data)

    def call(self, name, *arguments):
        """Make a call; its result."""
        self.unit.call(begin_call)
        types = self.types[name]
        values = [self.frame] if types and types[0] is Frame else []
        rest = types[len(values) :]
        words = [self.id if each == SELF else each for each in [*arguments, 0, 0, 0, 0, 0, 0][: len(rest)]]
        values += [type_.wrap(word) for type_, word in zip(rest, words, strict=True)]
        return self.unit.call(CALLS[name], *values)

    def settle(self):
        """Go to user mode: the handlers that run, first one first, as (siginfo, whether on the alternate stack)."""
        handled, waiting = [], 0
        while True:
            while self.unit.call(take_work_bit):
                before = self.frame.sp
                self.unit.call(deliver.deliver, self.frame)
                waiting += self.frame.sp != before
            if waiting == 0 or self.unit.get(death):
                return handled
            info = self.read(self.frame.arguments[1], 48)
            handled.append((info, ALTERNATE[0] < self.frame.sp <= ALTERNATE[1]))
            waiting -= 1
            self.frame.returned = self.unit.call(handler_return.sys_rt_sigreturn, self.frame)

    def run(self, calls, id):
        """Make the calls of a test, as the oracle does, whose processes are of the user who runs the tests."""
        self.start(id, user=os.getuid())
        outcomes = []
        for each in calls:
            for offset, data in each.writes:
                self.write(MEMORY + offset, data)
            result = self.call(each.name, *each.arguments)
            self.frame.returned = result
            handled = self.settle()
            if self.unit.get(death):
                break
            outcomes.append(Outcome(self.frame.returned, handled, self.read(MEMORY, SHOWN)))
        return Run(id, self.unit.get(death), outcomes)


@metal
def nobody(process: Process) -> None:
    pass


def siginfo(number, code, *words):
    """48 bytes of siginfo_t, `words` of 4 bytes from si_pid on."""
    return struct.pack("<iiii", number, 0, code, 0) + b"".join(struct.pack("<i", each) for each in words).ljust(
        32, b"\0"
    )
