"""virtio network devices: an interface of the network over two queues (virtio 1.2, 5.1).

Frames come in buffers of the packet pool, several for a large one where the device merges them, and go out of the
buffers in which the network made them. An interrupt starts polling, which goes on until the device has nothing more;
under load, programs get their turns between (`run`). Nothing that the device says is believed: a device that lies is
given up, and its link is down.
"""

from goanna.kernel.arch import now
from goanna.kernel.base.errno import ENOMEM, ENXIO
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.device.virtio.device import CONFIGURATION_CHANGED, Device
from goanna.kernel.device.virtio.net_header import HEADER_SIZE, OLD_HEADER_SIZE, buffers_of, read_header, write_header
from goanna.kernel.device.virtio.queue import Part, Queue
from goanna.kernel.memory.placement import random_u64
from goanna.kernel.net.interface import CHECKSUM, SEGMENT4, SEGMENT6, Interface, Kind
from goanna.kernel.net.ip_input import receive
from goanna.kernel.net.network import changed
from goanna.kernel.net.packet import BUFFER, BUFFER_ROOM, CHUNK, SHORT, Packet, Packets, allocate, drop, scarce
from goanna.kernel.net.turn import end_turn
from goanna.kernel.net.wire import ethernet
from goanna.kernel.time.timer import Timer, timer_start
from goanna.metal import Array, Fn, Ptr, hook, i64, metal, pointer, struct, u16, u32, u64, unlikely, unsafe

__all__ = ["NETWORK_DEVICE", "NetworkDevice", "network_changed", "network_interrupt", "on_link"]

NETWORK_DEVICE = 1  # virtio device ID
RECEIVE_QUEUE, TRANSMIT_QUEUE = 0, 1
QUEUE_LIMIT = 256
MOST_PARTS = 20  # of a packet that is sent; one in more pieces is copied together
MOST_MERGED = 64  # buffers of a packet that comes: 65,562 bytes need 35
MOST_WAITING = 1000  # packets, while the transmit queue is full; further ones are lost
BATCH = 16  # packets taken in before the device is told of what was sent meanwhile
BUDGET = 64  # packets taken in before programs get a turn
TURN = 50_000  # ns of that turn
LEAST_MTU = 68  # RFC 791; virtio 1.2, 5.1.4.1

# Features.
SUMS_SENT, SUMS_RECEIVED, HAS_MTU, HAS_MAC = 1 << 0, 1 << 1, 1 << 3, 1 << 5
LARGE_RECEIVED4, LARGE_RECEIVED6, CUTS4, CUTS6 = 1 << 7, 1 << 8, 1 << 11, 1 << 12
MERGES, HAS_STATUS, ANY_LAYOUT = 1 << 15, 1 << 16, 1 << 27
LARGE_RECEIVED = LARGE_RECEIVED4 | LARGE_RECEIVED6
WANTED = LARGE_RECEIVED | SUMS_SENT | SUMS_RECEIVED | CUTS4 | CUTS6 | MERGES
WANTED |= HAS_MTU | HAS_MAC | HAS_STATUS | ANY_LAYOUT

# Offsets in the configuration.
MAC, STATUS, MTU = 0, 6, 10
LINK_UP = 1  # of the status
DEFAULT_MTU = 1500

# The link came back, or was lost: whoever configures the interface should know. No lock is held.
on_link = hook(Fn[[Interface, u64], None])


@struct
class NetworkDevice:
    """One device."""

    device: Device
    interface: Interface
    header_size: u32  # in front of each frame
    apart: bool  # the device wants the header in a buffer of its own
    input_lock: SpinLock  # protects the three below
    input: Queue
    polling: bool  # somebody takes packets in: interrupts are not heeded
    merged: Array[Ptr[Packet], MOST_MERGED]  # scratch of take_packet
    output_lock: SpinLock  # protects all below
    output: Queue
    waiting: Packets  # to be sent, in front of what comes later
    waiting_count: u32
    timer: Timer  # goes on with polling

    def start(self) -> i64:
        """Start the device, which a transport has found. 0, -ENXIO (it can't be driven) or -ENOMEM."""
        if not self.negotiate():
            return -ENXIO
        opened = self.device.open_queue(self.input, RECEIVE_QUEUE, QUEUE_LIMIT)
        if not opened or not self.device.open_queue(self.output, TRANSMIT_QUEUE, QUEUE_LIMIT):
            self.device.fail()
            return -ENXIO
        if self.output.size < MOST_PARTS:
            self.device.fail()
            return -ENXIO
        self.describe()
        self.fill()
        if self.input.unpublished() == 0:
            self.device.fail()
            return -ENOMEM
        self.timer.callback = timer_fired
        self.device.ready()
        self.output.rest()
        self.input.listen()
        self.device.publish(self.input)
        return 0

    def negotiate(self) -> bool:
        """Agree on features. Large packets are taken only in merged buffers."""
        if not self.device.begin(WANTED):
            return False
        if not self.device.has(MERGES) and not self.device.begin(WANTED & ~LARGE_RECEIVED):
            return False
        new = self.device.has(MERGES) or not self.device.legacy
        self.header_size = HEADER_SIZE if new else OLD_HEADER_SIZE
        self.apart = self.device.legacy and not self.device.has(ANY_LAYOUT)
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

    def fill(self) -> None:
        """Give the device buffers for what comes, as many as its queue takes and a small machine can spare. Once, at
        start: from then on the device has as many for good."""
        for _ in range(min(self.input.size, QUEUE_LIMIT)):
            packet = allocate(BUFFER, 0)
            if packet is None or not self.give(packet) or scarce():
                return

    def give(self, packet: Packet) -> bool:
        """Give the device one buffer. With input_lock."""
        packet.start = 0
        parts = Array[Part, 2]()
        parts[0].address = packet.physical()
        parts[0].length = packet.capacity
        count: u64 = 1
        if self.apart:
            parts[0].length = self.header_size
            parts[1].address = parts[0].address + u64(self.header_size)
            parts[1].length = packet.capacity - self.header_size
            count = 2
        given = self.input.add(parts[0:count], 0, unsafe.address(packet))
        if not given:
            drop(packet)
        return given

    def take_packet(self) -> tuple[Ptr[Packet], bool]:
        """A frame that came, without the device's header, or None; and whether to ask for another: a bad one is passed
        over. With input_lock."""
        token, written = self.input.take_sound()
        if token == 0:
            return None, False
        first: Packet = unsafe.at(Packet, token)
        self.merged[0] = first
        count: u64 = 1
        good = self.header_size <= written <= first.capacity
        first.length = min(written, first.capacity)
        first.total = first.length
        wanted: u64 = 1
        if good and self.device.has(MERGES):
            wanted = buffers_of(first)
            good = 0 < wanted <= MOST_MERGED
        while good and count < wanted:
            token, written = self.input.take_sound()
            if token == 0:
                good = False
                break
            part: Packet = unsafe.at(Packet, token)
            self.merged[count] = part
            count += 1
            good = written <= part.capacity
            part.length = min(written, part.capacity)
        if not good or not self.replace(count):
            for index in range(count):
                self.give(self.merged[index])
            self.interface.received_dropped += 1
            return None, True
        last = first
        for index in range(u64(1), count):
            following: Packet = self.merged[index]
            first.total += following.length
            last.more = following
            last = following
        read_header(first, self.header_size, self.device.has(SUMS_RECEIVED))
        return first, True

    def replace(self, count: u64) -> bool:
        """Give the device as many fresh buffers as were taken. False: there is no memory, so those taken go back: a
        device never has fewer than at its start. With input_lock."""
        fresh = Packets()
        for _ in range(count):
            packet = allocate(BUFFER, 0)
            if packet is None:
                while not fresh.empty():
                    drop(fresh.pop())
                return False
            fresh.append(packet)
        while not fresh.empty():
            self.give(fresh.pop())
        return True

    def run(self) -> None:
        """Take packets in until there are no more, or programs should have a turn. By who set `polling`; no lock."""
        interface = self.interface
        taken: u64 = 0
        done = False
        while taken < BUDGET and not done:
            time = now()
            more = True
            for _ in range(u64(BATCH)):
                packet: Ptr[Packet] = None
                with self.input_lock:
                    packet, more = self.take_packet()
                if packet is None:
                    if more:
                        continue
                    break
                taken += 1
                receive(interface, packet, time)
            end_turn()
            with self.input_lock:
                self.device.publish(self.input)
                done = not more and (self.input.broken or self.input.listen())
                if done:
                    self.polling = False
        if not done:
            timer_start(self.timer, now() + TURN)
        if self.input.broken or self.output.broken:
            self.give_up()

    def interrupted(self) -> None:
        """Something has come, or was sent while packets wait for room."""
        if self.waiting_count != 0:
            self.tell()
        with self.input_lock:
            if self.polling or self.input.broken:
                return
            self.polling = True
            self.input.rest()
        self.run()

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
        if running != self.interface.running and not self.input.broken and not self.output.broken:
            self.interface.running = running
            changed()
            on_link(self.interface, now())

    def tell(self) -> None:
        """Interface.flush."""
        with self.output_lock:
            self.collect()
            self.device.publish(self.output)

    def collect(self) -> None:
        """Take back what was sent, and send what waits; who waits hears of room by an interrupt. With output_lock."""
        while True:
            token, _ = self.output.take_sound()
            if token != 0:
                drop(unsafe.at(Packet, token))
                continue
            first = self.waiting.head()
            if self.output.broken or first is None:
                return
            if self.add(first):
                self.waiting.pop()
                self.waiting_count -= 1
                if self.waiting_count == 0:
                    self.output.rest()
            elif self.output.listen():
                return

    def send(self, packet: Packet) -> None:
        """Interface.transmit."""
        framed = self.with_header(packet)
        if framed is None:
            self.interface.sent_dropped += 1
            return
        with self.output_lock:
            self.collect()
            if self.waiting_count == 0 and self.add(framed):
                return
            if self.waiting_count < MOST_WAITING and not self.output.broken:
                self.waiting.append(framed)
                self.waiting_count += 1
                self.device.publish(self.output)
                self.collect()
                return
        self.interface.sent_dropped += 1
        drop(framed)

    def with_header(self, packet: Packet) -> Ptr[Packet]:
        """The packet with the device's header in front, and in few pieces. None: no memory, and it is gone."""
        result: Ptr[Packet] = packet
        if unlikely(pieces(packet) > MOST_PARTS - 2):
            result = joined(packet)
        if result is not None and unlikely(result.start < self.header_size):
            result = in_front(result)
        if result is not None:
            write_header(result, self.header_size)
        return result

    def add(self, packet: Packet) -> bool:
        """Put a packet on the transmit queue. False: there is no room. With output_lock."""
        parts = unsafe.uninitialized(Array[Part, MOST_PARTS])
        count: u64 = 0
        each: Ptr[Packet] = packet
        while each is not None:
            if each.length != 0:
                parts[count].address = each.physical()
                parts[count].length = each.length
                if count == 0 and self.apart and each.length > self.header_size:
                    parts[0].length = self.header_size
                    parts[1].address = parts[0].address + u64(self.header_size)
                    parts[1].length = each.length - self.header_size
                    count = 1
                count += 1
            each = each.more
        return self.output.add(parts[0:count], count, unsafe.address(packet))


@metal
def pieces(packet: Packet) -> u64:
    """How many buffers a packet has."""
    count: u64 = 0
    each: Ptr[Packet] = packet
    while each is not None:
        count += 1
        each = each.more
    return count


@metal
def head_of(packet: Packet) -> Ptr[Packet]:
    """An empty buffer that is noted what was noted for a packet; None: no memory, and the packet is gone."""
    head = allocate(SHORT, 64)
    if head is None:
        drop(packet)
        return None
    take_over(head, packet, 64)
    return head


@metal
def in_front(packet: Packet) -> Ptr[Packet]:
    """A packet with an empty buffer in front of it, for headers; None: no memory, and it is gone."""
    head = head_of(packet)
    if head is not None:
        head.append(packet)
    return head


@metal
def joined(packet: Packet) -> Ptr[Packet]:
    """A copy of a packet in large buffers; None: no memory. The packet is gone."""
    head = head_of(packet)
    if head is None:
        return None
    at: u32 = 0
    while at < packet.total:
        part = allocate(CHUNK, 0)
        if part is None:
            drop(head)
            drop(packet)
            return None
        count = min(packet.total - at, part.room())
        packet.copy_out(at, part.extend(count))
        head.append(part)
        at += count
    drop(packet)
    return head


@metal
def take_over(head: Packet, packet: Packet, start: u32) -> None:
    """Note for a buffer in front what was noted for a packet: offsets are from the first buffer's memory on."""
    head.flags = packet.flags
    head.six = packet.six
    head.segment_size = packet.segment_size
    head.checksum_start = u16.wrap(u32(packet.checksum_start) + 0x1_0000 + start - packet.start)
    head.checksum_offset = packet.checksum_offset


@metal
def transmit(interface: Interface, packet: Packet) -> None:
    """Interface.transmit."""
    unsafe.container(NetworkDevice, "interface", pointer(interface)).send(packet)


@metal
def flush(interface: Interface) -> None:
    """Interface.flush."""
    unsafe.container(NetworkDevice, "interface", pointer(interface)).tell()


@metal
def timer_fired(timer: Ptr[Timer]) -> None:
    """Go on after the programs' turn."""
    unsafe.container(NetworkDevice, "timer", timer).run()


@metal
def network_interrupt(argument: u64) -> None:
    """The interrupt of the device at address `argument`."""
    network = unsafe.at(NetworkDevice, argument)
    if network.device.interrupted() & CONFIGURATION_CHANGED != 0:
        network.look_at_link()
    network.interrupted()


@metal
def network_changed(argument: u64) -> None:
    """The message of the device at address `argument` that its configuration has changed, where it has one."""
    unsafe.at(NetworkDevice, argument).look_at_link()
