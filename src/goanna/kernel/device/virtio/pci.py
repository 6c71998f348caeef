"""virtio over PCI, the modern and the legacy form (virtio 1.2, 4.1).

Interrupts are one message for all queues, or several where a driver wants to divide them among processors, and one for
changes of the configuration where it wants to hear.
Without messages (MSI-X) a device is not used: every hypervisor has them.
"""

from goanna.kernel.arch import PAGE_SIZE, physical
from goanna.kernel.device.pci import CAPABILITY_VENDOR, Function, bar_address, each_capability, enable, route_message
from goanna.kernel.device.registers import IN_MEMORY, RegisterSpace
from goanna.kernel.device.virtio.device import Device, Transport
from goanna.kernel.device.virtio.queue import Queue
from goanna.metal import Fn, Ptr, constant, metal, u8, u16, u32, u64

__all__ = ["FURTHER_MESSAGES", "connect_change_messages", "connect_messages", "find_pci"]

VENDOR = 0x1AF4
LEGACY_FIRST, MODERN_FIRST, MODERN_LAST = 0x1000, 0x1040, 0x107F
COMMON, NOTIFY, CAUSE, CONFIGURATION = 1, 2, 3, 4  # cfg_type of a capability

# Modern: the common configuration.
DEVICE_FEATURES_SELECT, DEVICE_FEATURES, DRIVER_FEATURES_SELECT, DRIVER_FEATURES = 0x00, 0x04, 0x08, 0x0C
CONFIGURATION_VECTOR, STATUS, GENERATION = 0x10, 0x14, 0x15
QUEUE_SELECT, QUEUE_SIZE, QUEUE_VECTOR, QUEUE_ENABLE, QUEUE_NOTIFY = 0x16, 0x18, 0x1A, 0x1C, 0x1E
QUEUE_DESCRIPTORS, QUEUE_AVAILABLE, QUEUE_USED = 0x20, 0x28, 0x30

# Legacy: all registers, in ports.
OLD_DEVICE_FEATURES, OLD_DRIVER_FEATURES, OLD_QUEUE_PAGE, OLD_QUEUE_SIZE, OLD_QUEUE_SELECT = 0, 4, 8, 12, 14
OLD_NOTIFY, OLD_STATUS, OLD_CAUSE, OLD_CONFIGURATION_VECTOR, OLD_QUEUE_VECTOR = 16, 18, 19, 20, 22
OLD_CONFIGURATION, OLD_CONFIGURATION_WITH_MESSAGES = 20, 24

MESSAGE, CHANGE_MESSAGE = 0, 1  # entries of the MSI-X table: of queues, of changes of the configuration
FURTHER_MESSAGES = 2  # the first of those for queues that have one of their own
NO_VECTOR = 0xFFFF


@metal
def device_features(device: Device, half: u32) -> u32:
    """32 of the bits that the device offers."""
    space: RegisterSpace = device.space
    space.write32(device.registers + DEVICE_FEATURES_SELECT, half)
    return space.read32(device.registers + DEVICE_FEATURES)


@metal
def driver_features(device: Device, half: u32, bits: u32) -> None:
    """32 of the bits that the driver takes."""
    space: RegisterSpace = device.space
    space.write32(device.registers + DRIVER_FEATURES_SELECT, half)
    space.write32(device.registers + DRIVER_FEATURES, bits)


@metal
def status(device: Device) -> u8:
    """How far driver and device are."""
    space: RegisterSpace = device.space
    return space.read8(device.registers + STATUS)


@metal
def set_status(device: Device, value: u8) -> None:
    """Tell the device how far the driver is."""
    space: RegisterSpace = device.space
    space.write8(device.registers + STATUS, value)


@metal
def largest_queue(device: Device, index: u16) -> u32:
    """Descriptors that a queue may have."""
    space: RegisterSpace = device.space
    space.write16(device.registers + QUEUE_SELECT, index)
    return u32(space.read16(device.registers + QUEUE_SIZE))


@metal
def write_address(device: Device, register: u64, address: u64) -> None:
    """A physical address, in two halves."""
    space: RegisterSpace = device.space
    at = physical(address)
    space.write32(device.registers + register, u32.wrap(at))
    space.write32(device.registers + register + 4, u32(at >> 32))


@metal
def connect_queue(device: Device, queue: Queue) -> bool:
    """Tell the device where a queue lies. False: it has no resources for its interrupt."""
    space: RegisterSpace = device.space
    base = device.registers
    space.write16(base + QUEUE_SELECT, queue.index)
    space.write16(base + QUEUE_SIZE, queue.size)
    write_address(device, QUEUE_DESCRIPTORS, queue.descriptors)
    write_address(device, QUEUE_AVAILABLE, queue.available)
    write_address(device, QUEUE_USED, queue.used)
    step = u64(device.notification_step)
    queue.notification = device.notifications + u64(space.read16(base + QUEUE_NOTIFY)) * step
    if device.messages:
        space.write16(base + QUEUE_VECTOR, queue.message)
        if space.read16(base + QUEUE_VECTOR) == NO_VECTOR:
            return False
    if device.change_messages:
        space.write16(base + CONFIGURATION_VECTOR, CHANGE_MESSAGE)
    space.write16(base + QUEUE_ENABLE, 1)
    return True


@metal
def notify(device: Device, queue: Queue) -> None:
    """There is something new in a queue."""
    space: RegisterSpace = device.space
    space.write16(queue.notification, queue.index)


@metal
def interrupt_cause(device: Device) -> u32:
    """Read and acknowledge why the device interrupts."""
    space: RegisterSpace = device.space
    return u32(space.read8(device.cause))


@metal
def generation(device: Device) -> u32:
    """Which configuration this is."""
    space: RegisterSpace = device.space
    return u32(space.read8(device.registers + GENERATION))


MODERN = constant(
    Transport,
    {
        "device_features": device_features,
        "driver_features": driver_features,
        "status": status,
        "set_status": set_status,
        "largest_queue": largest_queue,
        "connect_queue": connect_queue,
        "notify": notify,
        "interrupt_cause": interrupt_cause,
        "generation": generation,
    },
)


@metal
def old_device_features(device: Device, half: u32) -> u32:
    """The bits that the device offers: there are 32."""
    space: RegisterSpace = device.space
    return space.read32(device.registers + OLD_DEVICE_FEATURES)


@metal
def old_driver_features(device: Device, half: u32, bits: u32) -> None:
    """The bits that the driver takes."""
    space: RegisterSpace = device.space
    space.write32(device.registers + OLD_DRIVER_FEATURES, bits)


@metal
def old_status(device: Device) -> u8:
    """How far driver and device are."""
    space: RegisterSpace = device.space
    return space.read8(device.registers + OLD_STATUS)


@metal
def old_set_status(device: Device, value: u8) -> None:
    """Tell the device how far the driver is."""
    space: RegisterSpace = device.space
    space.write8(device.registers + OLD_STATUS, value)


@metal
def old_largest_queue(device: Device, index: u16) -> u32:
    """Descriptors that a queue has; it can't be made smaller."""
    space: RegisterSpace = device.space
    space.write16(device.registers + OLD_QUEUE_SELECT, index)
    return u32(space.read16(device.registers + OLD_QUEUE_SIZE))


@metal
def old_connect_queue(device: Device, queue: Queue) -> bool:
    """Tell the device where a queue lies. False: out of its reach, or it has no resources for its interrupt."""
    space: RegisterSpace = device.space
    page = physical(queue.descriptors) // PAGE_SIZE
    if page > 0xFFFF_FFFF:
        return False
    space.write16(device.registers + OLD_QUEUE_SELECT, queue.index)
    if device.messages:
        space.write16(device.registers + OLD_QUEUE_VECTOR, queue.message)
        if space.read16(device.registers + OLD_QUEUE_VECTOR) == NO_VECTOR:
            return False
    if device.change_messages:
        space.write16(device.registers + OLD_CONFIGURATION_VECTOR, CHANGE_MESSAGE)
    space.write32(device.registers + OLD_QUEUE_PAGE, u32(page))
    return True


@metal
def old_notify(device: Device, queue: Queue) -> None:
    """There is something new in a queue."""
    space: RegisterSpace = device.space
    space.write16(device.registers + OLD_NOTIFY, queue.index)


@metal
def old_generation(device: Device) -> u32:
    """Legacy devices don't say."""
    return 0


LEGACY = constant(
    Transport,
    {
        "device_features": old_device_features,
        "driver_features": old_driver_features,
        "status": old_status,
        "set_status": old_set_status,
        "largest_queue": old_largest_queue,
        "connect_queue": old_connect_queue,
        "notify": old_notify,
        "interrupt_cause": interrupt_cause,
        "generation": old_generation,
    },
)


@metal
def find_part(function: Function, kind: u8, map_registers: Fn[[u64, u64], u64]) -> tuple[u64, u32]:
    """Where a structure that a capability points to is seen (0: nowhere), and the capability's last word."""
    at = each_capability(function, 0, CAPABILITY_VENDOR)
    while at != 0:
        if function.read8(u32(at) + 3) == kind:
            base, ports = bar_address(function, u32(function.read8(u32(at) + 4)))
            length = function.read(u32(at) + 12)
            if base != 0 and not ports and length != 0:
                start = base + u64(function.read(u32(at) + 8))
                return map_registers(start, u64(length)), function.read(u32(at) + 16)
        at = each_capability(function, at, CAPABILITY_VENDOR)
    return 0, 0


@metal
def find_modern(device: Device, function: Function, map_registers: Fn[[u64, u64], u64]) -> bool:
    """The modern form's structures. False: it isn't of that form."""
    device.registers, _ = find_part(function, COMMON, map_registers)
    device.notifications, device.notification_step = find_part(function, NOTIFY, map_registers)
    device.cause, _ = find_part(function, CAUSE, map_registers)
    device.configuration, _ = find_part(function, CONFIGURATION, map_registers)
    device.transport = MODERN
    device.space = IN_MEMORY
    return device.registers != 0 and device.notifications != 0 and device.cause != 0


@metal
def find_pci(
    device: Device, function: Function, ports: Ptr[RegisterSpace], map_registers: Fn[[u64, u64], u64]
) -> bool:
    """Look whether a PCI function is a virtio device, and how it is reached: in modern form if it has that, else by
    `ports` (None: this machine has none)."""
    if function.vendor != VENDOR or not LEGACY_FIRST <= function.device <= MODERN_LAST:
        return False
    device.kind = u32(function.device) - MODERN_FIRST if function.device >= MODERN_FIRST else u32(function.subsystem)
    enable(function)
    if find_modern(device, function, map_registers):
        return True
    base, in_ports = bar_address(function, 0)
    if function.device >= MODERN_FIRST or not in_ports or base == 0 or ports is None:
        return False
    device.legacy = True
    device.transport = LEGACY
    device.space = ports
    device.registers = base
    device.cause = base + OLD_CAUSE
    device.configuration = base + OLD_CONFIGURATION
    return True


@metal
def connect_messages(
    device: Device, function: Function, map_registers: Fn[[u64, u64], u64], address: u64, data: u32
) -> bool:
    """Have the device interrupt by writing `data` to `address`; before its driver starts. False: it can't."""
    if not route_message(function, map_registers, MESSAGE, address, data):
        return False
    device.messages = True
    if device.legacy:
        device.configuration = device.registers + OLD_CONFIGURATION_WITH_MESSAGES
    return True


@metal
def connect_change_messages(
    device: Device, function: Function, map_registers: Fn[[u64, u64], u64], address: u64, data: u32
) -> None:
    """Have the device also write `data` to `address` when its configuration changes, if it can; before its driver
    starts, and after connect_messages."""
    device.change_messages = route_message(function, map_registers, CHANGE_MESSAGE, address, data)
