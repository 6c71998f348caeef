"""Lines of the kernel's: cut where they are too long, silent unless asked for."""

from goanna.kernel.base import log
from goanna.metal import Array, Slice, jit, metal, static, u8, u64
from tests.kernel.hooks import filled

heard = static(Array[u8, 256])
length = static(u64)


@metal
def hear(line: Slice[u8]) -> None:
    global length
    heard[0 : len(line)] = line
    length = len(line)


@metal
def tell(count: u64, must: bool) -> None:
    line = log.Line()
    text = line.start()
    for number in range(count):
        text.number(number % 10)
    if must:
        log.warn(line.bytes())
    else:
        log.say(line.bytes())


with filled((log.write_line, hear)):
    unit = jit(tell, heard, length, log.verbose)


def told():
    return bytes(unit.static(heard))[: unit.get(length)]


def test_lines_are_said_when_asked_for_or_when_they_must_be():
    unit.reset()
    unit.call(tell, 5, False)
    assert told() == b""
    unit.call(tell, 5, True)
    assert told() == b"01234"
    unit.set(log.verbose, True)
    unit.call(tell, 3, False)
    assert told() == b"012"


def test_long_lines_are_cut():
    unit.reset()
    unit.call(tell, 1000, True)
    assert told() == (b"0123456789" * 20)[: log.LONGEST_LINE]
