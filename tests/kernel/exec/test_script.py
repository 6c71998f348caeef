"""The first line of a script, against a model in Python of what Linux makes of it."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.base.errno import ENOEXEC
from goanna.kernel.exec.script import ScriptLine, read_line
from goanna.kernel.memory.source import PageSource
from goanna.metal import Ptr, i64, jit, metal, u64, unsafe
from goanna.metal import struct as metal_struct
from tests.kernel.memory.machine import ROOTS, Memory, hooks

RAM = 1 << 20


@metal_struct
class Contents:
    """A file that lies in the arena behind the RAM."""

    source: PageSource
    start: u64


@metal
def get_page(source: Ptr[PageSource], index: u64, writing: bool) -> u64:
    return unsafe.container(Contents, "source", source).start + index * 4096


@metal
def read(contents: Contents, size: u64, line: ScriptLine) -> i64:
    contents.source.get_page = get_page
    contents.source.references.store(1)
    return read_line(line, contents.source, size)


with hooks():
    unit = jit(*ROOTS, read)


def kernel(data):
    memory = Memory(unit, RAM + 4096, [(0, RAM)])
    memory.bytes(RAM, len(data))[:] = data
    line = unit.new(ScriptLine)
    result = unit.call(read, unit.new(Contents, start=RAM), len(data), line)
    if result != 0:
        return result
    text = bytes(line.text)
    if line.name == 0:
        return None
    return text[line.name : line.name_end], text[line.argument : line.argument_end]


def model(data):
    if not data.startswith(b"#!"):
        return None
    seen = data[2:256]
    line = re.split(rb"[\n\0]", seen)[0]
    cut = len(line) == len(seen) and len(data) >= 256
    words = re.split(rb"[ \t]+", line.strip(b" \t"), maxsplit=1)
    if words[0] == b"" or (cut and len(words) == 1 and not line.endswith((b" ", b"\t"))):
        return -ENOEXEC
    return words[0], words[1] if len(words) > 1 else b""


@settings(max_examples=300, deadline=None)
@given(st.one_of(
    st.lists(st.sampled_from([b" ", b"\t", b"\n", b"\0", b"/bin/sh", b"-x", b"a"]), max_size=80).map(b"".join),
    st.binary(max_size=300),
    st.integers(240, 260).map(lambda count: b"x" * count),
))  # fmt: skip
def test_interpreter_and_argument(rest):
    assert kernel(b"#!" + rest) == model(b"#!" + rest)


def test_what_is_no_script():
    assert kernel(b"#") is None and kernel(b"\x7fELF") is None and kernel(b"") is None
