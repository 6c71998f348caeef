"""Names and contents changed by many threads at once, on simulated processors: nothing is lost, torn or left over."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch.host.processors import random
from goanna.kernel.base.errno import ENOENT
from goanna.kernel.file import epoll, generated_tree, integrity, mapped, memory_file, node_end, pipe, signal_driven
from goanna.kernel.file.description import Description, descriptions
from goanna.kernel.file.flags import O_APPEND, O_RDWR, S_IFDIR, S_IFREG
from goanna.kernel.file.image_tree import TMP_TREE
from goanna.kernel.file.locks import FLOCK, LAST, RECORD, UNLOCK, WRITE_LOCK, FileLock, set_lock
from goanna.kernel.file.names import link_name, make_name, remove_name
from goanna.kernel.file.node import NODE_COST, create_node, nodes, set_budget, space_used
from goanna.kernel.file.open import open_entry
from goanna.kernel.file.rename import move_name
from goanna.kernel.file.shown import path_of
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.file.tree import Entry, child_of, entries, root_entry
from goanna.kernel.thread.current import current_process
from goanna.metal import Array, Atomic, Ptr, Slice, i64, metal, static, u8, u32, u64
from tests.kernel.syscall.bench import CONSOLE_HOOKS
from tests.kernel.thread.simulation import Simulation, pass_user, spend

assert generated_tree and mapped and node_end and epoll and signal_driven  # they fill in hooks

RECORD_SIZE = 700  # bytes: records cross pages
rounds = static(u64)
threads = static(u64)
ready = static(Atomic[u32])
finished = static(Atomic[u64])
mistakes = static(u64)
folders = static(Array[Ptr[Entry], 2])
kept_nodes = static(u64)
kept_entries = static(u64)
kept_bytes = static(u64)
kept_descriptions = static(u64)
owner_of_lock = static(u64)
NAMES = (b"a", b"b", b"c", b"a name of more than forty bytes, which lies elsewhere")


@metal
def nothing() -> None:
    pass


@metal
def ignore_block(block: u64) -> None:
    pass


@metal
def name_of(choice: u64) -> Slice[u8]:
    if choice == 0:
        return NAMES[0]
    if choice == 1:
        return NAMES[1]
    if choice == 2:
        return NAMES[2]
    return NAMES[3]


@metal
def set_up(number: u64) -> None:
    """The first thread makes an empty tree; the others wait for it."""
    if number != 0:
        while ready.load() == 0:
            spend(1000)
        return
    set_budget(1 << 20)
    current_process().limits[memory_file.RLIMIT_FSIZE].current = 2**64 - 1
    root_entry.tree = TMP_TREE
    root_entry.mode = S_IFDIR | 0o755
    root_entry.node = create_node(S_IFDIR | 0o755, 0, 0)
    root_entry.node.links = 2
    folders[0], _ = make_name(root_entry, b"first", S_IFDIR | 0o755, 0, b"", 0)
    folders[1], _ = make_name(root_entry, b"second", S_IFDIR | 0o755, 0, b"", 0)
    ready.store(1)


@metal
def change(number: u64) -> None:
    """One random change."""
    folder: Entry = folders[random() % 2]
    other: Entry = folders[random() % 2]
    name = name_of(random() % 4)
    new_name = name_of(random() % 4)
    choice = random() % 8
    if choice < 2:
        made, _ = make_name(folder, name, S_IFREG | 0o644, 0, b"", 0)
        if made is not None:
            made.drop()
    elif choice == 2:
        made, _ = make_name(folder, name, S_IFDIR | 0o755, 0, b"", 0)
        if made is not None:
            inner, _ = make_name(made, b"inner", S_IFREG | 0o644, 0, b"", 0)
            if inner is not None:
                inner.drop()
                remove_name(made, b"inner", False, False)
            made.drop()
    elif choice == 3:
        remove_name(folder, name, False, False)
        remove_name(folder, name, True, False)
    elif choice == 4:
        move_name(folder, name, False, other, new_name, False, u32(random() % 3))
    elif choice == 5:
        found, _ = child_of(folder, name)
        if found is not None:
            link_name(found, other, new_name, False)
            found.drop()
    else:
        look(folder, name)


@metal
def look(folder: Entry, name: Slice[u8]) -> None:
    """Find a file, say where it is, write to it."""
    found, _ = child_of(folder, name)
    if found is None:
        return
    buffer = Array[u8, 128]()
    path_of(found, root_entry, buffer[:])
    if not found.is_directory():
        opened, _ = open_entry(found, O_RDWR, False)
        if opened is not None:
            move(opened, name, True)
            opened.drop()
    found.drop()


@metal
def move(opened: Description, buffer: Slice[u8], writing: bool) -> i64:
    """A read or write of kernel memory at the start."""
    transfer = Transfer()
    transfer.start_kernel(buffer)
    if writing:
        return opened.operations.write(opened, transfer)
    return opened.operations.read(opened, transfer)


@metal
def names_thread(number: u64) -> None:
    global kept_nodes, kept_entries, kept_bytes, kept_descriptions
    set_up(number)
    for _ in range(rounds):
        change(number)
        pass_user()
    if finished.add(1) + 1 != threads:
        return
    for index in range(u64(2)):
        for choice in range(u64(4)):
            remove_name(folders[index], name_of(choice), False, False)
            remove_name(folders[index], name_of(choice), True, False)
            gone, error = child_of(folders[index], name_of(choice))
            assert gone is None and error == -ENOENT, "a name that was removed is there"
    kept_nodes = nodes.in_use()
    kept_entries = entries.in_use()
    kept_bytes = space_used()
    kept_descriptions = descriptions.in_use()


@metal
def append_thread(number: u64) -> None:
    """Each writes records of its own letter to the end of one file."""
    global mistakes
    set_up(number)
    record = Array[u8, RECORD_SIZE]()
    for index in range(u64(RECORD_SIZE)):
        record[index] = u8(number + 1)
    for _ in range(rounds):
        made, _ = make_name(folders[0], b"log", S_IFREG | 0o644, 0, b"", 0)
        if made is None:
            made, _ = child_of(folders[0], b"log")
        opened, _ = open_entry(made, O_RDWR | O_APPEND, False)
        if opened is None or move(opened, record[:], True) != RECORD_SIZE:
            mistakes += 1
        if opened is not None:
            opened.drop()
        made.drop()
        pass_user()
    if finished.add(1) + 1 == threads:
        read_back()


@metal
def read_back() -> None:
    """Each record is whole."""
    global mistakes
    found, _ = child_of(folders[0], b"log")
    opened, _ = open_entry(found, O_RDWR, False)
    buffer = Array[u8, RECORD_SIZE]()
    transfer = Transfer()
    count: u64 = 0
    while True:
        transfer.start_kernel(buffer[:])
        if opened.operations.read(opened, transfer) != RECORD_SIZE:
            break
        count += 1
        for byte in buffer:
            if byte != buffer[0] or byte == 0:
                mistakes += 1
    if count != rounds * threads:
        mistakes += 1
    opened.drop()
    found.drop()


@metal
def lock_thread(number: u64) -> None:
    """Each takes the lock of a file; nobody has it at the same time."""
    global owner_of_lock, mistakes
    set_up(number)
    node = folders[0].node
    for _ in range(rounds):
        family: u32 = FLOCK if rounds % 2 == 0 else RECORD
        wish = FileLock(family=family, kind=WRITE_LOCK, owner=number + 1, process=0, start=0, end=LAST)
        if set_lock(node, wish, True) != 0:
            mistakes += 1
        if owner_of_lock != 0:
            mistakes += 1
        owner_of_lock = number + 1
        spend(random() % 5000)
        if owner_of_lock != number + 1:
            mistakes += 1
        owner_of_lock = 0
        wish = FileLock(family=family, kind=UNLOCK, owner=number + 1, process=0, start=0, end=LAST)
        set_lock(node, wish, False)
        pass_user()


@pytest.fixture(scope="module")
def machine():
    hooks = [
        *CONSOLE_HOOKS,
        (pipe.on_broken_pipe, nothing),
        (memory_file.on_size_limit, nothing),
        (integrity.on_damage, ignore_block),
    ]
    roots = [names_thread, append_thread, lock_thread]
    names = [rounds, threads, mistakes, kept_nodes, kept_entries, kept_bytes, kept_descriptions]
    return Simulation(*roots, *names, hooks=hooks)


seeds = st.integers(0, 2**32)


@settings(max_examples=200, deadline=None)
@given(seed=seeds, processors=st.integers(1, 4), count=st.integers(1, 4), many=st.integers(1, 30))
def test_changes_of_names_leave_nothing_behind(machine, seed, processors, count, many):
    machine.first = {rounds: many, threads: count}
    machine.run(names_thread, count, processors, seed)
    unit = machine.unit
    assert (unit.get(kept_nodes), unit.get(kept_entries), unit.get(kept_descriptions)) == (3, 2, 0)
    assert unit.get(kept_bytes) == 3 * NODE_COST


@settings(max_examples=100, deadline=None)
@given(seed=seeds, processors=st.integers(1, 4), count=st.integers(1, 4), many=st.integers(1, 12))
def test_records_at_the_end_of_a_file_are_whole(machine, seed, processors, count, many):
    machine.first = {rounds: many, threads: count}
    machine.run(append_thread, count, processors, seed)
    assert machine.unit.get(mistakes) == 0


@settings(max_examples=100, deadline=None)
@given(seed=seeds, processors=st.integers(1, 4), count=st.integers(1, 5), many=st.integers(1, 12))
def test_a_lock_has_one_owner(machine, seed, processors, count, many):
    machine.first = {rounds: many, threads: count}
    machine.run(lock_thread, count, processors, seed)
    assert machine.unit.get(mistakes) == 0
