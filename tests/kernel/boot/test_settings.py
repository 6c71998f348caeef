"""Which of image, runner and command line is heard, and that no command line harms the kernel."""

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goanna.kernel.boot.settings import settings, take_command_line, take_information
from goanna.kernel.shared.boot import FLAG_TRACE, FLAG_USER, FLAG_VERBOSE, boot_information
from goanna.metal import jit


@pytest.fixture(scope="module")
def unit():
    return jit(take_command_line, take_information, settings)


def information(unit, **said):
    data = bytearray(boot_information(**said))
    unit.kept = [*getattr(unit, "kept", []), data]
    return data


def text(unit, field):
    address, length = getattr(unit.static(settings), field)
    return ctypes.string_at(address, length)


def line(unit, words):
    unit.line = bytearray(words)
    unit.call(take_command_line, unit.line)


def test_the_runner_overrides_the_image_only_in_what_it_says(unit):
    unit.reset()
    image = information(unit, arguments=[b"a", b"b"], program=b"/bin/a", hostname=b"image", stack_limit=5)
    unit.call(take_information, image)
    unit.call(take_information, information(unit, hostname=b"runner", flags=FLAG_TRACE))
    assert (text(unit, "arguments"), text(unit, "hostname"), text(unit, "program")) == (b"a\0b\0", b"runner", b"/bin/a")
    assert unit.static(settings).stack_limit == 5 and unit.static(settings).flags == FLAG_TRACE


def test_a_runner_may_say_root_where_the_image_says_another_user(unit):
    unit.reset()
    unit.call(take_information, information(unit, flags=FLAG_USER, user=1000, group=100, directory=b"/srv"))
    unit.call(take_information, information(unit))
    assert (unit.static(settings).user, unit.static(settings).group) == (1000, 100)
    unit.call(take_information, information(unit, flags=FLAG_USER))
    assert (unit.static(settings).user, unit.static(settings).group) == (0, 0)
    line(unit, b"directory=/tmp")
    assert text(unit, "directory") == b"/tmp"


def test_the_command_line_overrides_both(unit):
    unit.reset()
    unit.call(take_information, information(unit, arguments=[b"prog", b"old"], environment={b"A": b"1", b"B": b"2"}))
    line(unit, b"verbose  processors=3 memory=64M stack=16K files=100 hostname=me env.A=9 env.C=x odd -- new words")
    view = unit.static(settings)
    assert view.flags == FLAG_VERBOSE and view.processors == 3 and view.unknown == 1
    assert (view.memory_limit, view.stack_limit, view.open_files) == (64 << 20, 16 << 10, 100)
    assert text(unit, "environment") == b"B=2\0A=9\0C=x\0"
    assert text(unit, "arguments") == b"prog\0new\0words\0"
    assert text(unit, "hostname") == b"me"


WORDS = [b"trace", b"env.", b"env.A=", b"memory=", b"9" * 12, b"G", b" ", b"--", b"=", b"x" * 900]


@given(st.lists(st.sampled_from(WORDS)))
def test_no_command_line_panics(unit, parts):
    unit.reset()
    line(unit, b"".join(parts))
