"""What comes with a signal: siginfo, in the layout that programs see.

The kernel keeps the 48 bytes that Linux keeps; a program's siginfo_t is 128 bytes, the rest zero.
Source: Linux include/uapi/asm-generic/siginfo.h.
"""

from goanna.kernel.base.errno import E2BIG, EFAULT
from goanna.kernel.memory import user
from goanna.kernel.signal.numbers import (
    HIGHEST_CODE,
    HIGHEST_POLL_CODE,
    SI_ASYNCNL,
    SI_DETHREAD,
    SI_KERNEL,
    SI_USER,
    SIGNALS,
)
from goanna.metal import Array, constant, i16, i32, i64, metal, sizeof, struct, u8, u32, u64, union, wrapping

__all__ = ["SIGINFO_SIZE", "Information", "get_information", "put_information", "sent_by", "zero_information"]

SIGINFO_SIZE = 128


@struct
class Sender:
    """kill, tkill, and rt_sigqueueinfo with its value."""

    process: i32
    user: u32
    value: u64


@struct
class Expiry:
    """A POSIX timer's signal."""

    timer: i32
    overrun: i32
    value: u64
    private: i32  # Linux's own; zero here


@struct
class Child:
    """SIGCHLD."""

    process: i32
    user: u32
    status: i32
    user_time: i64  # clock ticks, 100 a second
    system_time: i64


@struct
class Fault:
    """SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP."""

    address: u64
    unit: i16  # si_addr_lsb, of memory failures
    lower: u64
    upper: u64


@struct
class Band:
    """SIGIO with a descriptor."""

    events: i64
    descriptor: i32


@union
class Details:
    """What follows the head depends on signal and code."""

    sender: Sender
    expiry: Expiry
    child: Child
    fault: Fault
    band: Band
    words: Array[u64, 4]


@struct
class Information:
    """The part of siginfo_t that has a meaning."""

    number: i32  # si_signo
    error: i32  # si_errno
    code: i32  # si_code
    reserved: u32
    details: Details

    def clear(self) -> None:
        """Make it a signal of which nothing is known: Linux's answer when memory was too short to keep more."""
        self.number = 0
        self.error = 0
        self.code = SI_USER
        self.reserved = 0
        for index in range(u64(4)):
            self.details.words[index] = 0

    def from_kernel(self) -> bool:
        """Whether the kernel raised it: nobody else may use such codes."""
        return self.code > 0


INFORMATION_SIZE = sizeof(Information)

_highest_code = constant(
    Array[u8, SIGNALS + 1], [HIGHEST_CODE.get(number, HIGHEST_POLL_CODE) for number in range(SIGNALS + 1)]
)


@metal
def put_information(address: u64, information: Information) -> i64:
    """Write a siginfo_t of 128 bytes to the program. 0 or -EFAULT."""
    if user.put_struct(address, information) != 0:
        return -EFAULT
    return user.zero(wrapping(address + INFORMATION_SIZE), SIGINFO_SIZE - INFORMATION_SIZE)


@metal
def zero_information(address: u64) -> i64:
    """Write an empty siginfo_t. 0 or -EFAULT."""
    return user.zero(address, SIGINFO_SIZE)


@metal
def known_layout(number: i32, code: i32) -> bool:
    """Whether Linux knows what the details of this signal and code are (known_siginfo_layout)."""
    if code == SI_KERNEL:
        return True
    if code > SI_USER:
        highest: u8 = HIGHEST_POLL_CODE
        if number >= 0 and number <= SIGNALS:
            highest = _highest_code[u64(number)]
        return code <= i32(highest)
    return code >= SI_DETHREAD or code == SI_ASYNCNL


@metal
def get_information(information: Information, number: i32, address: u64) -> i64:
    """Read a siginfo_t that is to be sent as signal `number`. 0, -EFAULT, or -E2BIG for bytes without a meaning."""
    if user.get_struct(information, address) != 0:
        return -EFAULT
    information.number = number
    if known_layout(number, information.code):
        return 0
    rest = Array[u8, SIGINFO_SIZE - INFORMATION_SIZE]()
    if user.copy_in(rest, wrapping(address + INFORMATION_SIZE)) != 0:
        return -EFAULT
    for byte in rest:
        if byte != 0:
            return -E2BIG
    return 0


@metal
def sent_by(information: Information, number: u32, code: i32, process: u32, user_id: u32) -> None:
    """Fill in a signal that a process sends."""
    information.clear()
    information.number = i32.wrap(number)
    information.code = code
    information.details.sender.process = i32(process)
    information.details.sender.user = user_id
