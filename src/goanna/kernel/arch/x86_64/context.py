"""A thread's place in the kernel while another one runs: the stack pointer; the rest lies on the stack."""

from goanna.metal import Fn, fill, metal, struct, u64, unsafe

from .frame import FRAME_SIZE

__all__ = ["Context", "prepare_context", "switch_context"]

SAVED = ("rbp", "rbx", "r12", "r13", "r14", "r15")  # what a called function must keep
POPPED = SAVED[::-1]
WORDS = len(SAVED) + 1  # and the return address
ENTRY, ARGUMENT = POPPED.index("rbx"), POPPED.index("r12")


@struct
class Context:
    """Where a thread that doesn't run goes on."""

    stack: u64  # its stack pointer, with the SAVED registers and a return address on the stack


SWITCH = "".join(
    [
        *(f"push %{name}\n" for name in SAVED),
        "movq %rsp, (%rdi)\nmovq (%rsi), %rsp\n",
        *(f"pop %{name}\n" for name in POPPED),
        "ret\n",
    ]
)


@metal(naked=True)
def switch_context(old: Context, new: Context) -> None:
    """Leave the running thread in `old` and go on in `new`. Returns when somebody switches to `old` again."""
    unsafe.asm(SWITCH)


@metal(naked=True)
def context_start() -> None:
    """A new thread's first instructions: the function is in rbx, its argument in r12."""
    unsafe.asm(".cfi_undefined 16\nmovq %r12, %rdi\nxorl %ebp, %ebp\ncall *%rbx\nud2")


@metal
def prepare_context(context: Context, stack_top: u64, entry: Fn[[u64], None], argument: u64) -> None:
    """Have the first switch to `context` call `entry(argument)`, which must not return, on the stack below `stack_top`.

    `stack_top` is on a 16-byte border. The room of a user frame at the very top is left alone, for `user_frame`.
    """
    top = stack_top - FRAME_SIZE
    words = unsafe.slice(u64, top - WORDS * 8, WORDS)
    fill(words, 0)
    words[ARGUMENT] = argument
    words[ENTRY] = unsafe.address(entry)
    words[WORDS - 1] = unsafe.address(context_start)
    context.stack = top - WORDS * 8
