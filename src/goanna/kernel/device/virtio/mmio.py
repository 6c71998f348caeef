"""virtio over memory-mapped registers, the modern and the legacy form (virtio 1.2, 4.2.2 and 4.2.4)."""

from goanna.kernel.arch import PAGE_SIZE, physical
from goanna.kernel.device.registers import RegisterSpace
from goanna.kernel.device.virtio.device import Device, Transport
from goanna.kernel.device.virtio.queue import Queue
from goanna.metal import constant, metal, u8, u16, u32, u64

__all__ = ["MMIO_SIZE", "find_mmio"]

MAGIC = 0x74726976
MMIO_SIZE = 0x200  # bytes of registers that are looked at

MAGIC_VALUE, VERSION, DEVICE_ID = 0x000, 0x004, 0x008
DEVICE_FEATURES, DEVICE_FEATURES_SELECT = 0x010, 0x014
DRIVER_FEATURES, DRIVER_FEATURES_SELECT = 0x020, 0x024
GUEST_PAGE_SIZE = 0x028  # legacy
QUEUE_SELECT, QUEUE_LARGEST, QUEUE_SIZE = 0x030, 0x034, 0x038
QUEUE_ALIGN, QUEUE_PAGE = 0x03C, 0x040  # legacy
QUEUE_READY, QUEUE_NOTIFY = 0x044, 0x050
INTERRUPT_STATUS, INTERRUPT_ACKNOWLEDGE = 0x060, 0x064
STATUS = 0x070
QUEUE_DESCRIPTORS, QUEUE_AVAILABLE, QUEUE_USED = 0x080, 0x090, 0x0A0
GENERATION, CONFIGURATION = 0x0FC, 0x100


@metal
def read(device: Device, register: u64) -> u32:
    """Read a register."""
    space: RegisterSpace = device.space
    return space.read32(device.registers + register)


@metal
def write(device: Device, register: u64, value: u32) -> None:
    """Write a register."""
    space: RegisterSpace = device.space
    space.write32(device.registers + register, value)


@metal
def device_features(device: Device, half: u32) -> u32:
    """32 of the bits that the device offers."""
    write(device, DEVICE_FEATURES_SELECT, half)
    return read(device, DEVICE_FEATURES)


@metal
def driver_features(device: Device, half: u32, bits: u32) -> None:
    """32 of the bits that the driver takes."""
    write(device, DRIVER_FEATURES_SELECT, half)
    write(device, DRIVER_FEATURES, bits)


@metal
def status(device: Device) -> u8:
    """How far driver and device are."""
    return u8.wrap(read(device, STATUS))


@metal
def set_status(device: Device, value: u8) -> None:
    """Tell the device how far the driver is. The page size of a legacy device is set after each reset."""
    write(device, STATUS, u32(value))
    if value == 0 and device.legacy:
        write(device, GUEST_PAGE_SIZE, PAGE_SIZE)


@metal
def largest_queue(device: Device, index: u16) -> u32:
    """Descriptors that a queue may have."""
    write(device, QUEUE_SELECT, u32(index))
    return read(device, QUEUE_LARGEST)


@metal
def write_address(device: Device, register: u64, address: u64) -> None:
    """A physical address, into two registers."""
    at = physical(address)
    write(device, register, u32.wrap(at))
    write(device, register + 4, u32(at >> 32))


@metal
def connect_queue(device: Device, queue: Queue) -> bool:
    """Tell the device where a queue lies. False: out of a legacy device's reach."""
    write(device, QUEUE_SELECT, u32(queue.index))
    write(device, QUEUE_SIZE, u32(queue.size))
    if device.legacy:
        page = physical(queue.descriptors) // PAGE_SIZE
        if page > 0xFFFF_FFFF:
            return False
        write(device, QUEUE_ALIGN, PAGE_SIZE)
        write(device, QUEUE_PAGE, u32(page))
        return True
    write_address(device, QUEUE_DESCRIPTORS, queue.descriptors)
    write_address(device, QUEUE_AVAILABLE, queue.available)
    write_address(device, QUEUE_USED, queue.used)
    write(device, QUEUE_READY, 1)
    return True


@metal
def notify(device: Device, queue: Queue) -> None:
    """There is something new in a queue."""
    write(device, QUEUE_NOTIFY, u32(queue.index))


@metal
def interrupt_cause(device: Device) -> u32:
    """Read and acknowledge why the device interrupts."""
    cause = read(device, INTERRUPT_STATUS)
    if cause != 0:
        write(device, INTERRUPT_ACKNOWLEDGE, cause)
    return cause


@metal
def generation(device: Device) -> u32:
    """Which configuration this is; legacy devices don't say."""
    return 0 if device.legacy else read(device, GENERATION)


MMIO = constant(
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
def find_mmio(device: Device, space: RegisterSpace, registers: u64) -> bool:
    """Look for a device behind MMIO_SIZE bytes of registers. False: there is none, or of a version not known."""
    device.transport = MMIO
    device.space = space
    device.registers = registers
    device.configuration = registers + CONFIGURATION
    if read(device, MAGIC_VALUE) != MAGIC:
        return False
    version = read(device, VERSION)
    device.legacy = version == 1
    device.kind = read(device, DEVICE_ID)
    return version in (1, 2) and device.kind != 0
