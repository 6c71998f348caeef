"""The interrupt controllers for devices: which line interrupts, and as which vector. The old one (8259) is silenced.

Lines up to 15 are the ISA interrupts of the same number (but for 0, the interval timer, which nobody uses here). The
lines go to the first processor. Intel 82093AA data sheet. Lines from 24 on belong to further controllers, which ACPI
names.
"""

from goanna.kernel.device.acpi import MADT, madt_controller
from goanna.metal import Fn, metal, static, u32, u64, unsafe

from .apic import own_apic_id
from .firmware import find_table
from .kernel_map import kernel_map_device
from .port import out8
from .trap import FIRST_INTERRUPT, LINES, register_interrupt, take_vector

__all__ = ["route_interrupt", "silence_pic"]

IOAPIC = 0xFEC0_0000
SELECT, WINDOW = 0x00, 0x10
VERSION = 1
REDIRECTION = 0x10
LEVEL, LOW = 1 << 15, 1 << 13

registers = static(u64)  # where those of the first are seen; 0: not mapped yet
further = static(u64)  # and those of the one that was asked for last among the others
further_lines = static(u32)  # its first line


@metal
def write(base: u64, register: u32, value: u32) -> None:
    """Write a register."""
    unsafe.store(u32, base + SELECT, register, volatile=True)
    unsafe.store(u32, base + WINDOW, value, volatile=True)


@metal
def silence_pic() -> None:
    """Mask all lines of the 8259s, which are on in the state firmware leaves."""
    out8(0x21, 0xFF)
    out8(0xA1, 0xFF)


@metal
def controller(line: u32) -> tuple[u64, u32]:
    """Where the registers of a line's controller are seen, and the controller's first line; 0 if there is none."""
    global registers, further, further_lines
    if line < LINES:
        if registers == 0:
            registers = kernel_map_device(IOAPIC, 0x20)
        return registers, 0
    address, first = madt_controller(find_table(MADT), line)
    if address == 0:
        return 0, 0
    if further == 0 or further_lines != first:
        further = kernel_map_device(address, 0x20)
        further_lines = first
    return further, first


@metal
def route_interrupt(line: u32, level: bool, low: bool, function: Fn[[u64], None], argument: u64) -> bool:
    """Have `function(argument)` called on the first processor, in interrupt context, when a line interrupts.

    `level`: the line is level-triggered, else by an edge; `low`: it is active when low. False: there is no such line,
    or no vector is left. To be called at boot.
    """
    base, first = controller(line)
    vector = FIRST_INTERRUPT + line if line < LINES else take_vector()
    if base == 0 or vector == 0:
        return False
    register_interrupt(vector, function, argument)
    flags: u32 = LEVEL if level else 0
    if low:
        flags |= LOW
    write(base, REDIRECTION + (line - first) * 2 + 1, own_apic_id() << 24)
    write(base, REDIRECTION + (line - first) * 2, vector | flags)
    return True
