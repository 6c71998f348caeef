"""One port of a virtio console: bytes in both directions, each through a queue of its own (virtio 1.2, 5.3.6).

Output is put together in buffers of the port's, which the device gives back once the host has taken it: while it has
them all there is no room, and who wants to write waits. Input stays in its buffer until the receiver has taken all of
it; while buffers are out the host can send no more. So nothing is lost on either way, however slow a side is.
"""

from goanna.kernel.arch import PAGE_SIZE, pause, physical, virtual
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.device.virtio.device import Device
from goanna.kernel.device.virtio.queue import Part, Queue
from goanna.kernel.memory import pages
from goanna.kernel.thread.wait import WaitQueue, Wake
from goanna.kernel.time.timer import NEVER
from goanna.metal import Array, Fn, Ptr, Slice, metal, struct, u8, u16, u32, u64, unsafe

__all__ = ["INPUT_BUFFERS", "LARGEST_OUTPUT", "Port", "nobody_receives"]

QUEUE_LIMIT = 16
INPUT_BUFFERS = 8  # pages
OUTPUT_BUFFERS = 2
LARGE_ORDER = 4
LARGEST_OUTPUT = PAGE_SIZE << LARGE_ORDER  # bytes of a buffer once much was written
PATIENCE = 400_000_000  # looks at the queue before bytes that may not wait in a thread are given up


@struct
class OutputBuffer:
    """A buffer for output. Zeroed memory is one without memory yet."""

    address: u64  # of the kernel's, 0: none
    size: u64
    busy: bool  # the device has it


@metal
def nobody_receives(data: Slice[u8]) -> u64:
    """Port.receive where input means nothing: it is gone."""
    return len(data)


@struct
class Port:
    """One port. The input lock is taken before the receiver's locks; the output lock is a leaf, or, where nobody sleeps
    for room, comes with the log's."""

    device: Ptr[Device]
    number: u16
    there: bool  # its queues are
    taken: bool  # it has a use
    input_lock: SpinLock  # protects what is about input
    input: Queue
    receive: Fn[[Slice[u8]], u64]  # takes the first of these bytes: how many; in the interrupt, or in resume()
    pages: Array[u64, INPUT_BUFFERS]  # kernel addresses
    page_count: u64
    held: u64  # token of the buffer that the receiver has not emptied; 0: none
    held_start: u64
    held_end: u64
    output_lock: SpinLock  # protects what is about output
    output: Queue
    buffers: Array[OutputBuffer, OUTPUT_BUFFERS]
    reserved: u64  # which of them is being filled
    writers: WaitQueue
    on_room: Fn[[], None]  # there is room again, in the interrupt

    def open_queues(self) -> bool:
        """Make the port's queues, before the device starts. False: there is no memory, or it has none."""
        first: u16 = 0 if self.number == 0 else 2 + 2 * self.number
        device: Device = self.device
        self.there = device.open_queue(self.input, first, QUEUE_LIMIT) and device.open_queue(
            self.output, first + 1, QUEUE_LIMIT
        )
        if self.there:
            self.output.rest()
        return self.there

    def offer_input(self, count: u64) -> None:
        """Give the device pages to write to until it has `count`, or memory or its queue is at their end."""
        with self.input_lock:
            self.offer_more(count)
            self.show_input()

    def offer_more(self, count: u64) -> None:
        """The same with the lock held; the device does not see them yet."""
        while self.page_count < min(count, u64(INPUT_BUFFERS)):
            page = pages.allocate()
            if page == 0:
                return
            self.pages[self.page_count] = virtual(page)
            if not self.give(self.page_count + 1):
                pages.release(page)
                return
            self.page_count += 1

    def give(self, token: u64) -> bool:
        """Give the device an input buffer. Input lock held."""
        part = Array[Part, 1]()
        part[0].address = physical(self.pages[token - 1])
        part[0].length = PAGE_SIZE
        return self.input.add(part, 0, token)

    def show_input(self) -> None:
        """Let the device see the buffers that it was given. Input lock held."""
        device: Device = self.device
        device.publish(self.input)

    def resume(self) -> None:
        """Take input again, after the receiver left some. Its locks are not held."""
        with self.input_lock:
            self.collect()

    def collect(self) -> None:
        """Hand on what has arrived, as much as the receiver takes. Input lock held."""
        while self.hand_on():
            token, length = self.input.take()
            if token == 0:
                # The device is told of every half of the buffers: as many it has yet, and each time costs an exit.
                if u64(self.input.unpublished()) * 2 >= self.page_count:
                    self.show_input()
                if self.input.listen():
                    return
                continue
            self.held = token
            self.held_start = 0
            self.held_end = min(u64(length), PAGE_SIZE)
            self.offer_more(INPUT_BUFFERS)
        self.show_input()

    def hand_on(self) -> bool:
        """Hand on what is held; whether all of it was taken. Input lock held."""
        if self.held == 0:
            return True
        start = self.pages[self.held - 1] + self.held_start
        left = self.held_end - self.held_start
        self.held_start += self.receive(unsafe.slice(u8, start, left))
        if self.held_start < self.held_end:
            return False
        token = self.held
        self.held = 0
        self.give(token)
        return True

    def reserve(self, wanted: u64) -> Slice[u8]:
        """A buffer to fill, for `wanted` bytes if it can be so large, to be followed by send(); empty: there is no room
        now. One at a time: the caller sees to that."""
        with self.output_lock:
            return self.reserve_locked(wanted)

    def reserve_locked(self, wanted: u64) -> Slice[u8]:
        """The same with the output lock held."""
        self.take_back()
        for index in range(OUTPUT_BUFFERS):
            buffer = self.buffers[index]
            if not buffer.busy and self.enlarge(buffer, wanted):
                self.reserved = index
                return unsafe.slice(u8, buffer.address, buffer.size)
        return unsafe.slice(u8, 0, 0)

    def reserved_room(self) -> Slice[u8]:
        """The buffer that was reserved last."""
        buffer = self.buffers[self.reserved]
        return unsafe.slice(u8, buffer.address, buffer.size)

    def enlarge(self, buffer: OutputBuffer, wanted: u64) -> bool:
        """See to it that a buffer has memory, and more of it if much is written; whether it has any."""
        if buffer.size < PAGE_SIZE or (wanted > PAGE_SIZE and buffer.size == PAGE_SIZE):
            order: u32 = LARGE_ORDER if wanted > PAGE_SIZE else 0
            memory = pages.allocate_order(order)
            if memory == 0 and buffer.size == 0:
                order = 0
                memory = pages.allocate()
            if memory != 0:
                if buffer.size != 0:
                    pages.release(physical(buffer.address))
                buffer.address = virtual(memory)
                buffer.size = u64(PAGE_SIZE) << u64(order)
        return buffer.size != 0

    def send(self, count: u64) -> None:
        """Send the first `count` bytes of the buffer that was reserved."""
        with self.output_lock:
            self.send_locked(count)

    def send_locked(self, count: u64) -> None:
        """The same with the output lock held."""
        if count == 0:
            return
        buffer = self.buffers[self.reserved]
        part = Array[Part, 1]()
        part[0].address = physical(buffer.address)
        part[0].length = u32(count)
        if self.output.add(part, 1, self.reserved + 1):
            buffer.busy = True
            device: Device = self.device
            device.publish(self.output)
            self.take_back()

    def push(self, data: Slice[u8]) -> u64:
        """Send as many of the first bytes as there is room for now; if 0, an interrupt comes when there is room."""
        with self.output_lock:
            if not self.look_for_room():
                return 0
            room = self.reserve_locked(len(data))
            count = min(len(room), len(data))
            room[0:count] = data[0:count]
            self.send_locked(count)
            return count

    def take_back(self) -> bool:
        """Take the buffers back that the host is done with; whether there were any. Output lock held."""
        result = False
        while True:
            token, _ = self.output.take()
            if token == 0:
                return result
            self.buffers[token - 1].busy = False
            result = True

    def has_room(self) -> bool:
        """Whether reserve() would find a buffer now; if not, an interrupt comes when it would."""
        with self.output_lock:
            return self.look_for_room()

    def look_for_room(self) -> bool:
        """The same with the output lock held."""
        while True:
            self.take_back()
            for index in range(OUTPUT_BUFFERS):
                if not self.buffers[index].busy:
                    return True
            if self.output.listen():
                return False

    def wait_for_room(self) -> bool:
        """Sleep until there may be room. False: a signal came."""
        with self.output_lock:
            if self.look_for_room():
                return True
            return self.writers.wait(self.output_lock, NEVER, True) != Wake.SIGNAL

    def write_unlocked(self, first: Slice[u8], second: Slice[u8], third: Slice[u8]) -> None:
        """Send bytes in as few pieces as buffers allow, from any context, waiting on the spot for room. Takes no lock:
        the caller has one, or the kernel has failed, and whoever holds it may be what failed."""
        total = len(first) + len(second) + len(third)
        done: u64 = 0
        while done < total:
            room = self.wait_on_the_spot(total - done)
            if len(room) == 0:
                return
            count = gather(room, done, first, second, third)
            self.send_locked(count)
            done += count

    def wait_on_the_spot(self, wanted: u64) -> Slice[u8]:
        """reserve_locked, until there is room."""
        for _ in range(PATIENCE):
            room = self.reserve_locked(wanted)
            if len(room) != 0:
                return room
            pause()
        return unsafe.slice(u8, 0, 0)

    def idle(self) -> bool:
        """Whether the host has taken everything; if not, an interrupt comes when it has taken some."""
        with self.output_lock:
            return self.look_for_idleness()

    def look_for_idleness(self) -> bool:
        """The same with the output lock held."""
        while True:
            self.take_back()
            if self.output.in_flight() == 0:
                return True
            if self.output.listen():
                return False

    def finish(self, interruptible: bool) -> bool:
        """Sleep until the host has taken everything. False: a signal came, which may end it if `interruptible`."""
        with self.output_lock:
            while not self.look_for_idleness():
                if self.writers.wait(self.output_lock, NEVER, interruptible) == Wake.SIGNAL:
                    return False
        return True

    def drain(self) -> None:
        """Wait on the spot until the host has taken everything."""
        for _ in range(PATIENCE):
            self.take_back()
            if self.output.in_flight() == 0:
                return
            pause()

    def interrupted(self) -> None:
        """The device has done something: with this port, perhaps."""
        with self.input_lock:
            self.collect()
        room = False
        with self.output_lock:
            room = self.look_for_room()
            if room:
                self.output.rest()
                self.writers.wake_all()
        if room and self.on_room is not None:
            self.on_room()


@metal
def gather(room: Slice[u8], start: u64, first: Slice[u8], second: Slice[u8], third: Slice[u8]) -> u64:
    """Copy what three pieces make together, from `start` on, into `room`, as much as fits; how many bytes."""
    count = copy_from(room, first, start)
    at = start + count
    if at >= len(first):
        count += copy_from(room[count:], second, at - len(first))
        at = start + count
    if at >= len(first) + len(second):
        count += copy_from(room[count:], third, at - len(first) - len(second))
    return count


@metal
def copy_from(room: Slice[u8], data: Slice[u8], start: u64) -> u64:
    """Copy `data` from `start` on into `room`, as much as fits; how many bytes."""
    if start >= len(data):
        return 0
    count = min(len(room), len(data) - start)
    room[0:count] = data[start : start + count]
    return count
