"""The interrupt controller for devices: which line interrupts, and as which vector. The old one (8259) is silenced.

Lines up to 15 are the ISA interrupts of the same number (but for 0, the interval timer, which nobody uses here). The
lines go to the first processor. Intel 82093AA data sheet.
"""

from goanna.metal import Fn, metal, static, u32, u64, unsafe

from .apic import own_apic_id
from .kernel_map import kernel_map_device
from .port import out8
from .trap import FIRST_INTERRUPT, LINES, register_interrupt

__all__ = ["route_interrupt", "silence_pic"]

IOAPIC = 0xFEC0_0000
SELECT, WINDOW = 0x00, 0x10
VERSION = 1
REDIRECTION = 0x10
LEVEL, LOW = 1 << 15, 1 << 13

registers = static(u64)  # where they are seen; 0: not mapped yet


@metal
def write(register: u32, value: u32) -> None:
    """Write a register."""
    unsafe.store(u32, registers + SELECT, register, volatile=True)
    unsafe.store(u32, registers + WINDOW, value, volatile=True)


@metal
def silence_pic() -> None:
    """Mask all lines of the 8259s, which are on in the state firmware leaves."""
    out8(0x21, 0xFF)
    out8(0xA1, 0xFF)


@metal
def route_interrupt(line: u32, level: bool, function: Fn[[u64], None], argument: u64) -> None:
    """Have `function(argument)` called on the first processor, in interrupt context, when a line (0 to 23) interrupts.

    `level`: the line is level-triggered, active low (PCI); otherwise a rising edge (ISA). To be called at boot.
    """
    global registers
    assert line < LINES, "the interrupt controller has no such line"
    if registers == 0:
        registers = kernel_map_device(IOAPIC, 0x20)
    register_interrupt(line, function, argument)
    flags: u32 = LEVEL | LOW if level else 0
    write(REDIRECTION + line * 2 + 1, own_apic_id() << 24)
    write(REDIRECTION + line * 2, (FIRST_INTERRUPT + line) | flags)
