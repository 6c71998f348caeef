"""virtio network devices: an interface of the network over pairs of queues (virtio 1.2, 5.1).

Frames come in buffers of the packet pool, several for a large one where the device merges them, and go out of the
buffers in which the network made them. A device with several pairs of queues gives one to each processor: what a
processor sends goes by its own, and what comes interrupts the processor that answers. A device that lies is given up,
and its link is down.
"""

from goanna.kernel.arch import now, processor_index
from goanna.kernel.base.errno import ENOMEM, ENXIO
from goanna.kernel.device.virtio.device import CONFIGURATION_CHANGED, Device
from goanna.kernel.device.virtio.net_header import HEADER_SIZE, OLD_HEADER_SIZE
from goanna.kernel.device.virtio.net_pair import Pair, on_lie
from goanna.kernel.device.virtio.queue import Part, Queue
from goanna.kernel.memory.placement import random_u64
from goanna.kernel.net.interface import CHECKSUM, SEGMENT4, SEGMENT6, Interface, Kind
from goanna.kernel.net.network import changed
from goanna.kernel.net.packet import BUFFER_ROOM, SHORT, Packet, allocate
from goanna.kernel.net.wire import ethernet
from goanna.metal import Array, Fn, hook, i64, metal, pointer, struct, u8, u16, u32, u64, unsafe

__all__ = [
    "MOST_PAIRS", "NETWORK_DEVICE", "NetworkDevice", "network_changed", "network_interrupt", "on_link",
    "pair_interrupt",
]  # fmt: skip

NETWORK_DEVICE = 1  # virtio device ID
MOST_PAIRS = 16
LEAST_MTU = 68  # RFC 791; virtio 1.2, 5.1.4.1

# Features.
SUMS_SENT, SUMS_RECEIVED, HAS_MTU, HAS_MAC = 1 << 0, 1 << 1, 1 << 3, 1 << 5
LARGE_RECEIVED4, LARGE_RECEIVED6, CUTS4, CUTS6 = 1 << 7, 1 << 8, 1 << 11, 1 << 12
MERGES, HAS_STATUS, HAS_CONTROL, HAS_PAIRS, ANY_LAYOUT = 1 << 15, 1 << 16, 1 << 17, 1 << 22, 1 << 27
LARGE_RECEIVED = LARGE_RECEIVED4 | LARGE_RECEIVED6
WANTED = LARGE_RECEIVED | SUMS_SENT | SUMS_RECEIVED | CUTS4 | CUTS6 | MERGES
WANTED |= HAS_MTU | HAS_MAC | HAS_STATUS | ANY_LAYOUT
SEVERAL = HAS_CONTROL | HAS_PAIRS

# Offsets in the configuration.
MAC, STATUS, PAIRS, MTU = 0, 6, 8, 10
LINK_UP = 1  # of the status
DEFAULT_MTU = 1500

# The control queue (5.1.6.5): class and command, data, and the device's answer.
PAIRS_CLASS, SET_PAIRS = 4, 0
CONTROL_LIMIT = 4
CONTROL_PATIENCE = 1_000_000_000  # ns

# The link came back, or was lost: whoever configures the interface should know. No lock is held.
on_link = hook(Fn[[Interface, u64], None])


@struct
class Command:
    """What goes by the control queue: struct virtio_net_ctrl with the data of SET_PAIRS."""

    kind: u8
    command: u8
    pairs: u16
    answer: u8  # 0: it was done


@struct
class NetworkDevice:
    """One device."""

    device: Device
    interface: Interface
    processors: u32  # of the machine; 0: one
    control: Queue
    pair_count: u32  # in use
    pairs: Array[Pair, MOST_PAIRS]

    def start(self) -> i64:
        """Start the device, which a transport has found; the pairs' messages are given out. 0, -ENXIO (it can't be
        driven) or -ENOMEM."""
        if not self.negotiate() or not self.open_pairs():
            return -ENXIO
        self.describe()
        for index in range(self.pair_count):
            self.pairs[index].fill()
        if self.pairs[0].input.unpublished() == 0:
            self.device.fail()
            return -ENOMEM
        self.device.ready()
        for index in range(self.pair_count):
            self.pairs[index].listen()
        if self.pair_count > 1:
            self.use_pairs()
        return 0

    def negotiate(self) -> bool:
        """Agree on features. Large packets are taken only in merged buffers, several pairs only by several processors
        and with a control queue."""
        wanted: u64 = WANTED
        if self.processors > 1:
            wanted |= SEVERAL
        if not self.device.begin(wanted):
            return False
        if self.device.has(MERGES) and self.device.has(HAS_CONTROL) == self.device.has(HAS_PAIRS):
            return True
        if not self.device.has(MERGES):
            wanted &= ~u64(LARGE_RECEIVED)
        if not self.device.has(HAS_CONTROL) or not self.device.has(HAS_PAIRS):
            wanted &= ~u64(SEVERAL)
        return self.device.begin(wanted)

    def open_pairs(self) -> bool:
        """Make the queues. False: the device hasn't got them; it is given up."""
        device = self.device
        most: u32 = 1
        if device.has(HAS_PAIRS):
            most = u32(device.configuration16(PAIRS))
        self.pair_count = max(min(most, self.processors, u32(MOST_PAIRS)), u32(1))
        new = device.has(MERGES) or not device.legacy
        for index in range(self.pair_count):
            pair = self.pairs[index]
            pair.device = device
            pair.interface = self.interface
            pair.header_size = HEADER_SIZE if new else OLD_HEADER_SIZE
            pair.apart = device.legacy and not device.has(ANY_LAYOUT)
            pair.merges = device.has(MERGES)
            pair.trusted = device.has(SUMS_RECEIVED)
            if not pair.open(u16(index), self.pair_count):
                device.fail()
                return False
        if self.pair_count > 1 and not device.open_queue(self.control, u16(most * 2), CONTROL_LIMIT):
            device.fail()
            return False
        return True

    def describe(self) -> None:
        """Fill the interface in."""
        interface = self.interface
        interface.kind = Kind.ETHERNET
        interface.transmit = transmit
        interface.flush = flush
        interface.mac = self.read_mac()
        interface.segment_limit = 65000
        if self.device.has(SUMS_SENT):
            interface.features = CHECKSUM
            interface.features |= SEGMENT4 if self.device.has(CUTS4) else 0
            interface.features |= SEGMENT6 if self.device.has(CUTS6) else 0
        interface.mtu = DEFAULT_MTU
        if self.device.has(HAS_MTU):
            interface.mtu = max(u32(self.device.configuration16(MTU)), u32(LEAST_MTU))
        if not self.device.has(MERGES):
            room: u32 = BUFFER_ROOM - HEADER_SIZE - ethernet.HEADER - ethernet.TAG
            interface.mtu = min(interface.mtu, room)
        interface.up = True
        interface.running = self.link()

    def read_mac(self) -> u64:
        """The device's link address, or one made up: of the locally administered ones (IEEE 802, 8.2)."""
        mac: u64 = 0
        if self.device.has(HAS_MAC):
            for index in range(u64(6)):
                mac = mac << 8 | u64(self.device.configuration8(MAC + index))
        if mac == 0 or mac & ethernet.GROUP_BIT != 0:
            mac = (random_u64() >> 16 & ~u64(ethernet.GROUP_BIT)) | ethernet.GROUP_BIT << 1
        return mac

    def link(self) -> bool:
        """Whether the device says that its link is up."""
        return not self.device.has(HAS_STATUS) or self.device.configuration16(STATUS) & LINK_UP != 0

    def use_pairs(self) -> None:
        """Have the device use all pairs (5.1.6.5.5), which by itself it does with the first alone. If it doesn't, that
        stays so. Once, when it is ready."""
        packet = allocate(SHORT, 0)
        done = False
        if packet is not None:
            command = unsafe.at(Command, packet.data)
            command.kind = PAIRS_CLASS
            command.command = SET_PAIRS
            command.pairs = u16(self.pair_count)
            command.answer = 0xFF
            parts = Array[Part, 3]()
            at = packet.physical()
            for part in range(u64(3)):  # each in a buffer of its own, as old devices demand
                parts[part].address = at + part * 2
                parts[part].length = 2 if part < 2 else 1
            self.control.add(parts[:], 2, at)
            self.device.publish(self.control)
            done = self.control_done() and unsafe.load(u8, unsafe.address(command.answer), volatile=True) == 0
        if not done:
            self.pair_count = 1

    def control_done(self) -> bool:
        """Wait for the control queue's one command. A device that doesn't answer may still write to its buffer, which
        is never given back."""
        patience = now() + CONTROL_PATIENCE
        while now() < patience:
            token, _ = self.control.take_sound()
            if token != 0 or self.control.broken:
                return token != 0
        return False

    def broken(self) -> bool:
        """Whether the device has lied."""
        for index in range(self.pair_count):
            if self.pairs[index].input.broken or self.pairs[index].output.broken:
                return True
        return False

    def give_up(self) -> None:
        """The device lies: nothing more is taken from it or sent by it."""
        if self.interface.running:
            self.interface.running = False
            self.device.fail()
            changed()
            on_link(self.interface, now())

    def look_at_link(self) -> None:
        """The configuration changed: is the link up?"""
        running = self.link()
        if running != self.interface.running and not self.broken():
            self.interface.running = running
            changed()
            on_link(self.interface, now())

    def own_pair(self) -> Pair:
        """The pair by which this processor sends."""
        if self.pair_count == 1:
            return self.pairs[0]
        return self.pairs[processor_index() % self.pair_count]


@metal
def transmit(interface: Interface, packet: Packet) -> None:
    """Interface.transmit."""
    unsafe.container(NetworkDevice, "interface", pointer(interface)).own_pair().send(packet)


@metal
def flush(interface: Interface) -> None:
    """Interface.flush."""
    unsafe.container(NetworkDevice, "interface", pointer(interface)).own_pair().tell()


@on_lie.set
@metal
def pair_lies(pair: Pair) -> None:
    """A pair's device gave back what it did not have."""
    unsafe.container(NetworkDevice, "interface", pair.interface).give_up()


@metal
def network_interrupt(argument: u64) -> None:
    """The interrupt of the device at address `argument`, where its queues have one in common."""
    network = unsafe.at(NetworkDevice, argument)
    if network.device.interrupted() & CONFIGURATION_CHANGED != 0:
        network.look_at_link()
    for index in range(network.pair_count):
        network.pairs[index].interrupted()


@metal
def pair_interrupt(argument: u64) -> None:
    """The message of the pair at address `argument`."""
    unsafe.at(Pair, argument).interrupted()


@metal
def network_changed(argument: u64) -> None:
    """The message of the device at address `argument` that its configuration has changed, where it has one."""
    unsafe.at(NetworkDevice, argument).look_at_link()
