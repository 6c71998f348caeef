"""A virtio device as its driver sees it on any bus: start, features, queues, configuration (virtio 1.2, 3.1).

A transport (mmio.py, pci.py) fills in a table of functions; what it keeps of its own lies in the Device.
"""

from goanna.kernel.device.registers import RegisterSpace
from goanna.kernel.device.virtio.queue import MAXIMUM_QUEUE, Queue
from goanna.metal import Fn, Ptr, struct, u8, u16, u32, u64, wrapping

__all__ = ["CONFIGURATION_CHANGED", "EVENT_INDEX", "VERSION_1", "Device", "Transport"]

ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, FAILED = 1, 2, 4, 8, 128
EVENT_INDEX = 1 << 29
VERSION_1 = 1 << 32
CONFIGURATION_CHANGED = 2  # of an interrupt's cause; 1: a queue has something new
RESET_PATIENCE = 1_000_000  # readings of the status
GENERATION_PATIENCE = 1000


@struct
class Transport:
    """What a bus can do with a device."""

    device_features: Fn[["Device", u32], u32]  # 32 of the bits it offers: word 0 or 1
    driver_features: Fn[["Device", u32, u32], None]
    status: Fn[["Device"], u8]
    set_status: Fn[["Device", u8], None]
    largest_queue: Fn[["Device", u16], u32]  # descriptors; 0: there is no such queue
    connect_queue: Fn[["Device", Queue], bool]
    notify: Fn[["Device", Queue], None]
    interrupt_cause: Fn[["Device"], u32]  # reads and clears: bit 0 a queue, bit 1 the configuration
    generation: Fn[["Device"], u32]  # changes when the configuration does


@struct
class Device:
    """One device."""

    transport: Ptr[Transport]
    space: Ptr[RegisterSpace]  # where the addresses below are
    kind: u32  # virtio 1.2, 5
    legacy: bool  # it knows nothing of virtio 1.0
    registers: u64
    configuration: u64
    notifications: u64  # of modern PCI: the first register written to notify, and how far apart they are
    notification_step: u32
    cause: u64  # of PCI: the register that says why it interrupted
    messages: bool  # of PCI: it interrupts by messages, one for all its queues
    change_messages: bool  # and by another when its configuration changes
    features: u64  # agreed on

    def begin(self, wanted: u64) -> bool:
        """Reset the device and agree on features: all of `wanted` that it has, with the event index and version 1.

        False: it is a modern device that won't be driven so.
        """
        transport: Transport = self.transport
        transport.set_status(self, 0)
        for _ in range(RESET_PATIENCE):
            if transport.status(self) == 0:
                break
        transport.set_status(self, ACKNOWLEDGE)
        transport.set_status(self, ACKNOWLEDGE | DRIVER)
        offered = u64(transport.device_features(self, 0))
        if not self.legacy:
            offered |= wrapping(u64(transport.device_features(self, 1)) << 32)
        self.features = offered & (wanted | EVENT_INDEX | VERSION_1)
        transport.driver_features(self, 0, u32.wrap(self.features))
        if self.legacy:
            return True
        transport.driver_features(self, 1, u32(self.features >> 32))
        if self.features & VERSION_1 == 0:
            self.fail()
            return False
        transport.set_status(self, ACKNOWLEDGE | DRIVER | FEATURES_OK)
        if transport.status(self) & FEATURES_OK == 0:
            self.fail()
            return False
        return True

    def has(self, feature: u64) -> bool:
        """Whether a feature (its bit) was agreed on."""
        return self.features & feature != 0

    def open_queue(self, queue: Queue, index: u16, limit: u16) -> bool:
        """Make one of the device's queues, of at most `limit` descriptors (a power of two) if the device lets us
        choose. False: it has no such queue, or there is no memory."""
        transport: Transport = self.transport
        largest = transport.largest_queue(self, index)
        if largest == 0 or (self.legacy and largest > MAXIMUM_QUEUE):
            return False
        size: u32 = 1
        while size * 2 <= min(largest, u32(MAXIMUM_QUEUE)) and (self.legacy or size * 2 <= u32(limit)):
            size = size * 2
        if not queue.start(index, u16(size), self.has(EVENT_INDEX)):
            return False
        if transport.connect_queue(self, queue):
            return True
        queue.release()
        return False

    def ready(self) -> None:
        """The driver is ready: the device may work from now on."""
        transport: Transport = self.transport
        transport.set_status(self, transport.status(self) | DRIVER_OK)

    def fail(self) -> None:
        """The driver gives the device up."""
        transport: Transport = self.transport
        transport.set_status(self, transport.status(self) | FAILED)

    def publish(self, queue: Queue) -> None:
        """Show the device what was added to a queue."""
        if queue.publish():
            transport: Transport = self.transport
            transport.notify(self, queue)

    def interrupted(self) -> u32:
        """In the interrupt: why it came; bit 0: a queue, bit 1: the configuration changed."""
        if self.messages:
            return 1
        transport: Transport = self.transport
        return transport.interrupt_cause(self)

    def configuration8(self, offset: u64) -> u8:
        """A byte of the configuration."""
        space: RegisterSpace = self.space
        return space.read8(self.configuration + offset)

    def configuration16(self, offset: u64) -> u16:
        """A 16-bit field of the configuration."""
        space: RegisterSpace = self.space
        return space.read16(self.configuration + offset)

    def configuration32(self, offset: u64) -> u32:
        """A 32-bit field of the configuration."""
        space: RegisterSpace = self.space
        return space.read32(self.configuration + offset)

    def configuration64(self, offset: u64) -> u64:
        """A 64-bit field of the configuration, both halves of one moment."""
        transport: Transport = self.transport
        value: u64 = 0
        for _ in range(GENERATION_PATIENCE):
            before = transport.generation(self)
            value = u64(self.configuration32(offset)) | wrapping(u64(self.configuration32(offset + 4)) << 32)
            if transport.generation(self) == before:
                break
        return value
