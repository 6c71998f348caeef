"""Blocking reads, writes and waits on simulated processors: nothing is lost or torn, nobody sleeps for ever."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch.host.processors import random, simulated_time
from goanna.kernel.base.errno import EAGAIN
from goanna.kernel.file import (  # noqa: F401 (locks and node_end fill in hooks)
    console,
    description,
    epoll,
    locks,
    node_end,
    pipe,
    tree,
)
from goanna.kernel.file.description import Description, create
from goanna.kernel.file.epoll import EPOLL, EPOLLET, add_item, epolls, wait_for_events
from goanna.kernel.file.eventfd import EVENT, counters
from goanna.kernel.file.flags import O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, POLLIN
from goanna.kernel.file.pipe import PIPE, create_pipe
from goanna.kernel.file.poll_set import PollSet
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.memory.user import get
from goanna.kernel.time.timer import NEVER
from goanna.metal import Array, Atomic, Ptr, Slice, i32, i64, metal, static, u8, u32, u64, unsafe
from tests.kernel.thread.simulation import USER_PAGE, Simulation, pass_user, spend

RECORD = 3000  # bytes of the longest record: below PIPE_BUF, so that none may be torn

ends = static(Array[Ptr[Description], 2])
ready = static(Atomic[u32])
records = static(u64)  # that each writer writes
edge_triggered = static(bool)
bytes_read = static(u64)
next_of = static(Array[u64, 16])  # the next record expected of each writer
mistakes = static(u64)
counters_of = static(Array[Ptr[Description], 8])
tokens = static(Atomic[u64])
wanted_tokens = static(u64)
watched_by = static(Ptr[Description])


@metal
def nothing() -> None:
    pass


@metal
def no_room(stream: u64, wanted: u64) -> Slice[u8]:
    return unsafe.slice(u8, 0, 0)


@metal
def drop_bytes(stream: u64, count: u64) -> None:
    pass


@metal
def always(stream: u64) -> bool:
    return True


@metal
def move(description: Description, buffer: Slice[u8], writing: bool) -> i64:
    """A read or write of kernel memory."""
    transfer = Transfer()
    transfer.start_kernel(buffer)
    if writing:
        return description.operations.write(description, transfer)
    return description.operations.read(description, transfer)


@metal
def set_up_pipe() -> None:
    made = create_pipe()
    ends[0] = create(PIPE, O_RDONLY, unsafe.address(made))
    ends[1] = create(PIPE, O_WRONLY, unsafe.address(made))


@metal
def wait_until_set_up(number: u64) -> None:
    while ready.load() == 0:
        spend(1_000_000)


@metal
def write_record(number: u64, index: u64) -> None:
    """Length, writer and index in the first 8 bytes, then bytes that follow from them."""
    record = Array[u8, RECORD]()
    length = 8 + random() % (RECORD - 8)
    record[0] = u8.wrap(length)
    record[1] = u8.wrap(length >> 8)
    record[2] = u8(number)
    record[3] = u8.wrap(index)
    for place in range(u64(8), length):
        record[place] = u8.wrap(place + number + index)
    global mistakes
    if move(ends[1], record[0:length], True) != i64(length):
        mistakes += 1


@metal
def read_exactly(buffer: Slice[u8]) -> u64:
    """Fill a buffer by as many reads as it takes; fewer bytes at the end."""
    done: u64 = 0
    while done < len(buffer):
        part = min(len(buffer) - done, 1 + random() % 500)
        got = move(ends[0], buffer[done : done + part], False)
        if got <= 0:
            break
        done += u64(got)
        pass_user()
    return done


@metal
def read_record() -> bool:
    """Read and check one record; False at the end."""
    global mistakes, bytes_read
    record = Array[u8, RECORD]()
    got = read_exactly(record[0:8])
    if got != 8:
        if got != 0:
            mistakes += 1
        return False
    length = u64(record[0]) | (u64(record[1]) << 8)
    number = u64(record[2])
    index = next_of[number]
    if u64(record[3]) != index % 256 or read_exactly(record[8:length]) != length - 8:
        mistakes += 1
        return False
    for place in range(u64(8), length):
        if record[place] != u8.wrap(place + number + index):
            mistakes += 1
    next_of[number] += 1
    bytes_read += length
    return True


@metal
def pipe_thread(number: u64) -> None:
    """Thread 0 reads to the end of the pipe, the others write their records and leave."""
    if number == 0:
        set_up_pipe()
        ready.store(1)
        while read_record():
            pass
        return
    wait_until_set_up(number)
    for index in range(records):
        write_record(number, index)
        pass_user()
    if tokens.add(1) + 1 == wanted_tokens:
        ends[1].drop()


@metal
def counter_thread(number: u64) -> None:
    """Even threads add 1 to counters, odd ones take: each waits as the kind of test says."""
    if number == 0:
        for index in range(u64(0), u64(8)):
            counter = counters.allocate()
            counter.semaphore = True
            counters_of[index] = create(EVENT, O_RDWR, unsafe.address(counter))
        ready.store(1)
    wait_until_set_up(number)
    value = Array[u8, 8]()
    value[0] = 1
    for _ in range(records):
        if number % 2 == 0:
            move(counters_of[random() % 2], value[:], True)
        else:
            take_from_any(value[:])
            tokens.add(1)
        pass_user()


@metal
def take_from_any(value: Slice[u8]) -> None:
    """Take a token from either of the two counters by poll and reads that do not wait."""
    while True:
        for index in range(u64(0), u64(2)):
            transfer = Transfer(nonblocking=True)
            transfer.start_kernel(value)
            if counters_of[index].operations.read(counters_of[index], transfer) == 8:
                value[0] = 1
                return
        wait_for_either()


@metal
def wait_for_either() -> None:
    """poll on both counters."""
    poll_set = PollSet()
    for index in range(u64(0), u64(2)):
        poll_set.add(0, POLLIN)
        counters_of[index].hold()
        poll_set.last.entries[index].description = counters_of[index]
    poll_set.wait(NEVER)
    poll_set.release()


@metal
def epoll_thread(number: u64) -> None:
    """Thread 0 makes an epoll over eight counters; even threads write to them, odd ones wait in epoll and take."""
    global watched_by, mistakes
    if number == 0:
        made = epolls.allocate()
        watched_by = create(EPOLL, O_RDWR, unsafe.address(made))
        made.description = watched_by
        for index in range(u64(0), u64(8)):
            counter = counters.allocate()
            counter.semaphore = True
            counters_of[index] = create(EVENT, O_RDWR | O_NONBLOCK, unsafe.address(counter))
            events: u32 = POLLIN | EPOLLET if edge_triggered else POLLIN
            add_item(made, counters_of[index], i32(index), events, index)
        ready.store(1)
    wait_until_set_up(number)
    value = Array[u8, 8]()
    value[0] = 1
    if number % 2 == 0:
        for _ in range(records):
            move(counters_of[random() % 8], value[:], True)
            pass_user()
        return
    while tokens.load() < wanted_tokens:
        address = USER_PAGE + number * 256
        count = wait_for_events(epoll_at(watched_by), address, 3, simulated_time + 1_000_000)
        if count < 0 or (count == 0 and tokens.load() < wanted_tokens):
            mistakes += 1  # time passes only while everybody waits: somebody was not woken
        for place in range(u64(max(count, 0))):
            take_tokens(address + place * 12)
        pass_user()


@metal
def epoll_at(description: Ptr[Description]) -> epoll.Epoll:
    return epoll.epoll_of(description)


@metal
def take_tokens(address: u64) -> None:
    """Take one token of the counter that an event names; every one where the next event is a change."""
    global mistakes
    index, _ = get(u64, address + 4)
    value = Array[u8, 8]()
    while True:
        got = move(counters_of[index], value[:], False)
        if got == -EAGAIN:
            return
        if got != 8:
            mistakes += 1
            return
        tokens.add(1)
        if not edge_triggered:
            return


@metal
def console_thread(number: u64) -> None:
    """Thread 0 reads the console to its end, thread 1 types."""
    global mistakes
    if number == 1:
        for index in range(records):
            byte = Array[u8, 1]()
            byte[0] = u8.wrap(index)
            while console.console_receive(byte) == 0:
                spend(1_000_000)
            pass_user()
        console.console_input_end(records)
        return
    opened = console.open_standard(0)
    buffer = Array[u8, 64]()
    total: u64 = 0
    while True:
        got = move(opened, buffer[0 : 1 + random() % 64], False)
        if got <= 0:
            break
        for place in range(u64(got)):
            if buffer[place] != u8.wrap(total + place):
                mistakes += 1
        total += u64(got)
    if total != records:
        mistakes += 1



@pytest.fixture(scope="module")
def machine():
    hooks = [
        (pipe.on_broken_pipe, nothing),
        (description.on_entry_release, tree.release_entry),
        (console.stream_reserve, no_room),
        (console.stream_send, drop_bytes),
        (console.stream_ready, always),
        (console.stream_wait, always),
        (console.console_input_wanted, nothing),
    ]
    roots = [pipe_thread, counter_thread, epoll_thread, console_thread]
    names = [records, edge_triggered, mistakes, bytes_read, next_of, tokens, wanted_tokens]
    return Simulation(*roots, *names, hooks=hooks)


seeds = st.integers(0, 2**32)
processors = st.integers(1, 4)


@settings(max_examples=500, deadline=None)
@given(seed=seeds, processors=processors, writers=st.integers(1, 3), count=st.integers(1, 20))
def test_records_of_several_writers_arrive_whole_and_in_order(machine, seed, processors, writers, count):
    machine.first = {records: count, wanted_tokens: writers}
    machine.run(pipe_thread, writers + 1, processors, seed)
    assert machine.unit.get(mistakes) == 0
    assert list(machine.unit.static(next_of))[1 : writers + 1] == [count] * writers


@settings(max_examples=500, deadline=None)
@given(seed=seeds, processors=processors, pairs=st.integers(1, 3), count=st.integers(1, 20))
def test_each_addition_to_a_semaphore_is_taken_once(machine, seed, processors, pairs, count):
    machine.first = {records: count}
    machine.run(counter_thread, 2 * pairs, processors, seed)
    assert machine.unit.static(tokens).value == pairs * count


@settings(max_examples=500, deadline=None)
@given(seed=seeds, processors=processors, pairs=st.integers(1, 3), count=st.integers(1, 15), edge=st.booleans())
def test_no_event_is_lost_between_epoll_and_its_waiters(machine, seed, processors, pairs, count, edge):
    machine.first = {records: count, edge_triggered: edge, wanted_tokens: pairs * count}
    machine.run(epoll_thread, 2 * pairs, processors, seed)
    assert machine.unit.get(mistakes) == 0
    assert machine.unit.static(tokens).value == pairs * count


@settings(max_examples=100, deadline=None)
@given(seed=seeds, processors=processors, count=st.integers(0, 6000))
def test_console_input_arrives_in_order_to_its_end(machine, seed, processors, count):
    machine.first = {records: count}
    machine.run(console_thread, 2, processors, seed)
    assert machine.unit.get(mistakes) == 0

