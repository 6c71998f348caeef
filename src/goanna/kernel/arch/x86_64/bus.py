"""How devices of a PC are found and reached: PCI by its two ports, messages as interrupts, virtio's own registers."""

from goanna.kernel.device.acpi import FADT, definition_block, mmio_device
from goanna.kernel.device.pci import Configuration
from goanna.kernel.device.registers import RegisterSpace
from goanna.metal import Fn, Slice, constant, metal, u8, u16, u32, u64, wrapping

from .firmware import find_table, map_table
from .memory_map import command_line
from .port import in8, in16, in32, out8, out16, out32
from .processor import apic_ids
from .trap import register_interrupt, take_vector

__all__ = ["IN_PORTS", "PCI", "allocate_message", "each_mmio_device", "pci_present"]

PCI_ADDRESS, PCI_DATA = 0xCF8, 0xCFC
PCI_ENABLE = 1 << 31
MESSAGE_ADDRESS = 0xFEE0_0000  # of interrupt controller 0's messages (Intel SDM volume 3, 11.11)


@metal
def port_read8(port: u64) -> u8:
    """Read a byte."""
    return in8(u16(port))


@metal
def port_read16(port: u64) -> u16:
    """Read 16 bits."""
    return in16(u16(port))


@metal
def port_read32(port: u64) -> u32:
    """Read 32 bits."""
    return in32(u16(port))


@metal
def port_write8(port: u64, value: u8) -> None:
    """Write a byte."""
    out8(u16(port), value)


@metal
def port_write16(port: u64, value: u16) -> None:
    """Write 16 bits."""
    out16(u16(port), value)


@metal
def port_write32(port: u64, value: u32) -> None:
    """Write 32 bits."""
    out32(u16(port), value)


IN_PORTS = constant(
    RegisterSpace,
    {
        "read8": port_read8,
        "read16": port_read16,
        "read32": port_read32,
        "write8": port_write8,
        "write16": port_write16,
        "write32": port_write32,
    },
)


@metal
def pci_read(address: u32, offset: u32) -> u32:
    """Read 32 bits of a function's configuration. At boot, by one processor."""
    out32(PCI_ADDRESS, PCI_ENABLE | address | offset)
    return in32(PCI_DATA)


@metal
def pci_write(address: u32, offset: u32, value: u32) -> None:
    """Write 32 bits."""
    out32(PCI_ADDRESS, PCI_ENABLE | address | offset)
    out32(PCI_DATA, value)


PCI = constant(Configuration, {"read": pci_read, "write": pci_write})


@metal
def pci_present() -> bool:
    """Whether this machine has PCI."""
    out32(PCI_ADDRESS, PCI_ENABLE)
    return in32(PCI_ADDRESS) == PCI_ENABLE


@metal
def allocate_message(function: Fn[[u64], None], argument: u64, processor: u32) -> tuple[u64, u32]:
    """An address, and the number that a device writes there to have `function(argument)` called on a processor, which
    runs, in interrupt context. Address 0: none is left. At boot."""
    vector = take_vector()
    if vector == 0:
        return 0, 0
    register_interrupt(vector, function, argument)
    return MESSAGE_ADDRESS | wrapping(u64(apic_ids[u64(processor)] & 0xFF) << 12), vector


@metal
def number(text: Slice[u8], start: u64) -> tuple[u64, u64]:
    """A number as C writes it (decimal, or 0x), and where it ends; an end of `start`: there is none."""
    value: u64 = 0
    at = start
    base: u64 = 10
    if at + 2 < len(text) and text[at : at + 2] == b"0x":
        base = 16
        at += 2
    first = at
    while at < len(text) and at - first < 16:
        letter = text[at] | 0x20
        digit: u64 = 99
        if ord("0") <= text[at] <= ord("9"):
            digit = u64(text[at]) - ord("0")
        elif ord("a") <= letter <= ord("f"):
            digit = u64(letter) - ord("a") + 10
        if digit >= base:
            break
        value = wrapping(value * base + digit)
        at += 1
    return value, at if at > first else start


@metal
def named_device(word: Slice[u8]) -> tuple[u64, u32]:
    """What a word of the command line of the form `virtio_mmio.device=SIZE@ADDRESS:LINE` says (Linux
    Documentation/admin-guide/kernel-parameters.txt); address 0: it is another word, or makes no sense."""
    start = b"virtio_mmio.device="
    if len(word) <= len(start) or word[0 : len(start)] != start:
        return 0, 0
    at: u64 = len(start)
    while at < len(word) and word[at] != ord("@"):
        at += 1
    if at == len(word):
        return 0, 0
    address, end = number(word, at + 1)
    if end == at + 1 or end == len(word) or word[end] != ord(":"):
        return 0, 0
    line, last = number(word, end + 1)
    if last == end + 1 or line > 0xFFFF:
        return 0, 0
    return address, u32(line)


@metal
def each_mmio_device(found: Fn[[u64, u32], None]) -> None:
    """Call `found` with the physical address and the interrupt line (a rising edge) of each virtio device that the
    loader's command line or ACPI names."""
    line = command_line()
    position: u64 = 0
    any_named = False
    while position < len(line):
        end = position
        while end < len(line) and line[end] != ord(" "):
            end += 1
        address, interrupt = named_device(line[position:end])
        if address != 0:
            any_named = True
            found(address, interrupt)
        position = end + 1
    if any_named:
        return
    description = find_table(FADT)
    if len(description) == 0:
        return
    definitions = definition_block(description)
    if definitions == 0:
        return
    code = map_table(definitions)
    offset: u64 = 0
    while True:
        address, interrupt, offset = mmio_device(code, offset)
        if address == 0:
            return
        found(address, interrupt)
