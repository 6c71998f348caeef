"""Finds the machine's virtio devices, on PCI and behind registers in memory, and starts a driver for each one known."""

from goanna.kernel.arch import (
    IN_PORTS,
    PAGE_SIZE,
    PCI,
    allocate_message,
    each_mmio_device,
    kernel_map_device,
    pci_present,
    processor_count,
    route_interrupt,
)
from goanna.kernel.base import log
from goanna.kernel.base.text import Text
from goanna.kernel.boot.network import add_card, add_network, cards_interrupted, next_card, next_network
from goanna.kernel.boot.ports import console_device
from goanna.kernel.boot.settings import settings
from goanna.kernel.boot.shares import add_channel, next_channel
from goanna.kernel.device.control import log_line
from goanna.kernel.device.e1000 import REGISTERS_SIZE, Card, model_of
from goanna.kernel.device.e1000 import VENDOR as INTEL
from goanna.kernel.device.pci import (
    Function,
    bar_address,
    enable,
    find_functions,
    has_message,
    interrupt_line,
    route_message,
    route_only_message,
)
from goanna.kernel.device.registers import IN_MEMORY
from goanna.kernel.device.virtio.block import BLOCK_DEVICE, LONGEST_NAME, SECTOR, Disk, disk_interrupt
from goanna.kernel.device.virtio.console import CONSOLE_DEVICE, console_interrupt
from goanna.kernel.device.virtio.device import Device
from goanna.kernel.device.virtio.entropy import ENTROPY_DEVICE, EntropySource
from goanna.kernel.device.virtio.mmio import MMIO_SIZE, find_mmio
from goanna.kernel.device.virtio.net import (
    MOST_PAIRS,
    NETWORK_DEVICE,
    NetworkDevice,
    network_changed,
    network_interrupt,
    pair_interrupt,
)
from goanna.kernel.device.virtio.pci import FURTHER_MESSAGES, connect_change_messages, connect_messages, find_pci
from goanna.kernel.device.virtio.plan9 import PLAN9_DEVICE, channel_interrupt
from goanna.kernel.device.virtio.queue import Part
from goanna.kernel.file.drive import CLUSTER, Drive, use_drive
from goanna.kernel.random.pool import stir_bytes
from goanna.kernel.shared.boot import FLAG_PORTS, FLAG_VIRTIO_CONSOLE
from goanna.kernel.variant import NETWORK
from goanna.metal import Array, Fn, Ptr, Slice, copy, fill, i64, metal, sizeof, static, u8, u16, u32, u64, unsafe

__all__ = ["disk_drive", "find_disk", "start_devices"]

MAXIMUM_DISKS = 16
FRESH = 32  # random bytes taken from the host

disks = static(Array[Disk, MAXIMUM_DISKS])  # filled at boot, constant afterwards
disk_count = static(u64)
drives = static(Array[Drive, MAXIMUM_DISKS])  # of each disk, its pages
entropy_source = static(EntropySource)
lines = static(u32)  # of interrupts that network controllers share


@metal
def start_devices() -> None:
    """Find and start all devices. Once, at boot, by the first processor."""
    each_mmio_device(mmio_device)
    if pci_present():
        find_functions(PCI, pci_function)


@metal
def driver_state(kind: u32) -> Ptr[Device]:
    """Where the driver for a kind of device keeps the next one; None: there is no driver, or it has enough."""
    if kind == BLOCK_DEVICE and disk_count < MAXIMUM_DISKS:
        return disks[disk_count].device
    if kind == ENTROPY_DEVICE and entropy_source.device.transport is None:
        return entropy_source.device
    if kind == PLAN9_DEVICE and next_channel() is not None:
        return next_channel().device
    if NETWORK:  # noqa: SIM102  (alone, so that the other branch is not compiled)
        if kind == NETWORK_DEVICE and next_network() is not None:
            return next_network().device
    if kind == CONSOLE_DEVICE and console_wanted() and console_device.device.transport is None:
        return console_device.device
    return None


@metal
def console_wanted() -> bool:
    """Whether a virtio console is to be used if there is one."""
    return settings.flags & (FLAG_PORTS | FLAG_VIRTIO_CONSOLE) != 0


@metal
def interrupt_of(kind: u32) -> tuple[Fn[[u64], None], u64]:
    """What the next device of a kind calls when it interrupts, and with what; None: it is never to."""
    if kind == BLOCK_DEVICE:
        return disk_interrupt, unsafe.address(disks[disk_count])
    if kind == CONSOLE_DEVICE:
        return console_interrupt, unsafe.address(console_device)
    if kind == PLAN9_DEVICE:
        return channel_interrupt, unsafe.address(next_channel())
    if NETWORK:  # noqa: SIM102  (alone, so that the other branch is not compiled)
        if kind == NETWORK_DEVICE:
            return network_interrupt, unsafe.address(next_network())
    return None, 0


@metal
def mmio_device(address: u64, line: u32) -> None:
    """A device behind registers in memory."""
    found = Device()
    if not find_mmio(found, IN_MEMORY, kernel_map_device(address, MMIO_SIZE)):
        return
    place = driver_state(found.kind)
    if place is None:
        return
    copy(place, found)
    function, argument = interrupt_of(found.kind)
    if function is None or route_interrupt(line, False, False, function, argument):
        start(found.kind)


@metal
def pci_function(function: Function) -> None:
    """A function of a PCI device."""
    found = Device()
    if not find_pci(found, function, IN_PORTS, kernel_map_device):
        if NETWORK:
            card_function(function)
        return
    place = driver_state(found.kind)
    if place is None:
        return
    copy(place, found)
    handler, argument = interrupt_of(found.kind)
    if handler is not None:
        address, data = allocate_message(handler, argument, 0)
        if address == 0 or not connect_messages(place, function, kernel_map_device, address, data):
            return
    if NETWORK:  # noqa: SIM102  (alone, so that the other branch is not compiled)
        if found.kind == NETWORK_DEVICE:
            address, data = allocate_message(network_changed, argument, 0)
            if address != 0:
                connect_change_messages(place, function, kernel_map_device, address, data)
            divide_messages(function)
    start(found.kind)


@metal
def card_function(function: Function) -> None:
    """A function of a PCI device that may be one of Intel's network controllers."""
    global lines
    model = model_of(function.device)
    base, in_ports = bar_address(function, 0)
    if function.vendor != INTEL or model is None or base == 0 or in_ports:
        return
    card = next_card()
    if card is None:
        return
    enable(function)
    card.space = IN_MEMORY
    card.registers = kernel_map_device(base, REGISTERS_SIZE)
    card.model = model
    ready = False
    if model.messages:
        address, data = allocate_message(card_interrupt, unsafe.address(card), 0)
        ready = address != 0 and route_only_message(function, address, data)
    else:
        line = interrupt_line(function)
        ready = line < 32 and (lines >> line & 1 != 0 or route_interrupt(line, True, False, cards_interrupted, 0))
        if ready:
            lines |= u32(1) << line
    if not ready or not add_card():
        card.registers = 0
        log_line(b"goanna: a network device can't be used")


@metal
def card_interrupt(argument: u64) -> None:
    """The message of the card at address `argument`."""
    unsafe.at(Card, argument).interrupted()


@metal
def divide_messages(function: Function) -> None:
    """Have the further queues of a network device interrupt a processor each, as far as it has messages for that."""
    network: NetworkDevice = next_network()
    for index in range(u32(1), min(processor_count(), u32(MOST_PAIRS))):
        pair = network.pairs[u64(index)]
        number = index + (FURTHER_MESSAGES - 1)
        if not has_message(function, number):
            return
        address, data = allocate_message(pair_interrupt, unsafe.address(pair), index)
        if address == 0 or not route_message(function, kernel_map_device, number, address, data):
            return
        pair.input.message = u16(number)
        pair.output.message = u16(number)


@metal
def start(kind: u32) -> None:
    """Start the driver of the device that was found."""
    global disk_count
    if NETWORK:  # noqa: SIM102  (alone, so that the other branch is not compiled)
        if kind == NETWORK_DEVICE:
            if not add_network():
                log_line(b"goanna: a network device can't be used")
            return
    if kind == BLOCK_DEVICE:
        disk = disks[disk_count]
        error = disk.start()
        if error == 0:
            disk_count += 1
            describe(disk)
        elif log.verbose:
            log_line(b"goanna: a disk can't be started")
    elif kind == PLAN9_DEVICE:
        if not add_channel() and log.verbose:
            log_line(b"goanna: a shared folder's device can't be started")
    elif kind == CONSOLE_DEVICE:
        if not console_device.start(settings.flags & FLAG_PORTS != 0):
            log_line(b"goanna: the virtio console can't be used, so the serial ports are")
    elif entropy_source.start():
        words = Array[u8, FRESH]()
        count = entropy_source.read(words)
        stir_bytes(words[0:count])
        fill(words, 0)
        if log.verbose and count != 0:
            log_line(b"goanna: random bytes come from the host")


@metal
def describe(disk: Disk) -> None:
    """Say what was found, if asked to."""
    if not log.verbose:
        return
    buffer = Array[u8, 120]()
    text = Text(window=buffer[:])
    text.put(b"goanna: disk ")
    text.put(name_of(disk))
    text.put(b", ")
    text.number(disk.size)
    text.put(b" bytes")
    if disk.read_only:
        text.put(b", read-only")
    log_line(buffer[0 : text.position])


@metal
def name_of(disk: Disk) -> Slice[u8]:
    """What the runner called a disk; empty if nothing."""
    length: u64 = 0
    while length < LONGEST_NAME and disk.name[length] != 0:
        length += 1
    return disk.name[0:length]


@metal
def find_disk(name: Slice[u8]) -> Ptr[Disk]:
    """The disk that the runner called `name`; None if there is none."""
    for index in range(disk_count):
        if name_of(disks[index]) == name:
            return disks[index]
    return None


@metal
def disk_drive(disk: Disk) -> Drive:
    """A disk by the page."""
    drive = drives[(unsafe.address(disk) - unsafe.address(disks)) // sizeof(Disk)]
    drive.object = unsafe.address(disk)
    drive.size = disk.size
    drive.read = read_pages
    use_drive(drive)
    return drive


@metal
def read_pages(object: u64, first: u64, into: Slice[u64]) -> i64:
    """Drive.read, of the Disk at address `object`."""
    disk = unsafe.at(Disk, object)
    parts = Array[Part, CLUSTER]()
    left = min(disk.size - first * PAGE_SIZE, len(into) * PAGE_SIZE)
    at: u64 = 0
    while at < len(into) and left != 0:
        count: u64 = 0
        sector = (first + at) * (PAGE_SIZE // SECTOR)
        while at < len(into) and left != 0 and count < u64(disk.parts_limit):
            parts[count].address = into[at]
            parts[count].length = u32(min(left, PAGE_SIZE))
            left -= u64(parts[count].length)
            count += 1
            at += 1
        error = disk.read(sector, parts[0:count])
        if error < 0:
            return error
    return 0
