"""What --trace records of a call: its registers and, of the memory that arguments point to, the beginning.

The record goes to the runner over the control channel, which words it (observe/trace.py); the layout is
shared/control.py's. Which arguments point to what is worth a copy stands in shared/calls.py.
"""

from goanna.kernel.arch import SYSCALL_NUMBERS, Frame, now
from goanna.kernel.device.control import console_position, trace_record
from goanna.kernel.memory import user
from goanna.kernel.shared.calls import (
    ANY,
    CAPTURE_IN,
    CAPTURE_NONE,
    CAPTURE_OUT,
    CAPTURE_RESULT,
    CAPTURE_STRING,
    LENGTH_ARGUMENT,
    SIGNATURES,
    capture,
)
from goanna.kernel.shared.control import TRACE_ENDLESS, Trace, TraceText
from goanna.kernel.syscall.adapter import CallBody
from goanna.kernel.thread.current import current
from goanna.metal import Array, constant, i64, metal, sizeof, static, struct, u8, u16, u64, unsafe

TEXT_LIMIT = 64  # bytes kept of each text; structures up to 144 bytes are kept whole
STRUCTURE_LIMIT = 144
BUFFER = sizeof(Trace) + 6 * (sizeof(TraceText) + STRUCTURE_LIMIT)
ENDLESS = (SYSCALL_NUMBERS["exit"], SYSCALL_NUMBERS["exit_group"])

tracing = static(bool)  # set at boot when the runner asks for it


@struct
class Capture:
    """What is copied of one argument: CAPTURE_… of shared/calls.py, and a length in bytes or an argument's index."""

    way: u8
    length: u8


_CALLS = max(SYSCALL_NUMBERS.values()) + 1
_NOTHING = ((CAPTURE_NONE, 0),) * 6
_captures = [_NOTHING] * _CALLS
for _name, _number in SYSCALL_NUMBERS.items():
    _captures[_number] = (*map(capture, SIGNATURES.get(_name, ANY)), *_NOTHING)[:6]
_kinds = sorted(set(_captures))
# Many calls are of one kind: what is copied of the arguments of each kind, and each call's kind.
CAPTURES = constant(Array[Capture, len(_kinds) * 6], [{"way": way, "length": n} for kind in _kinds for way, n in kind])
KINDS = constant(Array[u8, _CALLS], [_kinds.index(each) for each in _captures])


@struct
class Recorder:
    """A record under way."""

    bytes: Array[u8, BUFFER]
    used: u64
    arguments: Array[u64, 6]
    number: u64
    result: i64

    def head(self) -> Trace:
        """The record's fixed part."""
        return unsafe.at(Trace, unsafe.address(self.bytes))

    def copy_arguments(self, before: bool) -> None:
        """Copy what arguments point to: before the call what it reads, after it what it filled."""
        if self.number >= _CALLS:
            return
        for index in range(u64(0), u64(6)):
            wanted = self.capture(index)
            if wanted.way == CAPTURE_NONE or self.arguments[index] == 0:
                continue
            if before and wanted.way in (CAPTURE_STRING, CAPTURE_IN):
                self.copy_text(index, self.length_of(wanted), wanted.way == CAPTURE_STRING)
            elif not before and self.result >= 0 and wanted.way in (CAPTURE_OUT, CAPTURE_RESULT):
                self.copy_text(index, self.length_of(wanted), False)

    def capture(self, index: u64) -> Capture:
        """What is copied of an argument."""
        return CAPTURES[u64(KINDS[self.number]) * 6 + index]

    def length_of(self, wanted: Capture) -> u64:
        """How many bytes the argument points to."""
        if wanted.way == CAPTURE_STRING:
            return TEXT_LIMIT
        if wanted.way == CAPTURE_RESULT:
            return u64(self.result)
        if wanted.length >= LENGTH_ARGUMENT:
            return self.arguments[u64(wanted.length - LENGTH_ARGUMENT)]
        return u64(wanted.length)

    def copy_text(self, index: u64, length: u64, string: bool) -> None:
        """Append a TraceText and its bytes; nothing if they can't be read."""
        wanted = self.capture(index)
        whole = not string and wanted.length < LENGTH_ARGUMENT and wanted.way != CAPTURE_RESULT
        count = min(length, u64(STRUCTURE_LIMIT) if whole else u64(TEXT_LIMIT))
        start = self.used + sizeof(TraceText)
        place = self.bytes[start : start + count]
        cut = length > count
        if string:
            found = user.copy_in_string(place, self.arguments[index])
            if found >= 0:
                count = u64(found)
            elif user.copy_in(place, self.arguments[index]) < 0:
                return
            else:
                cut = True
        elif user.copy_in(place, self.arguments[index]) < 0:
            return
        text = unsafe.at(TraceText, unsafe.address(self.bytes) + self.used)
        text.argument = u8(index)
        text.cut = u8(cut)
        text.length = u16(count)
        self.used = start + count
        self.head().texts += 1

    def send(self, flags: u8) -> None:
        """The record is complete."""
        head = self.head()
        head.position = console_position()
        head.duration = now() - head.start
        head.flags = flags
        head.result = self.result
        trace_record(self.bytes[0 : self.used])


@metal
def traced_call(frame: Frame, number: u64, body: CallBody) -> None:
    """Make a call and record it; what never returns is recorded before."""
    recorder = Recorder(used=sizeof(Trace), number=number)
    head = recorder.head()
    head.start = now()
    head.thread = current().id
    head.number = u16(min(number, 0xFFFF))
    for index in range(u64(0), u64(6)):
        recorder.arguments[index] = frame.argument(index)
        head.arguments[index] = recorder.arguments[index]
    recorder.copy_arguments(True)
    if number in ENDLESS:
        recorder.send(TRACE_ENDLESS)
    recorder.result = body(frame)
    frame.set_result(recorder.result)
    recorder.copy_arguments(False)
    recorder.send(0)
