"""The memory that one read or write moves bytes to or from: a range, or the list of ranges of readv and writev.

An object that is read or written sees one Transfer, whatever call it came from, and never asks whose memory it is
(Linux: struct iov_iter with the kiocb's position).
"""

from goanna.kernel.arch import PAGE_SIZE, user_copy_in, user_copy_out, virtual
from goanna.kernel.base.errno import EFAULT, EINVAL, ENOMEM
from goanna.kernel.memory import pages, user
from goanna.metal import Array, Slice, i64, likely, metal, sizeof, struct, u8, u32, u64, unsafe

MAXIMUM_SEGMENTS = 1024  # UIO_MAXIOV
MAXIMUM_BYTES = 0x7FFFF000  # MAX_RW_COUNT: one call moves no more
INLINE_SEGMENTS = 8  # UIO_FASTIOV: so many need no memory


@struct
class Segment:
    """struct iovec."""

    address: u64
    length: u64


@metal
def put_count(address: u64, count: u64) -> i64:
    """Answer an ioctl that asks for a number of bytes as an int. 0 or -EFAULT."""
    return user.put(address, u32(min(count, 0x7FFFFFFF)))


@struct
class Transfer:
    """Where the bytes of a read go, or those of a write come from, and how far it has come."""

    address: u64  # of the next byte in the current range
    room: u64  # bytes left in the current range
    left: u64  # bytes left in all ranges, at most MAXIMUM_BYTES
    next: u64  # kernel address of the Segment after the current range
    segments: u64  # how many follow
    position: u64  # in the file; what is read or written moves it on
    nonblocking: bool  # this call may not wait, whatever the description says (RWF_NOWAIT)
    kernel: bool  # the ranges are kernel memory
    append: bool  # a write goes to the end of the file (RWF_APPEND)

    def start(self, address: u64, count: u64) -> i64:
        """One range of user memory. 0 or -EFAULT."""
        if not user.accessible(address, count):
            return -EFAULT
        self.address = address
        self.room = min(count, MAXIMUM_BYTES)
        self.left = self.room
        return 0

    def start_kernel(self, buffer: Slice[u8]) -> None:
        """One range of kernel memory."""
        self.kernel = True
        self.address = unsafe.address(buffer)
        self.room = len(buffer)
        self.left = self.room

    def put(self, data: Slice[u8]) -> u64:
        """Copy `data` out; how many bytes went. Fewer while `left` is not 0 means that user memory faulted."""
        if likely(len(data) <= self.room and len(data) <= self.left and not self.kernel):
            sent = len(data) - user_copy_out(self.address, unsafe.address(data), len(data))
            self.advance(sent)
            return sent
        done: u64 = 0
        while done < len(data) and self.left != 0:
            count = min(self.contiguous(), len(data) - done)
            copied = count
            if self.kernel:
                unsafe.slice(u8, self.address, count)[0:count] = data[done : done + count]
            else:
                copied = user.copy_out_some(self.address, data[done : done + count])
            self.advance(copied)
            done += copied
            if copied < count:
                break
        return done

    def take(self, data: Slice[u8]) -> u64:
        """Fill `data` from it; how many bytes came. Fewer while `left` is not 0 means that user memory faulted."""
        if likely(len(data) <= self.room and len(data) <= self.left and not self.kernel):
            came = len(data) - user_copy_in(unsafe.address(data), self.address, len(data))
            self.advance(came)
            return came
        done: u64 = 0
        while done < len(data) and self.left != 0:
            count = min(self.contiguous(), len(data) - done)
            copied = count
            if self.kernel:
                data[done : done + count] = unsafe.slice(u8, self.address, count)
            else:
                copied = user.copy_in_some(data[done : done + count], self.address)
            self.advance(copied)
            done += copied
            if copied < count:
                break
        return done

    def put_zeros(self, count: u64) -> u64:
        """Write `count` zeros, at most what is left; how many went. Fewer mean that user memory faulted."""
        done: u64 = 0
        while done < count and self.left != 0:
            part = min(count - done, ZEROS_AT_ONCE)
            copied = self.put(ZEROS[0:part])
            done += copied
            if copied < min(part, self.left + copied):
                break
        return done

    def contiguous(self) -> u64:
        """How many bytes the current range holds, after going on to the next one where it is used up."""
        while self.room == 0:
            segment = unsafe.at(Segment, self.next)
            self.address = segment.address
            self.room = segment.length
            self.next += sizeof(Segment)
            self.segments -= 1
        return min(self.room, self.left)

    def advance(self, count: u64) -> None:
        """Step over `count` bytes of the current range. The position is the object's to move."""
        self.address += count
        self.room -= count
        self.left -= count


ZEROS_AT_ONCE = 512
ZEROS = bytes(ZEROS_AT_ONCE)


@struct
class Vector:
    """The segments of one readv or writev, copied from user memory once, so that they hold still."""

    inline: Array[Segment, INLINE_SEGMENTS]
    memory: u64  # physical address of the list where it is longer; 0: none
    order: u32

    def load(self, transfer: Transfer, address: u64, count: u64) -> i64:
        """Read `count` segments at `address` into `transfer`. 0, -EINVAL, -EFAULT or -ENOMEM. `release` after use."""
        if count > MAXIMUM_SEGMENTS:
            return -EINVAL
        table = unsafe.address(self.inline)
        if count > INLINE_SEGMENTS:
            while (u64(PAGE_SIZE) << u64(self.order)) < count * sizeof(Segment):
                self.order += 1
            self.memory = pages.allocate_order(self.order)
            if self.memory == 0:
                return -ENOMEM
            table = virtual(self.memory)
        size = count * sizeof(Segment)
        if user.copy_in(unsafe.slice(u8, table, size), address) < 0:
            return -EFAULT
        total: u64 = 0
        for segment in unsafe.slice(Segment, table, count):
            if segment.length > 0x7FFFFFFFFFFFFFFF:
                return -EINVAL
            if not user.accessible(segment.address, segment.length):
                return -EFAULT
            total = min(total + segment.length, MAXIMUM_BYTES)
        transfer.left = total
        transfer.next = table
        transfer.segments = count
        return 0

    def release(self) -> None:
        """Give back the memory of a long list."""
        if self.memory != 0:
            pages.free_order(self.memory, self.order)
            self.memory = 0
