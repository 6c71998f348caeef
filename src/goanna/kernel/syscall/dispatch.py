"""Where every system call arrives: from its number to its body; what is not there answers ENOSYS and is counted."""

from goanna.kernel.arch import SYSCALL_NUMBERS, Frame, on_call
from goanna.kernel.base.errno import ENOSYS
from goanna.kernel.base.text import Text
from goanna.kernel.device.control import log_line
from goanna.kernel.syscall.adapter import CallBody, adapt
from goanna.kernel.syscall.table import BODIES
from goanna.kernel.syscall.trace import traced_call, tracing
from goanna.metal import Array, Atomic, constant, i64, likely, metal, static, u8, u16, u32, u64, unsafe

LIMIT = max(SYSCALL_NUMBERS.values()) + 1  # numbers from here on are no calls

_NAMES = [""] * LIMIT
for _name, _number in SYSCALL_NUMBERS.items():
    _NAMES[_number] = _name
_STARTS = [sum(len(each) for each in _NAMES[:number]) for number in range(LIMIT + 1)]

# The names of the calls, one after the other, and where each number's begins.
CALL_NAMES = constant(Array[u8, max(_STARTS)], "".join(_NAMES).encode())
NAME_STARTS = constant(Array[u16, LIMIT + 1], _STARTS)

missed = static(Array[Atomic[u32], LIMIT])  # how often each number was asked for in vain
missed_beyond = static(Atomic[u32])  # and numbers that Linux does not have


@metal(cold=True)
def missing(frame: Frame) -> i64:
    """The body of a call that is not there."""
    number = u32.wrap(frame.number())
    if number < LIMIT:
        missed[u64(number)].add(1)
    else:
        missed_beyond.add(1)
    return -ENOSYS


_bodies = [missing] * LIMIT
for _name, _body in BODIES.items():
    if _name in SYSCALL_NUMBERS:
        _bodies[SYSCALL_NUMBERS[_name]] = adapt(_body)
CALLS = constant(Array[CallBody, LIMIT], _bodies)


@metal
def dispatch(frame: Frame) -> None:
    """Make the call that a frame asks for and store its result there."""
    number = u64(u32.wrap(frame.number()))
    if likely(number < LIMIT and not tracing):
        frame.set_result(unsafe.index(CALLS, number)(frame))
        return
    body = unsafe.index(CALLS, number) if number < LIMIT else missing
    if tracing:
        traced_call(frame, number, body)
    else:
        frame.set_result(body(frame))


on_call.set(dispatch)


@metal(cold=True)
def put_call(text: Text, number: u64) -> None:
    """A call's name, or its number if Linux has none of that number."""
    if number < LIMIT and NAME_STARTS[number] != NAME_STARTS[number + 1]:
        text.put(CALL_NAMES[u64(NAME_STARTS[number]) : u64(NAME_STARTS[number + 1])])
        return
    text.put(b"number ")
    text.number(number)


@metal
def report_missed() -> None:
    """Say which calls were asked for in vain, and how often: a line each."""
    for number in range(u64(0), u64(LIMIT)):
        count = missed[number].load()
        if count != 0:
            report(number, count)
    beyond = missed_beyond.load()
    if beyond != 0:
        report(LIMIT, beyond)


@metal
def report(number: u64, count: u32) -> None:
    """One line; `number` LIMIT stands for all beyond."""
    line = Array[u8, 120]()
    text = Text(window=line[:])
    text.put(b"not provided: ")
    if number == LIMIT:
        text.put(b"numbers that Linux does not have")
    else:
        put_call(text, number)
    text.put(b", asked for ")
    text.number(u64(count))
    text.put(b" times")
    log_line(line[0 : text.position])
