"""PCI configuration space: which devices there are, where their registers lie, how they interrupt (PCI Local Bus 3.0).

The addresses were given out by firmware. Interrupts go by MSI-X (6.8.2), so that nothing needs to be known of how the
board joins lines.
"""

from goanna.metal import Fn, Ptr, metal, struct, u8, u16, u32, u64, unsafe, wrapping

__all__ = [
    "CAPABILITY_MSIX",
    "CAPABILITY_VENDOR",
    "Configuration",
    "Function",
    "bar_address",
    "each_capability",
    "enable",
    "find_functions",
    "has_message",
    "interrupt_line",
    "route_message",
    "route_only_message",
]

IDENTITY, COMMAND, CLASS, HEADER_TYPE, BARS, SUBSYSTEM, CAPABILITIES = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x2C, 0x34
SECONDARY_BUS = 0x18  # of a bridge
LINE = 0x3C
HAS_CAPABILITIES = 1 << 20  # of the status, which is COMMAND's upper half
PORTS_ON, MEMORY_ON, MASTER_ON, LINES_OFF = 1, 2, 4, 1 << 10
MULTIPLE_FUNCTIONS, BRIDGE = 0x80, 0x01
CAPABILITY_MSI, CAPABILITY_MSIX, CAPABILITY_VENDOR = 0x05, 0x11, 0x09
MSI_ENABLE, MSI_LONG = 1 << 16, 1 << 23
MSIX_ENABLE, MSIX_MASK_ALL = 1 << 31, 1 << 30
LAST_MESSAGE = 0x7FF  # of the capability's upper half: the number of the last entry
MAXIMUM_CAPABILITIES = 48  # of 4 bytes each fit; more are a loop
MAXIMUM_BUSES = 256
NOBODY = 0xFFFF_FFFF


@struct
class Configuration:
    """How configuration space is reached. The address: bus in bits 16 to 23, device 11 to 15, function 8 to 10."""

    read: Fn[[u32, u32], u32]  # address, offset of a 32-bit register
    write: Fn[[u32, u32, u32], None]


@struct
class Function:
    """A function of a device."""

    space: Ptr[Configuration]
    address: u32
    vendor: u16
    device: u16
    subsystem: u16

    def read(self, offset: u32) -> u32:
        """Read 32 bits of its configuration."""
        space: Configuration = self.space
        return space.read(self.address, offset & ~u32(3))

    def read16(self, offset: u32) -> u16:
        """Read 16 bits."""
        return u16.wrap(self.read(offset) >> ((offset & 2) * 8))

    def read8(self, offset: u32) -> u8:
        """Read a byte."""
        return u8.wrap(self.read(offset) >> ((offset & 3) * 8))

    def write(self, offset: u32, value: u32) -> None:
        """Write 32 bits."""
        space: Configuration = self.space
        space.write(self.address, offset, value)


@metal
def find_functions(space: Configuration, found: Fn[[Function], None]) -> None:
    """Call `found` for each function of each device, from bus 0 on through all bridges."""
    search_bus(space, 0, found, 0)


@metal
def search_bus(space: Configuration, bus: u32, found: Fn[[Function], None], depth: u32) -> None:
    """One bus and what is behind its bridges."""
    for device in range(u32(0), u32(32)):
        address = bus << 16 | device << 11
        if space.read(address, IDENTITY) == NOBODY:
            continue
        last: u32 = 8 if space.read(address, HEADER_TYPE) >> 16 & MULTIPLE_FUNCTIONS != 0 else 1
        for number in range(u32(0), last):
            search_function(space, address | number << 8, found, depth)


@metal
def search_function(space: Configuration, address: u32, found: Fn[[Function], None], depth: u32) -> None:
    """One function, if it is there."""
    identity = space.read(address, IDENTITY)
    if identity == NOBODY:
        return
    if space.read(address, HEADER_TYPE) >> 16 & 0x7F == BRIDGE:
        behind = space.read(address, SECONDARY_BUS) >> 8 & 0xFF
        if behind > address >> 16 and depth < 8:
            search_bus(space, behind, found, depth + 1)
        return
    function = Function(space=space, address=address)
    function.vendor = u16.wrap(identity)
    function.device = u16(identity >> 16)
    function.subsystem = u16(space.read(address, SUBSYSTEM) >> 16)
    found(function)


@metal
def each_capability(function: Function, after: u8, wanted: u8) -> u8:
    """The offset of the next capability of a kind behind the one at `after` (0: from the start); 0 if there is none."""
    if function.read(COMMAND) & HAS_CAPABILITIES == 0:
        return 0
    at = function.read8(CAPABILITIES) if after == 0 else function.read8(u32(after) + 1)
    for _ in range(MAXIMUM_CAPABILITIES):
        at = at & 0xFC
        if at < 0x40:
            break
        if function.read8(u32(at)) == wanted:
            return at
        at = function.read8(u32(at) + 1)
    return 0


@metal
def bar_address(function: Function, number: u32) -> tuple[u64, bool]:
    """Where a base address register (0 to 5) points, and whether to ports; 0 if nowhere."""
    if number > 5:
        return 0, False
    low = function.read(BARS + number * 4)
    if low & 1 != 0:
        return u64(low & ~u32(3)), True
    address = u64(low & ~u32(15))
    if low & 6 == 4 and number < 5:
        address |= wrapping(u64(function.read(BARS + number * 4 + 4)) << 32)
    return address, False


@metal
def enable(function: Function) -> None:
    """Let it answer at its addresses and reach memory itself, without interrupt lines."""
    command = function.read(COMMAND) & 0xFFFF
    function.write(COMMAND, command | PORTS_ON | MEMORY_ON | MASTER_ON | LINES_OFF)


@metal
def has_message(function: Function, number: u32) -> bool:
    """Whether the function's MSI-X table has an entry."""
    capability = u32(each_capability(function, 0, CAPABILITY_MSIX))
    return capability != 0 and function.read(capability) >> 16 & LAST_MESSAGE >= number


@metal
def route_message(function: Function, map_registers: Fn[[u64, u64], u64], number: u32, address: u64, data: u32) -> bool:
    """Have an entry of the function's MSI-X table write `data` to `address` when it interrupts. False: it has none."""
    if not has_message(function, number):
        return False
    capability = u32(each_capability(function, 0, CAPABILITY_MSIX))
    where = function.read(capability + 4)
    base, ports = bar_address(function, where & 7)
    if base == 0 or ports:
        return False
    entry = map_registers(base + u64(where & ~u32(7)) + u64(number) * 16, 16)
    function.write(capability, function.read(capability) | MSIX_ENABLE | MSIX_MASK_ALL)
    unsafe.store(u32, entry, u32.wrap(address), volatile=True)
    unsafe.store(u32, entry + 4, u32(address >> 32), volatile=True)
    unsafe.store(u32, entry + 8, data, volatile=True)
    unsafe.store(u32, entry + 12, 0, volatile=True)
    function.write(capability, (function.read(capability) | MSIX_ENABLE) & ~u32(MSIX_MASK_ALL))
    return True


@metal
def route_only_message(function: Function, address: u64, data: u32) -> bool:
    """Have the function write `data` to `address` whenever it interrupts (MSI, 6.8.1). False: it can't."""
    capability = u32(each_capability(function, 0, CAPABILITY_MSI))
    if capability == 0:
        return False
    head = function.read(capability)
    function.write(capability + 4, u32.wrap(address))
    if head & MSI_LONG != 0:
        function.write(capability + 8, u32(address >> 32))
        function.write(capability + 12, data)
    else:
        function.write(capability + 8, data)
    function.write(capability, head | MSI_ENABLE)
    return True


@metal
def interrupt_line(function: Function) -> u32:
    """Let the function interrupt by its line, after `enable`; which line that is, as firmware says."""
    function.write(COMMAND, function.read(COMMAND) & 0xFFFF & ~u32(LINES_OFF))
    return u32(function.read8(LINE))
