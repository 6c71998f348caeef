"""A pair of queues of a virtio network device, one for what comes and one for what is sent: each processor has its own
where the device has several (virtio 1.2, 5.1.2).

An interrupt starts polling, which goes on until the device has nothing more; under load, programs get their turns
between (`run`). Nothing that the device says is believed.
"""

from goanna.kernel.arch import now
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.device.frames import in_front, joined, pieces
from goanna.kernel.device.virtio.device import Device
from goanna.kernel.device.virtio.net_header import buffers_of, read_header, write_header
from goanna.kernel.device.virtio.queue import Part, Queue
from goanna.kernel.net.interface import Interface
from goanna.kernel.net.ip_input import receive
from goanna.kernel.net.packet import BUFFER, Packet, Packets, allocate, drop, scarce
from goanna.kernel.net.turn import end_turn
from goanna.kernel.time.timer import Timer, timer_start
from goanna.metal import Array, Fn, Ptr, hook, metal, struct, u16, u32, u64, unlikely, unsafe

__all__ = ["Pair", "on_lie"]

QUEUE_LIMIT = 256
LEAST_LIMIT = 64  # of each queue, where there are many
MOST_PARTS = 20  # of a packet that is sent; one in more pieces is copied together
MOST_MERGED = 64  # buffers of a packet that comes: 65,562 bytes need 35
MOST_WAITING = 1000  # packets, while the transmit queue is full; further ones are lost
BATCH = 16  # packets taken in before the device is told of what was sent meanwhile
BUDGET = 64  # packets taken in before programs get a turn
TURN = 50_000  # ns of that turn

# The device gave back what it did not have. No lock is held.
on_lie = hook(Fn[["Pair"], None])


@struct
class Pair:
    """Two queues. The device and its interface own it."""

    device: Ptr[Device]
    interface: Ptr[Interface]
    header_size: u32  # in front of each frame
    apart: bool  # the device wants the header in a buffer of its own
    merges: bool  # what comes may lie in several buffers
    trusted: bool  # the device vouches for checksums
    input_lock: SpinLock  # protects the three below
    input: Queue
    polling: bool  # somebody takes packets in: interrupts are not heeded
    merged: Array[Ptr[Packet], MOST_MERGED]  # scratch of take_packet
    output_lock: SpinLock  # protects the three below
    output: Queue
    waiting: Packets  # to be sent, in front of what comes later
    waiting_count: u32
    timer: Timer  # goes on with polling

    def open(self, number: u16, pairs: u32) -> bool:
        """Make the queues of a number, of a device with so many pairs. False: it has none, or memory is out."""
        limit: u32 = QUEUE_LIMIT
        share = pairs
        while share > 1 and limit > LEAST_LIMIT:
            limit >>= 1
            share = (share + 1) >> 1
        device: Device = self.device
        if not device.open_queue(self.input, number * 2, u16(limit)):
            return False
        self.timer.callback = timer_fired
        return device.open_queue(self.output, number * 2 + 1, u16(limit)) and self.output.size >= MOST_PARTS

    def listen(self) -> None:
        """Begin, once the device is ready."""
        device: Device = self.device
        self.output.rest()
        self.input.listen()
        device.publish(self.input)

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
        if good and self.merges:
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
        read_header(first, self.header_size, self.trusted)
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
        interface: Interface = self.interface
        device: Device = self.device
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
                device.publish(self.input)
                done = not more and (self.input.broken or self.input.listen())
                if done:
                    self.polling = False
        if not done:
            timer_start(self.timer, now() + TURN)
        if self.input.broken or self.output.broken:
            on_lie(self)

    def tell(self) -> None:
        """Interface.flush."""
        device: Device = self.device
        with self.output_lock:
            self.collect()
            device.publish(self.output)

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
                device: Device = self.device
                device.publish(self.output)
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


@metal
def timer_fired(timer: Ptr[Timer]) -> None:
    """Go on after the programs' turn."""
    unsafe.container(Pair, "timer", timer).run()
