"""From number to body: arguments are wrapped, what is missing answers ENOSYS and is counted by name."""

import pytest

from goanna.kernel.arch import SYSCALL_NUMBERS, Frame
from goanna.kernel.base.errno import EBADF, EFAULT, ENOSYS
from goanna.kernel.shared.calls import SIGNATURES
from goanna.kernel.syscall import dispatch
from goanna.kernel.syscall.adapter import adapt
from goanna.kernel.syscall.table import BODIES
from goanna.metal import i32, i64, metal, u8, u64
from tests.kernel.syscall.bench import Machine


@pytest.fixture
def machine():
    return Machine()


@metal
def sys_wide(a: u8, b: i32, c: u64, d: u64, e: u64, f: u64, g: u64) -> i64:
    return 0


@metal
def sys_narrow(a: u8) -> i32:
    return 0


@pytest.mark.parametrize("body", [sys_wide, sys_narrow])
def test_a_signature_that_no_call_can_have_is_refused(body):
    with pytest.raises(TypeError, match="is no system call"):
        adapt(body)


def test_every_body_takes_as_many_arguments_as_its_call_is_traced_with():
    for name, body in BODIES.items():
        if name not in SIGNATURES:
            continue
        parameters = [kind for _, kind in body.signature()[0] if kind is not Frame]
        assert len(parameters) <= max(len(SIGNATURES[name]), 6), name


def test_only_the_low_bits_that_a_parameter_has_count(machine):
    assert machine.raw("close", 0x1_0000_0063) == -EBADF
    assert machine.raw("getpid", 7, 7, 7) == 1


def test_only_the_low_half_of_the_number_counts(machine):
    assert machine.number(0xFFFF_FFFF_0000_0000 | SYSCALL_NUMBERS["getpid"]) == 1


@pytest.mark.parametrize("number", [dispatch.LIMIT, 0x4000_0000, 0xFFFF_FFFF, SYSCALL_NUMBERS["io_uring_setup"]])
def test_a_call_that_is_not_there_is_ENOSYS(machine, number):
    assert machine.number(number) == -ENOSYS


def test_missing_calls_are_reported_by_name_and_count(machine):
    for _ in range(3):
        machine.raw("io_uring_setup")
    machine.number(100_000)
    machine.unit.call(dispatch.report_missed)
    said = machine.output().decode()
    assert "not provided: io_uring_setup, asked for 3 times" in said
    assert "not provided: numbers that Linux does not have, asked for 1 times" in said


def test_a_bad_pointer_is_EFAULT_for_each_call_that_writes(machine):
    for address in (8, 1 << 47, (1 << 64) - 8):
        assert machine.raw("uname", address) == -EFAULT
        assert machine.raw("pipe2", address, 0) == -EFAULT
        assert machine.raw("getrlimit", 7, address) == -EFAULT
