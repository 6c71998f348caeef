"""Segments, task state and interrupt gates: the tables that the processor itself reads, as little as long mode needs.

Each processor has its own segment table, because the descriptor of its task state lies in it. The interrupt table
is one for all. NMI, double fault and machine check run on a stack of their own (interrupt stack 1): they come when
the kernel stack may be unusable.
"""

from goanna.metal import Array, constant, metal, per_processor, sizeof, static, struct, u16, u32, u64, unsafe, wrapping

from .frame import KERNEL_CODE

__all__ = ["EMERGENCY_STACK", "VECTORS", "TaskState", "gate", "load_descriptors", "set_gate", "task", "task_descriptor"]

VECTORS = 96
EMERGENCY_STACK = 1
_TASK_SELECTOR = 0x28

# Null, kernel code, kernel data, user data, user code (SYSRET wants them in this order); the task state's two follow.
SEGMENTS = constant(
    Array[u64, 5], [0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0x00CF_F300_0000_FFFF, 0x00AF_FB00_0000_FFFF]
)  # fmt: skip


@struct(packed=True)
class TaskState:
    """The 64-bit task state segment (Intel SDM volume 3, 9.7): where the stack pointer comes from on entry."""

    reserved0: u32
    kernel_stack: u64  # RSP0: on entry from user mode by exception or interrupt
    unused_stacks: Array[u64, 2]
    reserved1: u64
    interrupt_stacks: Array[u64, 7]  # IST1 to IST7
    reserved2: u64
    reserved3: u16
    port_map: u16  # at or past the end: no port for user mode


assert sizeof(TaskState) == 104

segments = per_processor(Array[u64, 7])
task = per_processor(TaskState)
interrupt_table = static(Array[u64, 2 * VECTORS], align=16)


@metal
def gate(handler: u64, stack: u64, level: u64) -> tuple[u64, u64]:
    """An interrupt gate: interrupts stay off behind it. `stack` is 0 or 1 to 7, `level` 3 if INT may be used in
    user mode.
    """
    low = (handler & 0xFFFF) | KERNEL_CODE << 16 | wrapping(stack << 32)
    low |= wrapping((0x8E | level << 5) << 40) | wrapping((handler >> 16 & 0xFFFF) << 48)
    return low, handler >> 32


@metal
def task_descriptor(base: u64) -> tuple[u64, u64]:
    """The two words of a segment table that describe an available task state at `base`."""
    low = u64(sizeof(TaskState) - 1) | wrapping((base & 0xFF_FFFF) << 16) | 0x89 << 40
    low |= wrapping((base >> 24 & 0xFF) << 56)
    return low, base >> 32


@metal
def set_gate(vector: u64, handler: u64, stack: u64, level: u64) -> None:
    """Make a vector enter `handler`."""
    low, high = gate(handler, stack, level)
    interrupt_table[vector * 2] = low
    interrupt_table[vector * 2 + 1] = high


@metal
def load_descriptors(emergency_stack: u64) -> None:
    """Put this processor on its own tables. `emergency_stack` is the upper end of its stack for NMI and double
    fault.
    """
    for index, value in enumerate(SEGMENTS):
        segments[index] = value
    low, high = task_descriptor(unsafe.address(task))
    segments[_TASK_SELECTOR >> 3] = low
    segments[(_TASK_SELECTOR >> 3) + 1] = high
    task.interrupt_stacks[EMERGENCY_STACK - 1] = emergency_stack
    task.port_map = sizeof(TaskState)
    load_table(unsafe.address(segments), 7 * 8 - 1, False)
    load_table(unsafe.address(interrupt_table), 16 * VECTORS - 1, True)
    unsafe.asm("ltr $0", "r,~{memory}", u16(_TASK_SELECTOR))


@metal
def load_table(address: u64, limit: u16, interrupts: bool) -> None:
    """LGDT or LIDT."""
    operand = Array[u16, 5]()
    operand[0] = limit
    unsafe.store(u64, unsafe.address(operand) + 2, address, unaligned=True)
    if interrupts:
        unsafe.asm("lidt ($0)", "r,~{memory}", unsafe.address(operand))
    else:
        unsafe.asm("lgdt ($0)", "r,~{memory}", unsafe.address(operand))
