"""Blocking sends, receives, connects and accepts on simulated processors: nothing is lost or torn, nobody is left."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch.host.processors import random
from goanna.kernel.file import (  # noqa: F401 (they fill hooks)
    description,
    epoll,
    inotify,
    locks,
    node_end,
    pipe,
    signal_driven,
    tree,
)
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.net.socket.message import Message
from goanna.kernel.net.socket.numbers import SOCK_DGRAM, SOCK_STREAM
from goanna.kernel.net.socket.options import set_send_buffer
from goanna.kernel.net.socket.socket import SHUT_WRITE, Socket
from goanna.kernel.net.unix.join import pair
from goanna.kernel.net.unix.protocols import create_socket
from goanna.metal import Array, Atomic, Ptr, Slice, constant, i64, metal, static, u8, u32, u64
from tests.kernel.thread.simulation import Simulation, pass_user, spend

LONGEST = 40000  # bytes of one send: more than the smallest send buffer

ends = static(Array[Ptr[Socket], 2])
ready = static(Atomic[u32])
records = static(u64)  # that each sender sends
kind = static(u32)
mistakes = static(u64)
received = static(Atomic[u64])
next_of = static(Array[u64, 16])
left = static(Atomic[u64])
buffer = static(Array[u8, LONGEST])
ADDRESS = constant(Array[u8, 8], b"\1\0\0place")


@metal
def nothing() -> None:
    pass


@metal
def sent(socket: Socket, data: Slice[u8]) -> i64:
    transfer = Transfer()
    transfer.start_kernel(data)
    message = Message(transfer=transfer)
    return socket.protocol.send(socket, message)


@metal
def got(socket: Socket, data: Slice[u8]) -> i64:
    transfer = Transfer()
    transfer.start_kernel(data)
    message = Message(transfer=transfer)
    return socket.protocol.receive(socket, message)


@metal
def set_up_pair() -> None:
    one, _ = create_socket(kind, 0)
    other, _ = create_socket(kind, 0)
    pair(one, other)
    set_send_buffer(one, 4096)
    ends[0] = one
    ends[1] = other
    ready.store(1)


@metal
def stream_thread(number: u64) -> None:
    """Thread 1 sends a row of bytes in pieces of any size, thread 0 receives it so."""
    global mistakes
    if number == 0:
        set_up_pair()
        part = Array[u8, 512]()
        total: u64 = 0
        while True:
            count = got(ends[1], part[0 : 1 + random() % 512])
            if count <= 0:
                break
            for place in range(u64(count)):
                if part[place] != u8.wrap((total + place) * 7):
                    mistakes += 1
            total += u64(count)
            pass_user()
        received.add(total)
        return
    while ready.load() == 0:
        spend(1_000_000)
    total = u64(0)
    for _ in range(records):
        size = 1 + random() % LONGEST
        for place in range(size):
            buffer[place] = u8.wrap((total + place) * 7)
        if sent(ends[0], buffer[0:size]) != i64(size):
            mistakes += 1
        total += size
        pass_user()
    left.add(total)
    ends[0].protocol.shutdown(ends[0], SHUT_WRITE)


@metal
def datagram_thread(number: u64) -> None:
    """Threads from 1 on each send numbered messages, thread 0 receives them, each sender's in order."""
    global mistakes
    if number == 0:
        set_up_pair()
        letter = Array[u8, 64]()
        while received.load() != left.load() or left.load() == 0:
            count = got(ends[1], letter[:])
            sender = u64(letter[0])
            if count != 2 + i64(sender) or u64(letter[1]) != next_of[sender] % 256:
                mistakes += 1
            next_of[sender] += 1
            if received.add(1) + 1 == left.load():
                break
        return
    while ready.load() == 0:
        spend(1_000_000)
    letter = Array[u8, 64]()
    for index in range(records):
        letter[0] = u8(number)
        letter[1] = u8.wrap(index)
        if sent(ends[0], letter[0 : 2 + number]) != 2 + i64(number):
            mistakes += 1
        pass_user()


@metal
def connecting_thread(number: u64) -> None:
    """Thread 0 accepts one connection after another and answers what comes; the others connect, send and receive."""
    global mistakes
    if number == 0:
        listener, _ = create_socket(SOCK_STREAM, 0)
        listener.protocol.bind(listener, ADDRESS[:])
        listener.protocol.listen(listener, 0)
        ready.store(1)
        for _ in range(left.load() * records):
            made, _ = listener.protocol.accept(listener, False)
            if made is None:
                mistakes += 1
                continue
            byte = Array[u8, 1]()
            if got(made, byte[:]) != 1:
                mistakes += 1
            byte[0] += 1
            sent(made, byte[:])
            made.protocol.release(made)
        listener.protocol.release(listener)
        return
    while ready.load() == 0:
        spend(1_000_000)
    for index in range(records):
        connect_once(u8.wrap(number * 16 + index % 16))
        pass_user()


@metal
def connect_once(value: u8) -> None:
    """One connection: a byte there, the next one back, then the end."""
    global mistakes
    socket, _ = create_socket(SOCK_STREAM, 0)
    byte = Array[u8, 1]()
    byte[0] = value
    if socket.protocol.connect(socket, ADDRESS[:], False) != 0 or sent(socket, byte[:]) != 1:
        mistakes += 1
    if got(socket, byte[:]) != 1 or byte[0] != value + 1 or got(socket, byte[:]) != 0:
        mistakes += 1
    socket.protocol.release(socket)
    received.add(1)


@pytest.fixture(scope="module")
def machine():
    hooks = [(pipe.on_broken_pipe, nothing), (description.on_entry_release, tree.release_entry)]
    roots = [stream_thread, datagram_thread, connecting_thread]
    return Simulation(*roots, records, kind, mistakes, received, next_of, left, hooks=hooks)


seeds = st.integers(0, 2**32)
processors = st.integers(1, 4)


@settings(max_examples=200, deadline=None)
@given(seed=seeds, processors=processors, count=st.integers(1, 6))
def test_a_stream_arrives_whole_and_in_order(machine, seed, processors, count):
    machine.first = {records: count, kind: SOCK_STREAM}
    machine.run(stream_thread, 2, processors, seed)
    assert machine.unit.get(mistakes) == 0
    assert machine.unit.static(received).value == machine.unit.static(left).value > 0


@settings(max_examples=200, deadline=None)
@given(seed=seeds, processors=processors, senders=st.integers(1, 3), count=st.integers(1, 30))
def test_every_datagram_arrives_once_and_in_its_senders_order(machine, seed, processors, senders, count):
    machine.first = {records: count, kind: SOCK_DGRAM, left: senders * count}
    machine.run(datagram_thread, senders + 1, processors, seed)
    assert machine.unit.get(mistakes) == 0
    assert list(machine.unit.static(next_of))[1 : senders + 1] == [count] * senders


@settings(max_examples=200, deadline=None)
@given(seed=seeds, processors=processors, clients=st.integers(1, 3), count=st.integers(1, 6))
def test_every_connection_is_accepted_and_ended(machine, seed, processors, clients, count):
    machine.first = {records: count, left: clients}
    machine.run(connecting_thread, clients + 1, processors, seed)
    assert machine.unit.get(mistakes) == 0
    assert machine.unit.static(received).value == clients * count
