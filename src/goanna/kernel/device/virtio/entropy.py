"""virtio entropy devices: random bytes from the host (virtio 1.2, 5.4)."""

from goanna.kernel.arch import PAGE_SIZE, pause, virtual
from goanna.kernel.device.virtio.device import Device
from goanna.kernel.device.virtio.queue import Part, Queue
from goanna.kernel.memory import pages
from goanna.metal import Array, Slice, fill, struct, u8, u32, u64, unsafe

__all__ = ["ENTROPY_DEVICE", "EntropySource"]

ENTROPY_DEVICE = 4  # virtio device ID
QUEUE_LIMIT = 4
PATIENCE = 2_000_000  # looks at the queue before the device is given up


@struct
class EntropySource:
    """One device. Used at boot, by one processor."""

    device: Device
    queue: Queue
    page: u64  # physical: where the device writes

    def start(self) -> bool:
        """Start the device, which a transport has found. False: it can't be driven, or there is no memory."""
        if not self.device.begin(0) or not self.device.open_queue(self.queue, 0, QUEUE_LIMIT):
            return False
        self.page = pages.allocate()
        if self.page == 0:
            return False
        self.queue.rest()
        self.device.ready()
        return True

    def read(self, target: Slice[u8]) -> u64:
        """Random bytes into the start of `target`, at most a page; how many came. They are nowhere else afterwards."""
        part = Array[Part, 1]()
        part[0].address = self.page
        part[0].length = u32(min(len(target), PAGE_SIZE))
        if not self.queue.add(part, 0, 1):
            return 0
        self.device.publish(self.queue)
        for _ in range(PATIENCE):
            token, length = self.queue.take()
            if token != 0:
                count = u64(min(length, part[0].length))
                source = unsafe.slice(u8, virtual(self.page), count)
                target[0:count] = source
                fill(source, 0)
                return count
            pause()
        return 0
