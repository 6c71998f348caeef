"""Many threads open and close one named pipe on simulated processors: whoever waits for a partner meets one that came,
also one that is gone again. On Linux all of them end; so they do here.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch.host.processors import random
from goanna.kernel.base.errno import EAGAIN, ENXIO, EPIPE
from goanna.kernel.file import description, locks, node_end, pipe, tree  # noqa: F401 (two fill in hooks)
from goanna.kernel.file.flags import O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY
from goanna.kernel.file.named_pipe import open_named_pipe
from goanna.kernel.file.node import Node
from goanna.kernel.file.pipe import Pipe
from goanna.metal import Array, Atomic, metal, static, u8, u32, u64, unsafe
from tests.kernel.file.test_waiting import move, nothing
from tests.kernel.thread.simulation import Simulation, pass_user, spend

fifo = static(Node)
rounds = static(u64)  # of each writer
writers = static(u64)
readers = static(u64)
written = static(Atomic[u64])  # writers that are done
left = static(Atomic[u64])  # readers that have gone
seen = static(Atomic[u64])  # bytes
mistakes = static(Atomic[u64])


@metal
def fifo_thread(number: u64) -> None:
    """The first threads read, the others write."""
    if number < readers:
        read_until_all_wrote()
        left.add(1)
        return
    for _ in range(rounds):
        write_once()
        pass_user()
    if written.add(1) + 1 == writers:
        release_readers()


@metal
def read_until_all_wrote() -> None:
    """Open the pipe to read, read it to its end, close it; and again, while somebody writes."""
    byte = Array[u8, 7]()
    while written.load() < writers:
        flags: u32 = O_RDONLY | O_NONBLOCK if random() % 4 == 0 else O_RDONLY
        opened, error = open_named_pipe(fifo, flags)
        if opened is None or error != 0:
            mistakes.add(1)
            return
        while True:
            got = move(opened, byte[:], False)
            if got <= 0:
                if got != 0 and (flags == O_RDONLY or got != -EAGAIN):
                    mistakes.add(1)
                break
            seen.add(u64(got))
            pass_user()
        opened.drop()
        pass_user()
        if flags != O_RDONLY:
            spend(1_000_000)


@metal
def write_once() -> None:
    """Open the pipe to write, write a little or nothing, close it."""
    byte = Array[u8, 3]()
    flags: u32 = O_WRONLY
    match random() % 5:
        case 0:
            flags = O_WRONLY | O_NONBLOCK
        case 1:
            flags = O_RDWR
        case _:
            pass
    opened, error = open_named_pipe(fifo, flags)
    if opened is None:
        if flags in (O_WRONLY, O_RDWR) or error != -ENXIO:
            mistakes.add(1)
        return
    if random() % 2 == 0:
        pass_user()
        put = move(opened, byte[:], True)
        if put != 3 and put != -EPIPE and not (put == -EAGAIN and flags != O_WRONLY):
            mistakes.add(1)
    opened.drop()


@metal
def release_readers() -> None:
    """Nobody writes any more: come and go without waiting until no reader is left."""
    while left.load() < readers:
        opened, _ = open_named_pipe(fifo, O_WRONLY | O_NONBLOCK)
        if opened is not None:
            opened.drop()
        spend(1_000_000)


@metal
def ends_open() -> u64:
    """How many ends are open, and bytes left in the pipe."""
    if fifo.attached == 0:
        return 0
    made = unsafe.at(Pipe, fifo.attached)
    return u64(made.readers) + u64(made.writers)


@pytest.fixture(scope="module")
def machine():
    hooks = [(pipe.on_broken_pipe, nothing), (description.on_entry_release, tree.release_entry)]
    names = [rounds, writers, readers, written, left, seen, mistakes]
    return Simulation(fifo_thread, ends_open, *names, hooks=hooks)


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    processors=st.integers(1, 4),
    reading=st.integers(1, 3),
    writing=st.integers(1, 3),
    count=st.integers(1, 12),
)
def test_nobody_waits_for_ever_for_a_partner_that_came(machine, seed, processors, reading, writing, count):
    machine.first = {rounds: count, readers: reading, writers: writing}
    machine.run(fifo_thread, reading + writing, processors, seed)
    assert machine.unit.static(mistakes).value == 0
    assert machine.unit.static(left).value == reading
    assert machine.unit.call(ends_open) == 0
