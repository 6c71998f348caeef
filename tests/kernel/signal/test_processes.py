"""Trees of processes on simulated processors: fork, writes to copied memory, ends, waits, in every interleaving."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch import Frame
from goanna.kernel.arch.host import frame as host_frame
from goanna.kernel.arch.host.processors import pass_through_user, spend_time
from goanna.kernel.memory import pages
from goanna.kernel.memory.space import spaces
from goanna.kernel.memory.user import get, put
from goanna.kernel.signal import setup
from goanna.kernel.signal.child_wait import sys_wait4
from goanna.kernel.signal.kill import sys_kill
from goanna.kernel.signal.numbers import SIGCHLD, SIGKILL, SIGTERM
from goanna.kernel.thread import thread as thread_module
from goanna.kernel.thread.clone import sys_clone
from goanna.kernel.thread.exit import sys_exit_group
from goanna.kernel.thread.identity_calls import sys_getpid
from goanna.kernel.thread.process import Process, processes
from goanna.kernel.thread.thread import threads
from goanna.metal import Array, Atomic, Ptr, i32, i64, metal, static, u32, u64, wrapping
from tests.kernel.signal.program import HOOKS, STATICS, begin
from tests.kernel.thread.simulation import USER_PAGE, Simulation, process

VM, VFORK, PIDFD = 0x100, 0x4000, 0x1000
WNOHANG, WALL = 1, 0x4000_0000
P_PIDFD = 3
ECHILD, EINTR, ERESTARTSYS, ERESTARTNOINTR = 10, 4, 512, 513

born = static(Atomic[u64])
wrong = static(Atomic[u64])
mixed = static(u64)  # what decides how each process behaves
left = static(Array[u64, 8])
kind = static(u64)


@metal
def no_process(descriptor: i32) -> tuple[Ptr[Process], bool, i64]:
    return None, False, -9


@metal
def expect(truth: bool) -> None:
    if not truth:
        wrong.add(1)


@metal
def choice(id: i64, what: u64, of: u64) -> u64:
    """A number below `of` that follows from the process and the example."""
    value = wrapping((u64(id) * 0x9E3779B97F4A7C15 + mixed) * (what * 2 + 0xC2B2AE3D27D4EB4F))
    return (value >> 33) % of


@metal
def fork(frame: Frame, flags: u64, depth: u64) -> i64:
    """A child that runs `live`, made as often as a signal makes the call begin again."""
    frame.set_argument(0, depth)
    while True:
        result = sys_clone(frame, flags | SIGCHLD, 0, 0, 0, 0)
        if result != -ERESTARTNOINTR:
            return result
        pass_through_user(frame)


@metal
def live(frame: Frame) -> None:
    """A process of the tree: makes children, waits for all, looks that nobody wrote to its memory, ends."""
    born.add(1)
    depth = frame.argument(0)
    me = sys_getpid()
    place = USER_PAGE + 8 * choice(me, 0, 1000)
    expect(put(place, me) == 0)
    count = choice(me, 1, 4) if depth != 0 else u64(0)
    for index in range(count):
        if choice(me, 2 + index, 2) == 0:
            spend_time(frame, choice(me, 10 + index, 5000))
        flags: u64 = VM | VFORK if choice(me, 20 + index, 5) == 0 else 0
        child = fork(frame, flags, depth - 1 if flags == 0 else u64(0))
        expect(child > 0)
        pass_through_user(frame)
        if flags != 0:
            expect(put(place, me) == 0)
    for _ in range(count):
        wait_for_one(frame)
    expect(sys_wait4(-1, 0, 0, 0) == -ECHILD)
    value, _ = get(i64, place)
    expect(value == me)
    sys_exit_group(i32(me % 200))


@metal
def wait_for_one(frame: Frame) -> None:
    """Wait for any child; its status is its number."""
    status: u64 = USER_PAGE + 0x9000
    child = sys_wait4(-1, status, 0, 0)
    while child == -ERESTARTSYS:
        pass_through_user(frame)
        child = sys_wait4(-1, status, 0, 0)
    value, _ = get(u32, status)
    expect(child > 0 and value == u32(child % 200) << 8)


@metal
def tree(number: u64) -> None:
    """The first process makes trees, three times, and looks what is left each time."""
    frame = Frame()
    begin(number, frame)
    crowd(frame)
    host_frame.program = live
    for round in range(u64(3)):
        expect(fork(frame, 0, 3) > 0)
        wait_for_one(frame)
        settle(frame)
        left[round] = pages.free_pages()
    left[3] = threads.in_use()
    left[4] = processes.in_use()
    left[5] = spaces.in_use()


CROWD = 45  # more than a tree has at a time


@metal
def crowd(frame: Frame) -> None:
    """So many children at once that the kernel keeps all the stacks that it will ever keep here."""
    host_frame.program = sleep_on
    for _ in range(CROWD):
        expect(fork(frame, 0, 0) > 0)
    mine: Process = process
    child = mine.children.head()
    while child is not None:
        expect(sys_kill(i32(child.id), SIGKILL) == 0)
        child = mine.children.after(child)
    for _ in range(CROWD):
        while sys_wait4(-1, 0, 0, 0) == -ERESTARTSYS:
            pass_through_user(frame)
    born.store(0)


@metal
def settle(frame: Frame) -> None:
    """Give those that have ended time to be gone."""
    for _ in range(200):
        spend_time(frame, 100_000)


@pytest.fixture(scope="module")
def machine():
    hooks = (
        *HOOKS,
        (thread_module.signal_thread_setup, setup.setup_thread),
        (thread_module.signal_process_setup, setup.setup_process),
        (thread_module.hold_described_process, no_process),
    )
    roots = (tree, killed, orphans, mixed, kind, left, born, wrong, *STATICS)
    return Simulation(*roots, hooks=hooks)


@settings(max_examples=25, deadline=None)
@given(value=st.integers(0, 2**32), processors=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_a_tree_of_processes_shares_nothing_and_leaves_nothing(machine, value, processors, seed):
    machine.first = {mixed: value}
    machine.run(tree, 1, processors, seed)
    assert machine.unit.get(wrong) == 0 and machine.unit.get(born) >= 3
    _, before, after, *counts = list(machine.unit.static(left))[:6]
    assert after == before, "memory was lost"
    assert counts == [1, 1, 1], "threads, processes or address spaces are left"


@metal
def sleep_on(frame: Frame) -> None:
    """A child that ends by a signal only."""
    born.add(1)
    while True:
        spend_time(frame, 1000)


@metal
def killed(number: u64) -> None:
    """Children are killed while they start, run, and are waited for."""
    frame = Frame()
    begin(number, frame)
    host_frame.program = sleep_on
    status: u64 = USER_PAGE + 0x9000
    for round in range(u64(6)):
        child = fork(frame, 0, 0)
        spend_time(frame, choice(i64(round), 1, 3000))
        signal: u32 = SIGKILL if round % 2 == 0 else SIGTERM
        expect(sys_kill(i32(child), i32(signal)) == 0)
        result = sys_wait4(i32(child), status, 0, 0)
        while result == -ERESTARTSYS:
            pass_through_user(frame)
            result = sys_wait4(i32(child), status, 0, 0)
        value, _ = get(u32, status)
        expect(result == child and value == signal)
        expect(sys_kill(i32(child), 0) == -3)
    settle(frame)
    left[0] = threads.in_use()
    left[1] = processes.in_use()


@settings(max_examples=25, deadline=None)
@given(value=st.integers(0, 2**32), processors=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_killed_children_are_reported_as_such(machine, value, processors, seed):
    machine.first = {mixed: value}
    machine.run(killed, 1, processors, seed)
    assert machine.unit.get(wrong) == 0
    assert list(machine.unit.static(left))[:2] == [1, 1]


@metal
def leave_early(frame: Frame) -> None:
    """A process that makes a child and ends at once, or the child, which ends some time later."""
    born.add(1)
    me = sys_getpid()
    if frame.argument(0) != 0:
        for _ in range(3):
            expect(fork(frame, 0, 0) > 0)
    else:
        spend_time(frame, choice(me, 3, 20000))
    sys_exit_group(i32(me % 200))


@metal
def orphans(number: u64) -> None:
    """All that the grandchildren leave comes to the first process, which hears of each."""
    frame = Frame()
    begin(number, frame)
    host_frame.program = leave_early
    expect(fork(frame, 0, 1) > 0)
    for _ in range(4):
        wait_for_one(frame)
    expect(sys_wait4(-1, 0, 0, 0) == -ECHILD)
    settle(frame)
    left[0] = threads.in_use()
    left[1] = processes.in_use()


@settings(max_examples=25, deadline=None)
@given(value=st.integers(0, 2**32), processors=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_orphans_come_to_the_first_process(machine, value, processors, seed):
    machine.first = {mixed: value}
    machine.run(orphans, 1, processors, seed)
    assert machine.unit.get(wrong) == 0 and machine.unit.get(born) == 4
    assert list(machine.unit.static(left))[:2] == [1, 1]
