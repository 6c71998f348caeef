"""What a machine's signal frame is made from and what comes back out of it: the same on every machine.

The layouts themselves are each machine's own: arch/*/signal_frame.py.
"""

from goanna.metal import Array, Slice, struct, u8, u32, u64

__all__ = ["SignalReturn", "SignalSetup", "StackRecord"]


@struct
class StackRecord:
    """struct sigaltstack, stack_t."""

    address: u64
    flags: u32
    reserved: u32
    size: u64


@struct
class SignalSetup:
    """A handler to be run."""

    number: u32
    handler: u64  # user address
    flags: u64  # SA_
    restorer: u64  # what the handler returns to
    mask: u64  # blocked signals that come back when it returns
    information: Slice[u8]  # siginfo_t, 128 bytes
    stack: StackRecord  # the alternate stack; size 0: none
    # The last fault of the thread: vector, error code and address as the processor gave them.
    fault_number: u64
    fault_error: u64
    fault_address: u64


@struct
class SignalReturn:
    """What rt_sigreturn brings back besides registers."""

    mask: u64
    stack: StackRecord
    reserved: Array[u8, 8]
