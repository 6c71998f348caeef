"""virtio 9P devices: a server of files behind a queue, and a tag that says which (device ID 9; QEMU hw/9pfs).

The transport of a share's session: an exchange is a chain of a request and of room for its reply, found again by its
slot. A thread that is ended doesn't wait for a server that takes its time: it asks for the request to be forgotten
(Tflush) and leaves; what the server may still write to is kept until it has answered.
"""

from goanna.kernel.arch import PAGE_SIZE, now, pause, physical, virtual
from goanna.kernel.base.errno import ENOMEM, ENXIO, ERESTARTSYS
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.device.virtio.device import Device
from goanna.kernel.device.virtio.queue import Part, Queue
from goanna.kernel.memory import pages
from goanna.kernel.share.message import BULK_HEADER, LONGEST_MESSAGE, TFLUSH
from goanna.kernel.share.session import Exchange, Session
from goanna.kernel.thread.current import current, current_thread
from goanna.kernel.thread.thread import WORK_EXIT, dying
from goanna.kernel.thread.wait import WaitQueue
from goanna.metal import Array, Ptr, Slice, i64, metal, pointer, struct, u8, u16, u32, u64, unsafe

__all__ = ["LONGEST_TAG", "PLAN9_DEVICE", "Channel", "channel_interrupt", "connect"]

PLAN9_DEVICE = 9  # virtio device ID
LONGEST_TAG = 64
MOUNT_TAG = 1  # feature: the configuration is the tag, behind its 16-bit length
QUEUE_LIMIT = 128
SLOTS = 16  # requests at once
MOST_PARTS = 4
MEMORY_ORDER = 2  # of a slot: request and reply
PATIENCE = 50_000_000  # ns between looks at whether the waiting thread is ended

FREE, IN_USE, UNDER_WAY, DONE = 0, 1, 2, 3

assert PAGE_SIZE << MEMORY_ORDER >= 2 * LONGEST_MESSAGE


@struct
class Slot:
    """One exchange. Channel.lock protects all but the exchange, which is its user's while it is in use."""

    exchange: Exchange
    state: u32
    detached: bool  # nobody waits for it
    forgetting: bool  # the server was asked to forget it: its tag is not free before the answer
    forgets: u32  # 1 + the slot that it asks to forget; 0: none


@struct
class Channel:
    """One device."""

    device: Device
    tag: Array[u8, LONGEST_TAG]
    tag_length: u64
    lock: SpinLock  # protects queue and slots
    queue: Queue
    slots: Array[Slot, SLOTS]
    waiters: WaitQueue

    def start(self) -> i64:
        """Start the device, which a transport has found. 0, -ENXIO (it can't be driven) or -ENOMEM."""
        if not self.device.begin(MOUNT_TAG) or not self.device.has(MOUNT_TAG):
            return -ENXIO
        if not self.device.open_queue(self.queue, 0, QUEUE_LIMIT):
            return -ENOMEM
        if u64(self.queue.size) < SLOTS * MOST_PARTS:
            self.device.fail()
            return -ENXIO
        self.tag_length = min(u64(self.device.configuration16(0)), u64(LONGEST_TAG))
        for index in range(self.tag_length):
            self.tag[index] = self.device.configuration8(2 + index)
        self.device.ready()
        return 0

    def name(self) -> Slice[u8]:
        """What the runner called it (QEMU: mount_tag=)."""
        return self.tag[0 : self.tag_length]

    def find_free(self) -> Ptr[Slot]:
        """A slot that nobody uses, with memory, or None. With the lock."""
        for index in range(u64(SLOTS)):
            slot = self.slots[index]
            if slot.state == FREE:
                if not ready_memory(slot, u16(index)):
                    return None
                slot.state = IN_USE
                slot.detached = False
                slot.forgetting = False
                slot.forgets = 0
                return slot
        return None

    def acquire(self) -> Ptr[Exchange]:
        """Session.acquire."""
        with self.lock:
            while True:
                slot = self.find_free()
                if slot is not None:
                    return slot.exchange
                if not self.any_under_way() or not self.wait():
                    return None

    def any_under_way(self) -> bool:
        """Whether a slot will become free. With the lock."""
        for index in range(u64(SLOTS)):
            if self.slots[index].state != FREE:
                return True
        return False

    def send(self, slot: Slot) -> None:
        """Hand the device a request. With the lock."""
        exchange = slot.exchange
        parts = Array[Part, MOST_PARTS]()
        parts[0].address = physical(unsafe.address(exchange.request))
        parts[0].length = u32(exchange.length)
        count: u64 = 1
        goes = exchange.data_size != 0 and not exchange.data_comes
        if goes:
            parts[1].address = exchange.data
            parts[1].length = u32(exchange.data_size)
            count = 2
        readable = count
        parts[count].address = physical(unsafe.address(exchange.answer))
        parts[count].length = BULK_HEADER if exchange.data_comes else u32(LONGEST_MESSAGE)
        count += 1
        if exchange.data_comes:
            parts[count].address = exchange.data
            parts[count].length = u32(exchange.data_size)
            count += 1
        added = self.queue.add(parts[0:count], readable, unsafe.address(slot))
        assert added, "a queue has too few descriptors for its slots"
        slot.state = UNDER_WAY
        self.device.publish(self.queue)

    def perform(self, exchange: Exchange) -> i64:
        """Session.perform."""
        slot = unsafe.container(Slot, "exchange", pointer(exchange))
        with self.lock:
            self.send(slot)
            while slot.state != DONE:
                if not self.wait():
                    if slot.state == DONE:
                        return 0
                    slot.detached = True
                    self.flush(exchange.tag)
                    return -ERESTARTSYS
        return 0

    def flush(self, tag: u16) -> None:
        """Ask the server to forget a request. With the lock."""
        slot = self.find_free()
        if slot is None:
            return
        exchange = slot.exchange
        exchange.data_size = 0
        exchange.data_comes = False
        exchange.gives_back = 0
        exchange.out.start(exchange.request, TFLUSH, exchange.tag)
        exchange.out.put16(tag)
        exchange.length = exchange.out.finish(0)
        slot.detached = True
        slot.forgets = 1 + u32(tag)
        self.slots[tag].forgetting = True
        self.send(slot)

    def post(self, exchange: Exchange) -> None:
        """Session.post."""
        slot = unsafe.container(Slot, "exchange", pointer(exchange))
        with self.lock:
            slot.detached = True
            self.send(slot)

    def release(self, exchange: Exchange) -> None:
        """Session.release."""
        slot = unsafe.container(Slot, "exchange", pointer(exchange))
        with self.lock:
            slot.state = FREE
            self.waiters.wake_all()

    def wait(self) -> bool:
        """Wait until the server has done something. With the lock, which is open meanwhile. False: the running thread
        is being ended. Other signals have to wait, as Linux has them (p9_client_rpc)."""
        if self.collect():
            return True
        if current_thread is None or current_thread.process is None:  # at boot, when nobody else runs
            self.lock.release()
            pause()
            self.lock.acquire()
            return True
        me = current()
        if me.work.load() & WORK_EXIT != 0 or dying(me):
            return False
        self.waiters.wait(self.lock, now() + PATIENCE, False)
        return True

    def collect(self) -> bool:
        """Take what the device has done, and have it interrupt for the next; whether there was any. With the lock."""
        any_done = False
        while True:
            token, written = self.queue.take()
            if token != 0:
                self.finish(unsafe.at(Slot, token), written)
                any_done = True
            elif self.queue.listen():
                break
        if any_done:
            self.waiters.wake_all()
        return any_done

    def finish(self, slot: Slot, written: u32) -> None:
        """A request has come back. With the lock."""
        exchange = slot.exchange
        exchange.written = u64(written)
        slot.state = DONE
        if not slot.detached:
            return
        if exchange.gives_back != 0:
            exchange.session.free_fid(exchange.gives_back)
        if exchange.data_size != 0:
            pages.free_order(exchange.data & ~u64(PAGE_SIZE - 1), exchange.data_order)
        if slot.forgets != 0:
            forgotten = self.slots[slot.forgets - 1]
            forgotten.forgetting = False
            if forgotten.state == DONE:
                forgotten.state = FREE
        if not slot.forgetting:
            slot.state = FREE


@metal
def ready_memory(slot: Slot, tag: u16) -> bool:
    """Give a slot the memory that it then keeps. False: there is none."""
    exchange = slot.exchange
    if len(exchange.request) != 0:
        return True
    memory = pages.allocate_order(MEMORY_ORDER)
    if memory == 0:
        return False
    exchange.tag = tag
    exchange.request = unsafe.slice(u8, virtual(memory), LONGEST_MESSAGE)
    exchange.answer = unsafe.slice(u8, virtual(memory) + LONGEST_MESSAGE, LONGEST_MESSAGE)
    return True


@metal
def channel_of(object: u64) -> Channel:
    """The transport of a session."""
    return unsafe.at(Channel, object)


@metal
def acquire(object: u64) -> Ptr[Exchange]:
    """Session.acquire."""
    return channel_of(object).acquire()


@metal
def perform(object: u64, exchange: Exchange) -> i64:
    """Session.perform."""
    return channel_of(object).perform(exchange)


@metal
def post(object: u64, exchange: Exchange) -> None:
    """Session.post."""
    channel_of(object).post(exchange)


@metal
def release(object: u64, exchange: Exchange) -> None:
    """Session.release."""
    channel_of(object).release(exchange)


@metal
def connect(session: Session, channel: Channel) -> None:
    """Let a device be a session's transport."""
    session.object = unsafe.address(channel)
    session.acquire = acquire
    session.perform = perform
    session.post = post
    session.release = release


@metal
def channel_interrupt(argument: u64) -> None:
    """The interrupt of the device at address `argument`."""
    channel = unsafe.at(Channel, argument)
    channel.device.interrupted()
    with channel.lock:
        channel.collect()
