"""Panics: the text names Python files and lines, and nothing that goes wrong meanwhile keeps it from being sent."""

import ctypes

from goanna.image.panic_packing import Site, pack
from goanna.kernel.arch import Frame, stop
from goanna.kernel.arch.host import processors, user
from goanna.kernel.arch.host.processors import simulate
from goanna.kernel.base import panic
from goanna.kernel.base.text import Text
from goanna.metal import Array, Slice, jit, metal, static, u8, u32, u64
from tests.kernel.hooks import filled

BASE = 0x40_0000
output = static(Array[u8, 8192])
output_length = static(u64)
times = static(u64)
in_output = static(bool)
in_program = static(bool)
frame_pointer = static(u64)
fault_address = static(u64)


@metal
def keep(text: Slice[u8]) -> None:
    global output_length, times
    output[0 : len(text)] = text
    output_length = len(text)
    times += 1
    if in_output:
        panic.fail(b"the port is broken")


@metal
def program(text: Text) -> None:
    text.put(b"  program: pc 0x1234, in write\n")
    if in_program:
        panic.fail(b"the process table is broken")


@metal
def start(index: u32) -> None:
    frame = Frame()
    frame.set_program_counter(fault_address)
    frame.arguments[5] = frame_pointer
    panic.kernel_fault(frame, 6, 0x10, 0xABC)


@metal
def start_failure(index: u32) -> None:
    if index == 0:
        panic.fail(b"the image is cut short")
    stop(1)


@metal
def no_fault(frame: Frame, address: u64, access: u32) -> bool:
    return False


@metal
def nothing() -> None:
    pass


@metal
def nothing_before_user(frame: Frame) -> None:
    pass


@metal
def run(processors_: u32) -> u32:
    return simulate(start, processors_, 1, 100000)


@metal
def run_failure() -> u32:
    return simulate(start_failure, 1, 1, 100000)


with filled(
    (panic.panic_output, keep), (panic.describe_program, program), (user.on_page_fault, no_fault),
    (processors.on_timer, nothing), (processors.on_reschedule, nothing), (processors.before_user, nothing_before_user),
):  # fmt: skip
    unit = jit(
        run, run_failure, panic.set_panic_table, output, output_length, times, in_output, in_program, frame_pointer,
        fault_address,
    )  # fmt: skip


def make_table(sites, functions):
    """A table of (offset, line, file, reason) and (offset, name), counted from BASE."""
    return pack(
        {BASE + at: Site(file, line, reason) for at, line, file, reason in sites},
        {BASE: "start", **{BASE + at: name for at, name in functions}},
    )


def told():
    return bytes(unit.static(output))[: unit.get(output_length)].decode()


def test_a_panic_names_reason_files_lines_and_the_program():
    unit.reset()
    table = bytearray(make_table(
        [(0x100, 12, "kernel/memory/pages.py", "index out of range"), (0x205, 34, "kernel/memory/space.py", ""),
         (0x300, 56, "kernel/syscall/dispatch.py", "")],
        [(0x80, "memory.pages.take"), (0x180, "memory.space.cut"), (0x280, "syscall.dispatch")],
    ))  # fmt: skip


    address = ctypes.addressof((ctypes.c_uint8 * len(table)).from_buffer(table))
    assert unit.call(panic.set_panic_table, address, len(table))
    stack = (ctypes.c_uint64 * 8)()
    place = ctypes.addressof(stack)
    stack[0:6] = [place + 16, BASE + 0x205, place + 32, BASE + 0x300, 0, 0]
    unit.set(frame_pointer, place)
    unit.set(fault_address, BASE + 0x100)
    assert unit.call(run, 1) == 125
    assert told() == (
        "goanna: kernel panic: index out of range\n"
        "  at memory.pages.take (kernel/memory/pages.py:12)\n"
        "  from memory.space.cut (kernel/memory/space.py:34)\n"
        "  from syscall.dispatch (kernel/syscall/dispatch.py:56)\n"
        "  registers\n"
        "  program: pc 0x1234, in write\n"
    )
    assert unit.get(times) == 1


def test_without_a_table_addresses_are_told():
    unit.reset()
    unit.set(fault_address, 0x123456)
    assert unit.call(run, 1) == 125
    assert told().startswith("goanna: kernel panic: exception, code 0x10, address 0xabc\n  at 0x123456\n")


def test_a_table_that_makes_no_sense_is_not_used():
    unit.reset()
    table = bytearray(make_table([(0x100, 12, "a.py", "x")], [(0, "f")]))
    assert not unit.call(panic.set_panic_table, *_address(table), len(table) - 1)
    table[0] ^= 1
    assert not unit.call(panic.set_panic_table, *_address(table), len(table))


def _address(data):


    return (ctypes.addressof((ctypes.c_uint8 * len(data)).from_buffer(data)),)


def test_a_panic_while_one_is_told_ends_the_machine():
    unit.reset()
    unit.set(in_program, True)
    unit.set(fault_address, 0x123456)
    assert unit.call(run, 1) == 125
    assert told().endswith("in write\n  and another panic while this one was told\n")
    assert unit.get(times) == 1


def test_a_panic_of_the_port_ends_the_machine():
    unit.reset()
    unit.set(in_output, True)
    assert unit.call(run, 1) == 125
    assert unit.get(times) == 1


def test_a_failure_is_one_line():
    unit.reset()
    assert unit.call(run_failure) == 125
    assert told() == "goanna: the image is cut short\n"
