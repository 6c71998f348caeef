"""The table of system calls and what belongs to each: a number, and its arguments in words."""

import inspect

import pytest

from goanna.kernel.arch.x86_64.numbers import SYSCALL_NUMBERS
from goanna.kernel.shared.calls import SIGNATURES
from goanna.kernel.syscall.table import BODIES


@pytest.mark.parametrize("name", BODIES)
def test_each_call_has_a_number_and_its_arguments_in_words(name):
    assert name in SYSCALL_NUMBERS
    assert name in SIGNATURES
    taken = [each for each in inspect.signature(BODIES[name].python).parameters if each != "frame"]
    assert len(taken) <= len(SIGNATURES[name]), (taken, SIGNATURES[name])
