"""What PC firmware leaves in memory: the ACPI tables, the MP table; and QEMU's configuration ports."""

from goanna.kernel.device.acpi import (
    FADT,
    HEADER_SIZE,
    RSDP_SIZE,
    PowerOff,
    checksum_good,
    power_registers,
    root_count,
    root_entry,
    rsdp_root,
    signature,
    sleep_type,
    table_length,
)
from goanna.kernel.device.fw_cfg import FirmwareConfiguration
from goanna.metal import Slice, metal, static, u8, u16, u32, u64, unsafe

from .kernel_map import kernel_map_firmware
from .memory_map import loader_rsdp
from .port import in_bytes, out16

__all__ = ["bios_area", "configuration", "find_power_off", "find_table", "start_configuration"]

CONFIGURATION_SELECT, CONFIGURATION_DATA = 0x510, 0x511
BIOS_AREA, BIOS_SIZE = 0xE_0000, 0x2_0000

configuration = static(FirmwareConfiguration)
configured = static(bool)  # the configuration device is there
bios_address = static(u64)  # where the BIOS area is seen; 0: not mapped yet
root_address = static(u64)  # where the root table is seen; 0: not looked for yet
root_length = static(u64)
root_wide = static(bool)
power = static(PowerOff)
sleep_a = static(u32)
sleep_b = static(u32)
can_sleep = static(bool)


@metal
def select_item(item: u16) -> None:
    """Choose an item of the configuration."""
    out16(CONFIGURATION_SELECT, item)


@metal
def read_item(target: Slice[u8]) -> None:
    """Read on in it."""
    in_bytes(CONFIGURATION_DATA, target)


@metal
def start_configuration() -> bool:
    """Look for QEMU's configuration device. Once."""
    global configured
    configuration.select = select_item
    configuration.read = read_item
    configured = configuration.present()
    return configured


@metal
def bios_area() -> Slice[u8]:
    """The 128 KiB below 1 MiB, where firmware leaves its signposts."""
    global bios_address
    if bios_address == 0:
        bios_address = kernel_map_firmware(BIOS_AREA, BIOS_SIZE)
    return unsafe.slice(u8, bios_address, BIOS_SIZE)


@metal
def map_table(address: u64) -> Slice[u8]:
    """A table by its physical address, checksum-checked; empty if it is none."""
    header = unsafe.slice(u8, kernel_map_firmware(address, HEADER_SIZE), HEADER_SIZE)
    length = table_length(header)
    if length == 0:
        return header[0:0]
    table = unsafe.slice(u8, kernel_map_firmware(address, length), length)
    return table if checksum_good(table) else header[0:0]


@metal
def find_root() -> Slice[u8]:
    """The root table, from the loader's word or the BIOS area; empty if there is no ACPI."""
    global root_address, root_length, root_wide
    if root_address == 0:
        root_address = 1
        address: u64 = 0
        if loader_rsdp != 0:
            rsdp = unsafe.slice(u8, kernel_map_firmware(loader_rsdp, RSDP_SIZE), RSDP_SIZE)
            address, root_wide = rsdp_root(rsdp)
        else:
            area = bios_area()
            offset: u64 = 0
            while address == 0 and offset + RSDP_SIZE <= len(area):
                if area[offset] == 0x52:  # R
                    address, root_wide = rsdp_root(area[offset : offset + RSDP_SIZE])
                offset += 16
        if address != 0:
            table = map_table(address)
            root_address, root_length = unsafe.address(table), u64(len(table))
    return unsafe.slice(u8, root_address, root_length)


@metal
def find_table(wanted: u32) -> Slice[u8]:
    """The first ACPI table with a signature (as a little-endian number); empty if there is none."""
    root = find_root()
    for index in range(u64(0), root_count(root, root_wide)):
        address = root_entry(root, root_wide, index)
        if address != 0:
            header = unsafe.slice(u8, kernel_map_firmware(address, HEADER_SIZE), HEADER_SIZE)
            if signature(header) == wanted:
                return map_table(address)
    return root[0:0]


@metal
def find_power_off() -> bool:
    """Look up how the machine is switched off by ACPI. False: it can't be. May be called when the kernel has failed."""
    global sleep_a, sleep_b, can_sleep
    table = find_table(FADT)
    if len(table) == 0:
        return False
    power_registers(table, power)
    if power.dsdt == 0:
        return False
    sleep_a, sleep_b, can_sleep = sleep_type(map_table(power.dsdt))
    return can_sleep
