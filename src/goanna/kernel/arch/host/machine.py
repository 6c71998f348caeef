"""The rest of a machine, on the host: vector state, the thread pointer, kernel mappings, the console."""

from goanna.kernel.arch.host.frame import Frame
from goanna.metal import (
    Array,
    Fn,
    Slice,
    TypeVar,
    fill,
    hook,
    metal,
    panic,
    per_processor,
    static,
    struct,
    u8,
    u32,
    u64,
    unsafe,
)

__all__ = [
    "FRAME_LINE",
    "KERNEL_AREA",
    "LOWEST_KERNEL_ADDRESS",
    "console_write",
    "describe_frame",
    "fault_name",
    "float_init",
    "float_registers",
    "float_restore",
    "float_save",
    "float_size",
    "get_user_gs",
    "halt_forever",
    "kernel_map",
    "kernel_stack",
    "kernel_unmap",
    "on_kernel_fault",
    "set_kernel_stack",
    "set_thread_pointer",
    "set_user_gs",
    "start_processors",
    "stop_others",
    "thread_pointer",
    "written",
    "written_count",
]

KERNEL_AREA = 0x3000_0000_0000  # kernel addresses that kernel_map fills; a test maps memory of its own there
FLOAT_SIZE = 512
LOWEST_KERNEL_ADDRESS = 0x1000
FRAME_LINE = 16  # bytes of one line of registers

on_kernel_fault = hook(Fn[[Frame, u32, u64, u64], None])

float_registers = per_processor(u64)  # stands for all vector registers
kernel_stack = per_processor(u64)
written = static(Array[u8, 4096])  # what went to the console, from the start on
written_count = static(u64)
_thread_pointer = per_processor(u64)
_user_gs = per_processor(u64)


@metal
def float_size() -> u64:
    """Bytes of an area that keeps the vector registers."""
    return FLOAT_SIZE


@metal
def float_init(address: u64) -> None:
    """Make an area hold what the registers hold at a program's start."""
    fill(unsafe.slice(u8, address, FLOAT_SIZE), 0)


@metal
def float_save(address: u64) -> None:
    """Save the vector registers in an area, 64-byte aligned."""
    unsafe.store(u64, address, float_registers)


@metal
def float_restore(address: u64) -> None:
    """Load the vector registers from an area."""
    global float_registers
    float_registers = unsafe.load(u64, address)


@metal
def thread_pointer() -> u64:
    """The running thread's pointer to its own variables, as user mode sees it."""
    return _thread_pointer


@metal
def set_thread_pointer(value: u64) -> None:
    """Change it."""
    global _thread_pointer
    _thread_pointer = value


@metal
def get_user_gs() -> u64:
    """x86-64's GS base as user mode sees it."""
    return _user_gs


@metal
def set_user_gs(value: u64) -> None:
    """Change it."""
    global _user_gs
    _user_gs = value


@metal
def set_kernel_stack(top: u64) -> None:
    """Where user mode enters the kernel on this processor."""
    global kernel_stack
    kernel_stack = top


@metal
def kernel_map(address: u64, physical: u64, writable: bool) -> bool:
    """Map a page for the kernel. The host has its memory there already."""
    return True


@metal
def start_processors() -> None:
    """Start the other processors: `simulate` has done it."""


@metal
def console_write(byte: u8) -> None:
    """Early output."""
    global written_count
    if written_count < len(written):
        written[written_count] = byte
        written_count += 1


@metal
def kernel_unmap(address: u64) -> u64:
    """Take a page of the kernel's away; 0 as there was none."""
    return 0


@metal
def stop_others() -> None:
    """Halt the other processors: they run only when this one lets them."""


@metal
def halt_forever() -> None:
    """Stop this processor."""
    panic("a simulated processor stopped for ever")


@metal
def describe_frame(frame: Frame, line: u64, buffer: Slice[u8]) -> u64:
    """The registers, a line at a time: one line here."""
    if line != 0:
        return 0
    buffer[0:9] = b"registers"
    return 9


@metal
def fault_name(vector: u32) -> Slice[u8]:
    """What an exception is called."""
    return b"exception"


T = TypeVar("T")


@metal
def describe_processor(text: T, index: u32, count: u32) -> None:
    """What /proc/cpuinfo says of a processor."""
    text.line(b"processor\t: ", u64(index))
    text.byte(0x0A)


CACHE_KINDS = (b"", b"Unified\n")


@struct
class CacheFacts:
    """One cache of a processor."""

    kind: u32  # an index of CACHE_KINDS
    shared: u32  # processors
    numbers: Array[u32, 5]  # level, bytes of a line, partitions, ways, sets


@metal
def find_cache(index: u32, facts: CacheFacts) -> bool:
    """The cache of that index, and whether there is one."""
    facts.kind = 1
    facts.numbers[0] = 1
    facts.numbers[1] = 64
    facts.numbers[2] = 1
    facts.numbers[3] = 8
    facts.numbers[4] = 64
    facts.shared = 1
    return index == 0


@metal
def command_line() -> Slice[u8]:
    """What whoever started the kernel said to it."""
    return b"console=host"
