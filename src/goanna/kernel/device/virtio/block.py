"""virtio block devices: sectors of a disk, read and written by threads that wait (virtio 1.2, 5.2)."""

from goanna.kernel.arch import pause, physical
from goanna.kernel.base.errno import EINVAL, EIO, ENOMEM, ENXIO, EROFS
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.device.virtio.device import Device
from goanna.kernel.device.virtio.queue import Part, Queue
from goanna.kernel.memory.objects import Cache
from goanna.kernel.thread.current import current_thread
from goanna.kernel.thread.wait import WaitQueue
from goanna.kernel.time.timer import NEVER
from goanna.metal import Array, Slice, i64, metal, struct, u8, u32, u64, unsafe

__all__ = ["BLOCK_DEVICE", "LONGEST_NAME", "MAXIMUM_PARTS", "SECTOR", "Disk", "disk_interrupt"]

BLOCK_DEVICE = 2  # virtio device ID
SECTOR = 512  # bytes, whatever the disk's own block size
MAXIMUM_PARTS = 16  # of one request's data
LONGEST_NAME = 20
QUEUE_LIMIT = 128

SIZE_LIMITED, PARTS_LIMITED, READ_ONLY, CAN_FLUSH = 1 << 1, 1 << 2, 1 << 5, 1 << 9  # features
CAPACITY, SIZE_LIMIT, PARTS_LIMIT = 0, 8, 12  # offsets in the configuration
READ, WRITE, FLUSH, NAME = 0, 1, 4, 8  # of a request
GOOD, UNSUPPORTED, PENDING = 0, 2, 0xFF


@struct
class Request:
    """What the device reads ahead of the data (16 bytes) and writes behind it (1 byte)."""

    kind: u32
    reserved: u32
    sector: u64
    status: u8
    done: bool


requests = Cache(Request)


@struct
class Disk:
    """One disk. Its functions may be called by any thread that holds no spin lock, and at boot."""

    device: Device
    size: u64  # bytes
    read_only: bool
    can_flush: bool
    parts_limit: u32  # of one request's data
    part_limit: u32  # bytes of each
    name: Array[u8, LONGEST_NAME]  # as the runner called it (QEMU: serial=), ends with a zero byte if it is shorter
    lock: SpinLock  # protects both below, and the requests in flight
    queue: Queue
    waiters: WaitQueue

    def start(self) -> i64:
        """Start the device, which a transport has found. 0, -ENXIO (it can't be driven) or -ENOMEM."""
        if not self.device.begin(SIZE_LIMITED | PARTS_LIMITED | READ_ONLY | CAN_FLUSH):
            return -ENXIO
        if not self.device.open_queue(self.queue, 0, QUEUE_LIMIT):
            return -ENOMEM
        self.size = min(self.device.configuration64(CAPACITY), u64(1) << 54) * SECTOR
        self.read_only = self.device.has(READ_ONLY)
        self.can_flush = self.device.has(CAN_FLUSH)
        self.parts_limit = MAXIMUM_PARTS
        if self.device.has(PARTS_LIMITED):
            self.parts_limit = max(min(self.device.configuration32(PARTS_LIMIT), u32(MAXIMUM_PARTS)), u32(1))
        self.parts_limit = min(self.parts_limit, max(u32(self.queue.size), u32(3)) - 2)
        self.part_limit = 1 << 20
        if self.device.has(SIZE_LIMITED):
            self.part_limit = max(min(self.device.configuration32(SIZE_LIMIT), self.part_limit), u32(SECTOR))
        if self.queue.size < 3:
            self.device.fail()
            return -ENXIO
        self.device.ready()
        return self.read_name()

    def read_name(self) -> i64:
        """Ask for the name; a device that doesn't know the question has none."""
        name = Array[u8, LONGEST_NAME]()
        part = Array[Part, 1]()
        buffer = requests.allocate()  # memory that devices reach, unlike a stack's
        if buffer is None:
            return -ENOMEM
        part[0].address = physical(unsafe.address(buffer))
        part[0].length = LONGEST_NAME
        if self.perform(NAME, 0, part) == 0:
            name[:] = unsafe.slice(u8, unsafe.address(buffer), LONGEST_NAME)
            self.name[:] = name
        requests.free(buffer)
        return 0

    def read(self, sector: u64, parts: Slice[Part]) -> i64:
        """Fill parts of physical memory with sectors from `sector` on. 0 or a negative errno.

        At most `parts_limit` parts of `part_limit` bytes, each a multiple of SECTOR.
        """
        return self.move(READ, sector, parts)

    def write(self, sector: u64, parts: Slice[Part]) -> i64:
        """Write sectors from parts of physical memory. 0 or a negative errno; -EROFS: it is read-only."""
        return -EROFS if self.read_only else self.move(WRITE, sector, parts)

    def flush(self) -> i64:
        """Wait until what was written is where a power cut can't take it. 0 or a negative errno."""
        if not self.can_flush:
            return 0
        none = Array[Part, 1]()
        return self.perform(FLUSH, 0, none[0:0])

    def move(self, kind: u32, sector: u64, parts: Slice[Part]) -> i64:
        """Check a request against the disk's size and limits, and perform it."""
        total: u64 = 0
        for part in parts:
            if part.length % SECTOR != 0 or part.length > self.part_limit:
                return -EINVAL
            total += u64(part.length)
        if len(parts) > u64(self.parts_limit) or total == 0:
            return -EINVAL
        if sector > self.size // SECTOR or total > self.size - sector * SECTOR:
            return -EIO
        return self.perform(kind, sector, parts)

    def perform(self, kind: u32, sector: u64, data: Slice[Part]) -> i64:
        """Hand the device a request and wait for its end. 0, -EIO, -ENOMEM, or -EINVAL if it doesn't know the kind."""
        request = requests.allocate()
        if request is None:
            return -ENOMEM
        request.kind = kind
        request.sector = sector
        request.status = PENDING
        parts = Array[Part, MAXIMUM_PARTS + 2]()
        parts[0].address = physical(unsafe.address(request))
        parts[0].length = 16
        for index, part in enumerate(data):
            parts[index + 1].address = part.address
            parts[index + 1].length = part.length
        parts[len(data) + 1].address = parts[0].address + 16
        parts[len(data) + 1].length = 1
        readable = len(data) + 1 if kind == WRITE else u64(1)
        with self.lock:
            while not self.queue.add(parts[0 : len(data) + 2], readable, unsafe.address(request)):
                self.wait()
            self.device.publish(self.queue)
            while not request.done:
                self.wait()
        status = unsafe.load(u8, unsafe.address(request.status), volatile=True)
        requests.free(request)
        if status == GOOD:
            return 0
        return -EINVAL if status == UNSUPPORTED else -EIO

    def wait(self) -> None:
        """Wait until the device has done something. With the lock, which is open meanwhile."""
        if self.collect():
            return
        if current_thread is not None:
            self.waiters.wait(self.lock, NEVER, False)
            return
        self.lock.release()
        pause()
        self.lock.acquire()

    def collect(self) -> bool:
        """Take what the device has done, and have it interrupt for the next; whether there was any. With the lock."""
        any_done = False
        while True:
            token, _ = self.queue.take()
            if token != 0:
                unsafe.at(Request, token).done = True
                any_done = True
            elif self.queue.listen():
                break
        if any_done:
            self.waiters.wake_all()
        return any_done


@metal
def disk_interrupt(argument: u64) -> None:
    """The interrupt of the disk at address `argument`."""
    disk = unsafe.at(Disk, argument)
    disk.device.interrupted()
    with disk.lock:
        disk.collect()
