"""The control channel: what is sent is what the host reads, and no bytes from the host harm the kernel."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goanna.kernel.device import control
from goanna.kernel.shared.control import DEATH, ERROR_OUTPUT, EXIT, HOST, INPUT_END, LISTENING, SIGNAL, WINDOW, Window
from goanna.metal import Array, Slice, jit, metal, static, u8, u16, u32, u64

sent = static(Array[u8, 200_000])
sent_count = static(u64)
shown = static(u64)
last_signal = static(u32)
input_end = static(u64)
last_host = static(Array[u8, 200])
rows = static(u16)
columns = static(u16)


@metal
def keep_control(first: Slice[u8], second: Slice[u8], third: Slice[u8]) -> None:
    keep_piece(first)
    keep_piece(second)
    keep_piece(third)


@metal
def keep_piece(data: Slice[u8]) -> None:
    global sent_count
    sent[sent_count : sent_count + len(data)] = data
    sent_count += len(data)


@metal
def keep_console(data: Slice[u8]) -> None:
    global shown
    shown += len(data)


@metal
def keep_signal(number: u32) -> None:
    global last_signal
    last_signal = number


@metal
def keep_end(count: u64) -> None:
    global input_end
    input_end = count


@metal
def keep_window(window: Window) -> None:
    global rows, columns
    rows, columns = window.rows, window.columns


@metal
def keep_host(text: Slice[u8]) -> None:
    last_host[0 : len(text)] = text


@pytest.fixture(scope="module")
def unit():
    hooks = {
        control.control_port_write: keep_control,
        control.console_port_write: keep_console,
        control.on_signal: keep_signal,
        control.on_host: keep_host,
        control.on_input_end: keep_end,
        control.on_window: keep_window,
    }
    before = {hook: hook.function for hook in hooks}
    for hook, function in hooks.items():
        hook.function = function
    made = jit(
        control.open_channel,
        control.output,
        control.error_output,
        control.program_exited,
        control.program_died,
        control.control_receive,
        control.panic_text,
        control.log_line,
    )
    for hook, function in before.items():
        hook.function = function
    return made


def records(unit):
    data = bytes(unit.static(sent))[: unit.get(sent_count)]
    found = []
    while data:
        kind, _, length = struct.unpack_from("<BBH", data)
        found.append((kind, data[4 : 4 + length]))
        data = data[4 + length :]
    return found


def test_without_a_channel_all_goes_to_the_console(unit):
    unit.reset()
    unit.call(control.error_output, b"oh")
    unit.call(control.log_line, b"line")
    unit.call(control.program_exited, 3)
    assert unit.get(shown) == 2 + 5 and unit.get(sent_count) == 0


def test_records_are_framed_and_errors_know_their_place(unit):
    unit.reset()
    unit.call(control.open_channel)
    unit.call(control.output, b"12345")
    unit.call(control.error_output, b"oh")
    unit.call(control.program_exited, 3)
    unit.call(control.program_died, 9)
    assert records(unit) == [
        (LISTENING, b""),
        (ERROR_OUTPUT, struct.pack("<Q", 5) + b"oh"),
        (EXIT, struct.pack("<I", 3)),
        (DEATH, struct.pack("<I", 9)),
    ]


def test_a_text_longer_than_a_record_is_cut(unit):
    unit.reset()
    unit.call(control.open_channel)
    unit.call(control.panic_text, b"x" * 70_000)
    assert [len(payload) for _, payload in records(unit)] == [0, 65535]


def receive(unit, data):
    assert unit.call(control.control_receive, data) == len(data)


def test_signals_and_the_end_of_input_arrive(unit):
    unit.reset()
    receive(unit, struct.pack("<BBHI", SIGNAL, 0, 4, 15) + struct.pack("<BBHQ", INPUT_END, 0, 8, 77))
    assert (unit.get(last_signal), unit.get(input_end)) == (15, 77)
    receive(unit, struct.pack("<BBH4H", WINDOW, 0, 8, 24, 80, 0, 0))
    assert (unit.get(rows), unit.get(columns)) == (24, 80)
    receive(unit, struct.pack("<BBH", HOST, 0, 11) + b"db@10.0.0.2" + struct.pack("<BBH", HOST, 0, 129) + b"x" * 129)
    assert bytes(unit.static(last_host))[:12] == b"db@10.0.0.2\0"


def test_unknown_and_overlong_records_are_skipped(unit):
    unit.reset()
    receive(unit, struct.pack("<BBH", 99, 0, 500) + b"z" * 500 + struct.pack("<BBHI", SIGNAL, 0, 4, 2))
    assert unit.get(last_signal) == 2


@given(st.binary(max_size=300))
def test_no_bytes_from_the_host_panic(unit, data):
    unit.reset()
    receive(unit, data)
    assert unit.get(last_signal) <= 64
