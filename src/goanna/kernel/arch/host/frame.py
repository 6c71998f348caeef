"""User registers on the host: as many as calls, faults and signals look at."""

from goanna.metal import Array, Fn, fill, hook, i64, metal, panic, sizeof, static, struct, u8, u64, unsafe

__all__ = ["Frame", "enter_user", "on_call", "program", "user_frame"]

CALL_LENGTH = 2  # bytes of the instruction that enters the kernel


@struct(align=16)
class Frame:
    """All user registers at kernel entry."""

    arguments: Array[u64, 6]
    returned: i64
    call: u64
    pc: u64
    sp: u64
    kernel: u64  # 1: the kernel itself was interrupted
    plain: u64  # 1: there is no call to restart

    def number(self) -> u64:
        """The number of the system call."""
        return self.call

    def argument(self, index: u64) -> u64:
        """Argument `index` of the call, 0 to 5."""
        return self.arguments[index]

    def set_argument(self, index: u64, value: u64) -> None:
        """Set an argument, of a call to be made again or of a signal handler."""
        self.arguments[index] = value

    def result(self) -> i64:
        """What the call returned."""
        return self.returned

    def set_result(self, result: i64) -> None:
        """Set what the call returns."""
        self.returned = result

    def program_counter(self) -> u64:
        """Where the program goes on."""
        return self.pc

    def set_program_counter(self, address: u64) -> None:
        """Set where the program goes on."""
        self.pc = address

    def frame_pointer(self) -> u64:
        """Where what was interrupted keeps its caller's frame pointer."""
        return self.arguments[5]

    def stack_pointer(self) -> u64:
        """The program's stack pointer."""
        return self.sp

    def set_stack_pointer(self, address: u64) -> None:
        """Set the program's stack pointer."""
        self.sp = address

    def from_user(self) -> bool:
        """Whether the program, and not the kernel, was running."""
        return self.kernel == 0

    def in_kernel(self) -> bool:
        """Whether an interrupt that comes now was due while the kernel worked for the program."""
        return not self.from_user()

    def is_call(self) -> bool:
        """Whether this is a system call that may be restarted."""
        return self.plain == 0

    def forget_call(self) -> None:
        """From now on there is no call here to restart."""
        self.plain = 1

    def flags(self) -> u64:
        """The processor's flags: none here."""
        return 0

    def start(self, entry: u64, stack: u64) -> None:
        """All registers zero, as a program starts."""
        fill(unsafe.slice(u8, unsafe.address(self), FRAME_SIZE), 0)
        self.plain = 1
        self.pc = entry
        self.sp = stack

    def restart_call(self) -> None:
        """Have the call made again when the program goes on."""
        self.pc -= CALL_LENGTH


FRAME_SIZE = sizeof(Frame)

program = static(Fn[[Frame], None])  # what runs in user mode; doesn't return


# A system call; a test makes one by calling what is set here with a Frame.
on_call = hook(Fn[[Frame], None])


@metal
def user_frame(stack_top: u64) -> Frame:
    """The frame at the top of a kernel stack."""
    return unsafe.at(Frame, stack_top - FRAME_SIZE)


@metal
def enter_user(frame: Frame) -> None:
    """Go to user mode, for which a test's function stands."""
    program(frame)
    panic("the program came back from user mode")
