"""/dev: null, zero, full, the random devices, and the names of the standard streams."""

from goanna.kernel.base.errno import EFAULT, ENOSPC
from goanna.kernel.file.anonymous import seek_nowhere
from goanna.kernel.file.declare import Generated, link_to
from goanna.kernel.file.description import Description, Operations
from goanna.kernel.file.pseudo_terminal import MASTER
from goanna.kernel.file.terminal_console import CONSOLE, CONTROLLING, RUNNER
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.file.tree import attributes_by_entry
from goanna.kernel.random.calls import give_random
from goanna.metal import constant, i64, metal


@metal
def read_nothing(description: Description, transfer: Transfer) -> i64:
    """/dev/null is at its end."""
    return 0


@metal
def take_everything(description: Description, transfer: Transfer) -> i64:
    """What is written is gone; the memory it comes from is not looked at, as on Linux."""
    return i64(transfer.left)


@metal
def read_zeros(description: Description, transfer: Transfer) -> i64:
    """Zeros without end."""
    if transfer.left == 0:
        return 0
    done = transfer.put_zeros(transfer.left)
    return i64(done) if done != 0 else -EFAULT


@metal
def refuse_all(description: Description, transfer: Transfer) -> i64:
    """/dev/full is full."""
    return -ENOSPC if transfer.left != 0 else i64(0)


@metal
def read_random(description: Description, transfer: Transfer) -> i64:
    """Random bytes."""
    return give_random(transfer)


def _device(**operations):
    common = {"positional": True, "attributes": attributes_by_entry, "seek": seek_nowhere}
    return constant(Operations, common | operations)


NULL = _device(read=read_nothing, write=take_everything)
ZERO = _device(read=read_zeros, write=take_everything)
FULL = _device(read=read_zeros, write=refuse_all)
RANDOM = _device(read=read_random, write=take_everything)
URANDOM = _device(read=read_random, write=take_everything)

FILES = [
    Generated("/dev/null", 0o666, operations=NULL, device=(1, 3)),
    Generated("/dev/zero", 0o666, operations=ZERO, device=(1, 5)),
    Generated("/dev/full", 0o666, operations=FULL, device=(1, 7)),
    Generated("/dev/random", 0o666, operations=RANDOM, device=(1, 8)),
    Generated("/dev/urandom", 0o666, operations=URANDOM, device=(1, 9)),
    Generated("/dev/tty", 0o666, operations=CONTROLLING, device=(5, 0)),
    Generated("/dev/console", 0o600, operations=CONSOLE, device=(5, 1)),
    Generated("/dev/ptmx", 0o666, operations=MASTER, device=(5, 2)),
    Generated("/dev/hvc0", 0o620, operations=RUNNER, device=(229, 0)),
    Generated("/dev/fd", 0o777, link=link_to(b"/proc/self/fd")),
    Generated("/dev/stdin", 0o777, link=link_to(b"/proc/self/fd/0")),
    Generated("/dev/stdout", 0o777, link=link_to(b"/proc/self/fd/1")),
    Generated("/dev/stderr", 0o777, link=link_to(b"/proc/self/fd/2")),
    Generated("/dev/shm", 0o1777),
    Generated("/dev/pts", 0o755),
]
