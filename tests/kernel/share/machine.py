"""A machine of system calls with a share at /share, whose server is a Python object here."""

import ctypes

from goanna.kernel.arch.host import arena as host_arena
from goanna.kernel.file.tree import root_entry
from goanna.kernel.share.message import LONGEST_MESSAGE
from goanna.kernel.share.mount import mount_share, new_share, shares
from goanna.kernel.share.node import Share
from goanna.kernel.share.session import Exchange
from goanna.metal import Array, Fn, Ptr, Slice, i64, metal, panic, static, struct, u8, u32, u64, unsafe
from tests.kernel.share.server import Server
from tests.kernel.syscall import bench

SLOTS = 4


@struct
class Slot:
    exchange: Exchange
    used: bool
    request: Array[u8, LONGEST_MESSAGE]
    answer: Array[u8, LONGEST_MESSAGE]


slots = static(Array[Slot, SLOTS])
# Request, its length, data that goes along, its length; reply, its room; data that comes, its room: bytes that came.
serve = static(Fn[[u64, u64, u64, u64, u64, u64, u64, u64], u64])


@metal
def acquire(object: u64) -> Ptr[Exchange]:
    for index in range(u64(SLOTS)):
        slot = slots[index]
        if not slot.used:
            slot.used = True
            slot.exchange.request = slot.request[:]
            slot.exchange.answer = slot.answer[:]
            slot.exchange.tag = 100
            return slot.exchange
    panic("exchanges are not given back")
    return None


@metal
def perform(object: u64, exchange: Exchange) -> i64:
    data = host_arena.arena + exchange.data
    going = u64(0) if exchange.data_comes else exchange.data_size
    coming = exchange.data_size if exchange.data_comes else u64(0)
    room: u64 = 11 if exchange.data_comes else LONGEST_MESSAGE
    exchange.written = serve(
        unsafe.address(exchange.request), exchange.length, data, going, unsafe.address(exchange.answer), room, data,
        coming,
    )  # fmt: skip
    return 0


@metal
def release(object: u64, exchange: Exchange) -> None:
    unsafe.container(Slot, "exchange", unsafe.pointer(Exchange, unsafe.address(exchange))).used = False


@metal
def post(object: u64, exchange: Exchange) -> None:
    perform(object, exchange)
    if exchange.gives_back != 0:
        exchange.session.free_fid(exchange.gives_back)
    release(object, exchange)


@metal
def start_share(name: Slice[u8], read_only: bool) -> i64:
    share = new_share()
    session = share.session
    session.acquire = acquire
    session.perform = perform
    session.post = post
    session.release = release
    return mount_share(share, root_entry, name, read_only)


@metal
def in_use() -> u32:
    """Exchanges that nobody gave back, and fids in use."""
    count: u32 = 0
    for index in range(u64(SLOTS)):
        if slots[index].used:
            count += 1000
    share: Share = shares[0]
    for word in share.session.used:
        left = word
        while left != 0:
            left = left & (left - 1)
            count += 1
    return count


_Serve = ctypes.CFUNCTYPE(ctypes.c_uint64, *[ctypes.c_uint64] * 8)


class Machine(bench.Machine):
    """`server.handle` answers; `spoil`, if there is one, may change each reply."""

    more = (start_share, in_use, serve)

    def __init__(self, tree, server: Server, read_only: bool = False, spoil=None) -> None:
        super().__init__(tree)
        self.server, self.spoil, self.trouble = server, spoil, None
        self.callback = _Serve(self.serve)
        self.unit.set(serve, ctypes.cast(self.callback, ctypes.c_void_p).value)
        self.mounted = self.unit.call(start_share, b"share", read_only)
        self.raise_trouble()

    def serve(self, request, length, going, going_length, reply, room, coming, coming_room) -> int:
        try:
            message = ctypes.string_at(request, length) + ctypes.string_at(going, going_length)
            answer = self.server.handle(message)
            if self.spoil is not None:
                answer = self.spoil(answer)
        except BaseException as trouble:
            self.trouble = self.trouble or trouble
            answer = b""
        head, rest = answer[:room], answer[room:][:coming_room]
        ctypes.memmove(reply, head, len(head))
        ctypes.memmove(coming, rest, len(rest))
        return len(head) + len(rest)

    def number(self, number: int, *arguments: int) -> int:
        result = super().number(number, *arguments)
        self.raise_trouble()
        return result

    def raise_trouble(self) -> None:
        trouble, self.trouble = getattr(self, "trouble", None), None
        if trouble is not None:
            raise trouble
