"""The local interrupt controller of each processor: interrupts between processors, and its timer.

x2APIC registers are model-specific registers; xAPIC ones lie in memory, 16 bytes apart. Intel SDM volume 3, chapter 11.
"""

from goanna.metal import metal, static, u32, u64, unsafe, wrapping

from .cpu import MSR_APIC_BASE, read_msr, relax, write_msr
from .processor import apic_ids, features
from .trap import SPURIOUS, TIMER, end_of_interrupt

__all__ = [
    "apic_address",
    "enable_apic",
    "own_apic_id",
    "send_initialize",
    "send_interrupt",
    "send_kick",
    "send_startup",
    "send_stop",
    "set_registers",
    "timer_count",
    "timer_deadline_mode",
    "timer_start",
]  # fmt: skip

ID, END_OF_INTERRUPT, SPURIOUS_VECTOR, COMMAND, COMMAND_TARGET = 0x20, 0xB0, 0xF0, 0x300, 0x310
TIMER_VECTOR, LINE0, LINE1, ERROR_VECTOR = 0x320, 0x350, 0x360, 0x370
INITIAL_COUNT, CURRENT_COUNT, DIVIDE = 0x380, 0x390, 0x3E0

MASKED = 1 << 16
DEADLINE_MODE = 2 << 17
ENABLED = 1 << 8
BASE_ENABLED, BASE_X2APIC = 1 << 11, 1 << 10
BASE_ADDRESS = 0x000F_FFFF_FFFF_F000
BUSY = 1 << 12
ASSERT = 1 << 14
NMI, INITIALIZE, STARTUP = 4 << 8, 5 << 8, 6 << 8
ALL_OTHERS = 3 << 18
DIVIDE_BY_1 = 0xB

registers = static(u64)  # where they are seen; not used with x2APIC


@metal
def apic_address() -> u64:
    """The physical address of the registers."""
    return read_msr(MSR_APIC_BASE) & BASE_ADDRESS


@metal
def set_registers(address: u64) -> None:
    """Where the registers are mapped. Once."""
    global registers
    registers = address


@metal(inline=False)
def read(register: u64) -> u32:
    """Read a register."""
    if features.x2apic:
        return u32.wrap(read_msr(0x800 + u32.wrap(register >> 4)))
    return unsafe.load(u32, registers + register, volatile=True)


@metal(inline=False)
def write(register: u64, value: u32) -> None:
    """Write a register."""
    if features.x2apic:
        write_msr(0x800 + u32.wrap(register >> 4), u64(value))
    else:
        unsafe.store(u32, registers + register, value, volatile=True)


@metal
def finish_interrupt() -> None:
    """The interrupt being served is over."""
    write(END_OF_INTERRUPT, 0)


end_of_interrupt.set(finish_interrupt)


@metal
def own_apic_id() -> u32:
    """This processor's number among interrupt controllers."""
    value = read(ID)
    return value if features.x2apic else value >> 24


@metal
def enable_apic() -> None:
    """Switch this processor's controller on, with every source but interrupts from others masked."""
    base = read_msr(MSR_APIC_BASE) | BASE_ENABLED
    if base & BASE_X2APIC != 0:
        features.x2apic = True
    write_msr(MSR_APIC_BASE, base)
    if features.x2apic:
        write_msr(MSR_APIC_BASE, base | BASE_X2APIC)
    write(SPURIOUS_VECTOR, ENABLED | SPURIOUS)
    write(LINE0, MASKED)
    write(LINE1, MASKED)
    write(ERROR_VECTOR, MASKED)
    write(DIVIDE, DIVIDE_BY_1)
    write(TIMER_VECTOR, TIMER)
    write(INITIAL_COUNT, 0)


@metal
def command(target: u32, value: u32) -> None:
    """Send an interrupt command and wait until it has left."""
    if features.x2apic:
        write_msr(0x830, wrapping(u64(target) << 32) | u64(value))
        return
    unsafe.store(u32, registers + COMMAND_TARGET, wrapping(target << 24), volatile=True)
    unsafe.store(u32, registers + COMMAND, value, volatile=True)
    while read(COMMAND) & BUSY != 0:
        relax()


@metal
def send_interrupt(processor: u64, vector: u32) -> None:
    """Interrupt another processor."""
    command(apic_ids[processor], ASSERT | vector)


@metal
def send_kick(processor: u64) -> None:
    """A non-maskable interrupt to another processor."""
    command(apic_ids[processor], ASSERT | NMI)


@metal
def send_initialize(target: u32) -> None:
    """Reset a processor, by its interrupt controller's number, so that it waits for send_startup."""
    command(target, ASSERT | INITIALIZE)


@metal
def send_startup(target: u32, page: u32) -> None:
    """Have a processor that waits begin at physical page `page`, in real mode."""
    command(target, ASSERT | STARTUP | page)


@metal
def send_stop() -> None:
    """A non-maskable interrupt to all other processors."""
    command(0, ASSERT | NMI | ALL_OTHERS)


@metal
def timer_start(count: u32) -> None:
    """Interrupt this processor once, after `count` ticks of the timer; 0 stops it."""
    write(INITIAL_COUNT, count)


@metal
def timer_count() -> u32:
    """The ticks that are left."""
    return read(CURRENT_COUNT)


@metal
def timer_deadline_mode() -> None:
    """Have the timer follow the time stamp counter (MSR_TSC_DEADLINE)."""
    write(TIMER_VECTOR, TIMER | DEADLINE_MODE)
