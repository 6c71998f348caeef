"""The records of the control channel, a second serial port between the kernel and the tool that started the machine.

The channel carries what must not be mixed into the program's output: how the program ended, panics, traces, signals
from outside. It exists only if the runner's boot information says so. A record is a RecordHeader and `length` bytes of
payload. The host sends nothing on either port, the console's input included, before the guest's LISTENING: a 16550
forgets what arrived before its FIFO was switched on.
"""

from goanna.metal import Array, i64, struct, u8, u16, u32, u64

# Kinds that the guest sends.
LISTENING = 1  # no payload: both ports are set up
EXIT = 2  # Exit: the program ended by itself
DEATH = 3  # Death: a signal ended the program
PANIC = 4  # text (UTF-8): the kernel failed; the machine stops after it
TRACE = 5  # Trace, then TraceText with its bytes, `texts` times
LOG = 6  # text (UTF-8), one line without its newline: the kernel speaks (runner's -v)
ERROR_OUTPUT = 7  # Output, then bytes: what the program wrote on descriptor 2
MEMORY_OUT = 8  # MemoryOut: no page was left for the program; DEATH by SIGKILL follows
RETURN_FILE = 9  # ReturnFile, then its path: a file or folder that goes back
TERMINAL_OUTPUT = 11  # Output, then bytes for the terminal, which standard output is not
RETURN_DATA = 10  # bytes of the last RETURN_FILE, in order

# Kinds that the host sends.
SIGNAL = 64  # Signal: to be sent to the program's first process
INPUT_END = 65  # InputEnd: the console's input is over
WINDOW = 66  # Window: the terminal's window has this size
HOST = 67  # text: NAME@ADDRESS, another machine for /etc/hosts; or NAME, which is there no more

MAXIMUM_PAYLOAD = 0xFFFF

# The status that a machine ends with after a panic, and that the tools use for their own failures (as docker run does).
FAILURE_STATUS = 125


@struct
class RecordHeader:
    """Before each payload; `length` is the payload's size in bytes."""

    kind: u8
    reserved: u8
    length: u16


@struct
class Exit:
    """`status` is what the program gave exit_group: 0 to 255."""

    status: u32


@struct
class Death:
    """`signal` is the Linux number, 1 to 64."""

    signal: u32


@struct
class MemoryOut:
    """Bytes: what the machine has, and what was committed when a page was missing."""

    available: u64
    committed: u64


@struct
class ReturnFile:
    """`size` bytes follow in RETURN_DATA records. `mode` is stat's, type included: a regular file or a folder."""

    size: u64
    mode: u32
    reserved: u32


@struct
class Output:
    """`position`: how many bytes the guest had written to the console before these, so the host keeps the order."""

    position: u64


@struct
class Trace:
    """A system call that returned, or that never will (exit, exit_group, a successful execve)."""

    position: u64  # bytes written to the console before the call returned
    start: u64  # nanoseconds since boot when the call began
    duration: u64  # nanoseconds
    thread: u32
    number: u16
    flags: u8  # TRACE_ENDLESS
    texts: u8  # how many TraceText follow
    result: i64
    arguments: Array[u64, 6]


TRACE_ENDLESS = 1  # the call does not return: `result` means nothing


@struct
class TraceText:
    """`length` bytes of what an argument points to follow: a path, or the beginning of a buffer."""

    argument: u8  # 0 to 5
    cut: u8  # 1: there was more
    length: u16


@struct
class Signal:
    """`number` is the Linux number, 1 to 64."""

    number: u32


@struct
class Window:
    """struct winsize."""

    rows: u16
    columns: u16
    width: u16  # pixels
    height: u16


@struct
class InputEnd:
    """`count`: how many bytes of console input there were in all; after them reads give end of file."""

    count: u64
