"""A session with a 9P server: requests and their replies, and which fids are in use.

How bytes get to the server and back is the transport's (device/virtio/plan9.py; a Python server in tests). A fid is our
number for a file of the server; each is given back by `clunk`, for which nobody waits.
"""

from goanna.kernel.arch import PAGE_SIZE, virtual
from goanna.kernel.base.errno import EIO, ENOMEM
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory import pages
from goanna.kernel.share.message import (
    BULK_HEADER,
    LONGEST_MESSAGE,
    NO_FID,
    NO_TAG,
    TATTACH,
    TCLUNK,
    TVERSION,
    Packer,
    Unpacker,
    check_reply,
)
from goanna.metal import (
    Array,
    Fn,
    Ptr,
    Slice,
    count_trailing_zeros,
    i64,
    metal,
    struct,
    u8,
    u16,
    u32,
    u64,
    unsafe,
)

__all__ = ["BULK_ORDER", "Exchange", "Session", "bulk_memory", "bytes_of"]

BULK_ORDER = 4  # of the memory for data: 64 KiB at once
BULK = PAGE_SIZE << BULK_ORDER
BULK_MARGIN = 24  # bytes of a message that are not data, as servers count (P9_IOHDRSZ)
MOST_FIDS = 1 << 15
VERSION = b"9P2000.L"


@struct
class Exchange:
    """One request and its reply. Whoever acquired it writes `out`, has it performed, and reads `reply`."""

    session: Ptr["Session"]
    out: Packer
    reply: Unpacker  # after `perform`: behind the header
    kind: u8
    tag: u16
    request: Slice[u8]  # LONGEST_MESSAGE bytes that the server can read
    answer: Slice[u8]  # as many that it can write
    length: u64  # bytes of the request, without data
    data: u64  # physical address of data: behind the request, or behind BULK_HEADER bytes of the reply; 0: none
    data_order: u32  # of that memory
    data_size: u64  # bytes
    data_comes: bool  # the reply has data
    written: u64  # bytes that came
    gives_back: u32  # a fid that is free once the reply is there; 0: none (fid 0 is never given back)


@struct
class Session:
    """One server. Its functions may sleep, and are called with no spin lock held."""

    # An exchange that nobody else uses; None: memory is out, or the running thread is ended while it waits.
    acquire: Fn[[u64], Ptr[Exchange]]
    # Send it and wait for the reply: 0, or -ERESTARTSYS if the running thread is ended meanwhile; then the exchange and
    # its data are no longer the caller's.
    perform: Fn[[u64, Exchange], i64]
    post: Fn[[u64, Exchange], None]  # send it and don't wait
    release: Fn[[u64, Exchange], None]
    object: u64  # the transport, which the functions above are handed
    bulk: u64  # bytes of data that fit into one message
    lock: SpinLock  # protects both below
    used: Array[u64, MOST_FIDS // 64]  # a bit a fid
    hint: u64  # where to look first

    def begin(self, kind: u8) -> Ptr[Exchange]:
        """Begin a request; None: memory is out."""
        exchange = self.acquire(self.object)
        if exchange is not None:
            exchange.session = self
            exchange.kind = kind
            exchange.data = 0
            exchange.data_size = 0
            exchange.data_comes = False
            exchange.gives_back = 0
            exchange.written = 0
            exchange.out.start(exchange.request, kind, NO_TAG if kind == TVERSION else exchange.tag)
        return exchange

    def carry(self, exchange: Exchange, data: u64, order: u32, size: u64, comes: bool) -> None:
        """Let data, in memory of that order, go or come with a request."""
        exchange.data = data
        exchange.data_order = order
        exchange.data_size = size
        exchange.data_comes = comes

    def finish(self, exchange: Exchange) -> tuple[i64, bool]:
        """Send a request and wait: 0 with `reply` at its first field, or an errno; and whether exchange and data
        are still the caller's, who then calls `release`."""
        going: u64 = 0 if exchange.data_comes else exchange.data_size
        exchange.length = exchange.out.finish(going)
        error = self.perform(self.object, exchange)
        if error < 0:
            return error, False
        room: u64 = LONGEST_MESSAGE
        if exchange.data_comes:
            room = BULK_HEADER + exchange.data_size
        tag: u16 = NO_TAG if exchange.kind == TVERSION else exchange.tag
        size = check_reply(exchange.answer, exchange.written, room, exchange.kind, tag)
        if size < 0:
            return size, True
        exchange.reply.start(exchange.answer[0 : min(u64(size), u64(LONGEST_MESSAGE))], 7)
        return 0, True

    def simply(self, exchange: Exchange) -> i64:
        """`finish` of a request whose reply has no fields that matter. The exchange is given back."""
        error, ours = self.finish(exchange)
        if ours:
            self.release(self.object, exchange)
        return error

    def new_fid(self) -> u32:
        """A number for a file; NO_FID: there are none left."""
        with self.lock:
            for step in range(u64(MOST_FIDS // 64)):
                place = (self.hint + step) % (MOST_FIDS // 64)
                word = self.used[place]
                if word != 0xFFFF_FFFF_FFFF_FFFF:
                    bit = count_trailing_zeros(~word)
                    self.used[place] = word | (u64(1) << u64(bit))
                    self.hint = place
                    return u32(place * 64 + u64(bit))
        return NO_FID

    def free_fid(self, fid: u32) -> None:
        """The server no longer knows a number. In any context."""
        with self.lock:
            place = u64(fid // 64)
            self.used[place] = self.used[place] & ~(u64(1) << u64(fid % 64))

    def clunk(self, fid: u32) -> None:
        """Give a fid back."""
        exchange = self.begin(TCLUNK)
        if exchange is None:
            return  # the number stays in use: the server has it still
        exchange.out.put32(fid)
        exchange.length = exchange.out.finish(0)
        exchange.gives_back = fid
        self.post(self.object, exchange)

    def start(self) -> i64:
        """Agree on a version, and attach: the root of what is shared is fid 0. Once. 0, -EIO or another errno."""
        with self.lock:
            self.used[0] = 1
        exchange = self.begin(TVERSION)
        if exchange is None:
            return -ENOMEM
        wanted: u64 = BULK + PAGE_SIZE
        exchange.out.put32(u32(wanted))
        exchange.out.put_text(VERSION)
        error, ours = self.finish(exchange)
        size: u64 = 0
        if error == 0:
            size = u64(exchange.reply.take32())
            if exchange.reply.take_text() != VERSION or size < LONGEST_MESSAGE + BULK_MARGIN:
                error = -EIO
        if ours:
            self.release(self.object, exchange)
        if error < 0:
            return error
        self.bulk = min(min(size, u64(wanted)) - BULK_MARGIN, u64(BULK))
        return self.attach()

    def attach(self) -> i64:
        """Let fid 0 be the root. 0 or an errno."""
        exchange = self.begin(TATTACH)
        if exchange is None:
            return -ENOMEM
        exchange.out.put32(0)
        exchange.out.put32(NO_FID)
        exchange.out.put_text(b"")
        exchange.out.put_text(b"")
        # Nobody: who makes files is the server, as the user that it runs as. It would try to give them away else.
        exchange.out.put32(0xFFFFFFFF)
        return self.simply(exchange)


@metal
def bulk_order(size: u64) -> u32:
    """The order of the memory for so much data, at most BULK_ORDER."""
    order: u32 = 0
    while order < BULK_ORDER and (u64(PAGE_SIZE) << u64(order)) < size:
        order += 1
    return order


@metal
def bulk_memory(wanted: u64) -> tuple[u64, u32]:
    """Memory for up to so much data, less where it is scarce: its physical address and order. 0: memory is out."""
    order = bulk_order(wanted)
    while True:
        memory = pages.allocate_order(order)
        if memory != 0 or order == 0:
            return memory, order
        order -= 1


@metal
def bytes_of(memory: u64, size: u64) -> Slice[u8]:
    """Such memory as bytes."""
    return unsafe.slice(u8, virtual(memory), size)
