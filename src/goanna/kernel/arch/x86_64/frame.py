"""The registers of a program as they lie on its kernel stack while the kernel runs, and their form in a panic.

Every entry to the kernel (system call, exception, interrupt) builds the same frame, so that signals, tracing and panics
need to know one layout only. The assembly in call.py and trap.py pushes these words in this order, last one first.
"""

from goanna.metal import Array, Slice, constant, fill, i64, metal, panic, sizeof, struct, u8, u64, unsafe

from .layout import USER_TOP

__all__ = [
    "CALL", "FLAGS_USER", "FRAME_LINE", "FRAME_SIZE", "KERNEL_CODE", "KERNEL_DATA", "USER_CODE", "USER_DATA", "Frame",
    "describe_frame",
]  # fmt: skip

KERNEL_CODE = 0x08
KERNEL_DATA = 0x10
USER_DATA = 0x18 | 3  # SYSRET wants data before code
USER_CODE = 0x20 | 3

FRAME_SIZE = 176

FIRST_INTERRUPT = 32  # vectors below are exceptions
CALL = 0x100  # `vector` of a system call
NO_CALL = 0x101  # `vector` of a frame that a signal has changed: there is no call to restart

# What a program may set of its flags: CF PF AF ZF SF TF DF OF AC ID.
FLAGS_USER = 0x1 | 0x4 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 0x800 | 1 << 18 | 1 << 21
FLAGS_ALWAYS = 0x202  # bit 1 is one, interrupts on


@struct
class Frame:
    """All registers at entry to the kernel. 176 bytes, so that a frame below a 16-byte border keeps the stack
    aligned.
    """

    r15: u64
    r14: u64
    r13: u64
    r12: u64
    rbp: u64
    rbx: u64
    r11: u64
    r10: u64
    r9: u64
    r8: u64
    rax: u64
    rcx: u64
    rdx: u64
    rsi: u64
    rdi: u64
    vector: u64  # exception or interrupt vector, or CALL
    code: u64  # the exception's error code, or the call's number as it was in rax
    rip: u64
    cs: u64
    rflags: u64
    rsp: u64
    ss: u64

    def number(self) -> u64:
        """The number of the system call."""
        return self.code

    def argument(self, index: u64) -> u64:
        """Argument 0 to 5 of the system call."""
        match index:
            case 0:
                return self.rdi
            case 1:
                return self.rsi
            case 2:
                return self.rdx
            case 3:
                return self.r10
            case 4:
                return self.r8
            case 5:
                return self.r9
            case _:
                panic("a system call has arguments 0 to 5")

    def set_argument(self, index: u64, value: u64) -> None:
        """Set an argument: of the call, if it is to be made again, or (0 to 2, the same registers) of a signal
        handler.
        """
        match index:
            case 0:
                self.rdi = value
            case 1:
                self.rsi = value
            case 2:
                self.rdx = value
            case 3:
                self.r10 = value
            case 4:
                self.r8 = value
            case 5:
                self.r9 = value
            case _:
                panic("a system call has arguments 0 to 5")

    def set_result(self, value: i64) -> None:
        """What the system call answers."""
        self.rax = u64.wrap(value)

    def result(self) -> i64:
        """The answer that was set."""
        return i64.wrap(self.rax)

    def program_counter(self) -> u64:
        """Where the program goes on."""
        return self.rip

    def set_program_counter(self, value: u64) -> None:
        """Make the program go on elsewhere."""
        self.rip = value

    def stack_pointer(self) -> u64:
        """The program's stack pointer."""
        return self.rsp

    def set_stack_pointer(self, value: u64) -> None:
        """Move the program's stack pointer."""
        self.rsp = value

    def frame_pointer(self) -> u64:
        """Where the code that was interrupted keeps its caller's frame pointer, and above it the return address."""
        return self.rbp

    def flags(self) -> u64:
        """The program's flags."""
        return self.rflags

    def set_flags(self, value: u64) -> None:
        """Set the flags that a program may set."""
        self.rflags = (value & FLAGS_USER) | FLAGS_ALWAYS

    def from_user(self) -> bool:
        """Whether the kernel was entered from a program."""
        return self.cs & 3 != 0

    def is_call(self) -> bool:
        """Whether this is a system call that may be restarted."""
        return self.vector == CALL

    def forget_call(self) -> None:
        """From now on there is no call here to restart: a handler or rt_sigreturn has changed the registers."""
        self.vector = NO_CALL

    def in_kernel(self) -> bool:
        """Whether an interrupt that comes now was due while the kernel worked for the program.

        It works with interrupts off, so they come when it opens a window for them, or before the first instruction
        after a system call, which SYSCALL has left in rcx.
        """
        return self.vector < FIRST_INTERRUPT or self.vector >= CALL or self.rip == self.rcx

    def restart_call(self) -> None:
        """Make the program execute its SYSCALL instruction (two bytes) again with the same number."""
        self.rax = self.code
        self.rip -= 2

    def start(self, entry: u64, stack: u64) -> None:
        """All registers zero, as a program starts."""
        fill(unsafe.slice(u8, unsafe.address(self), FRAME_SIZE), 0)
        self.vector = NO_CALL
        self.rip = entry
        self.cs = USER_CODE
        self.rflags = FLAGS_ALWAYS
        self.rsp = stack
        self.ss = USER_DATA

    def make_safe(self) -> None:
        """Before a frame that a program wrote (rt_sigreturn, ptrace) is returned to: user mode, an address of its
        own.
        """
        self.cs = USER_CODE
        self.ss = USER_DATA
        self.set_flags(self.rflags)
        if self.rip >= USER_TOP:
            self.rip = USER_TOP - 1  # faults in user mode, and not in the instruction that returns there
        self.forget_call()


assert sizeof(Frame) == FRAME_SIZE

# The frame's words by name, in the order in which people compare them: three a line.
ORDER = (
    (b"rip", 17), (b"rsp", 20), (b"rflags", 19), (b"rax", 10), (b"rbx", 5), (b"rcx", 11), (b"rdx", 12), (b"rsi", 13),
    (b"rdi", 14), (b"rbp", 4), (b"r8", 9), (b"r9", 8), (b"r10", 7), (b"r11", 6), (b"r12", 3), (b"r13", 2), (b"r14", 1),
    (b"r15", 0), (b"cs", 18), (b"ss", 21), (b"vector", 15), (b"code", 16),
)  # fmt: skip
COLUMN = 25  # characters of one register: name, blank, 16 digits, two blanks
FRAME_LINE = 3 * COLUMN
NAMES = constant(Array[u8, 6 * len(ORDER)], b"".join(name.rjust(6) for name, _ in ORDER))
WORDS = constant(Array[u8, len(ORDER)], [word for _, word in ORDER])


@metal
def describe_frame(frame: Frame, line: u64, buffer: Slice[u8]) -> u64:
    """Write line 0, 1, ... of the register dump into `buffer` (at least FRAME_LINE bytes).

    Gives the length; 0 after the last line.
    """
    length: u64 = 0
    for index in range(line * 3, min(line * 3 + 3, len(ORDER))):
        buffer[length : length + 6] = NAMES[index * 6 : index * 6 + 6]
        buffer[length + 6] = 32
        value = unsafe.load(u64, unsafe.address(frame) + u64(WORDS[index]) * 8)
        for digit in range(u64(0), u64(16)):
            nibble = u8.wrap(value >> (60 - digit * 4)) & 15
            buffer[length + 7 + digit] = nibble + (48 if nibble < 10 else 87)
        buffer[length + 23] = 32
        buffer[length + 24] = 32
        length += COLUMN
    return length - 2 if length != 0 else 0
