"""The machine's random numbers: a ChaCha20 key that is replaced each time it is used (fast key erasure).

Whoever reads the kernel's memory later learns nothing of what was given out before. The key takes in whatever is at
hand at start, and the processor's own source again every minute; it never begins from constants alone.
"""

from goanna.kernel.arch import counter, entropy, now
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory.placement import random_u64
from goanna.kernel.random.chacha import BLOCK, block
from goanna.metal import (
    Array,
    Slice,
    compiler_barrier,
    fill,
    metal,
    rotate_left,
    static,
    struct,
    u8,
    u32,
    u64,
    unsafe,
    wrapping,
)

RESEED_INTERVAL = 60_000_000_000  # nanoseconds
KEY = 32  # bytes
JITTER_ROUNDS = 4096  # measured stretches where nothing better is to be had


@struct
class Pool:
    """The generator."""

    lock: SpinLock  # protects all below
    key: Array[u32, 8]
    reseeded: u64  # ns since boot


SPARES = 4


@struct
class Spares:
    """Numbers for the kernel's own use, made four at a time."""

    left: u64
    numbers: Array[u64, SPARES]


pool = static(Pool)
spare_lock = static(SpinLock)  # protects spares; taken before the pool's
spares = static(Spares)


@metal
def stir(words: Array[u32, 8]) -> None:
    """Mix 32 bytes into the key: none of what was in it is lost, and it can't be run backwards. With the lock."""
    out = Array[u32, 16]()
    nonce = Array[u32, 3]()
    for index in range(u64(0), u64(8)):
        pool.key[index] = pool.key[index] ^ words[index]
    block(pool.key, 0, nonce, out)
    for index in range(u64(0), u64(8)):
        pool.key[index] = out[index]
    erase(unsafe.slice(u8, unsafe.address(out), BLOCK))


@metal
def erase(data: Slice[u8]) -> None:
    """Zero a secret that lies on the stack, which the compiler may not leave out."""
    fill(data, 0)
    compiler_barrier()


@metal
def stir_number(value: u64) -> None:
    """Mix in a number. With the lock."""
    words = Array[u32, 8]()
    words[0] = u32.wrap(value)
    words[1] = u32(value >> 32)
    stir(words)


@metal
def stir_bytes(data: Slice[u8]) -> None:
    """Mix in what another source gave."""
    with pool.lock:
        at: u64 = 0
        while at < len(data):
            count = min(u64(KEY), len(data) - at)
            words = Array[u32, 8]()
            unsafe.slice(u8, unsafe.address(words), KEY)[0:count] = data[at : at + count]
            stir(words)
            at += count


@metal
def stir_processor() -> u32:
    """Mix in 256 bits of the processor's own source; how many of four words it gave. With the lock."""
    words = Array[u32, 8]()
    got: u32 = 0
    for index in range(u64(0), u64(4)):
        value, sound = entropy()
        if sound:
            words[index * 2] = u32.wrap(value)
            words[index * 2 + 1] = u32(value >> 32)
            got += 1
    stir(words)
    return got


@metal
def stir_jitter() -> None:
    """Mix in how long pieces of work take: caches, memory refresh, the emulator's host. With the lock."""
    gathered: u64 = 0
    for index in range(JITTER_ROUNDS):
        before = counter()
        stir_number(gathered)
        gathered = wrapping(rotate_left(gathered, 7) ^ (counter() - before) ^ before)
        if index % 64 == 63:
            stir_number(gathered)


@metal
def seed(runner: Slice[u8], date: u64) -> None:
    """Begin, once at boot: from the runner's seed (empty if it gave none), the processor, its counter, and the date.
    Where neither of the first two is there, from measured jitter."""
    with pool.lock:
        words = Array[u32, 8]()
        unsafe.slice(u8, unsafe.address(words), KEY)[0 : min(len(runner), KEY)] = runner[0 : min(len(runner), KEY)]
        stir(words)
        got = stir_processor()
        stir_number(counter())
        stir_number(date)
        if got < 4 and len(runner) < KEY:
            stir_jitter()
        pool.reseeded = now()


@metal
def next_key(out: Array[u32, 16]) -> None:
    """A fresh block: its first half has replaced the key, its second half is the caller's secret."""
    nonce = Array[u32, 3]()
    with pool.lock:
        if now() - pool.reseeded > RESEED_INTERVAL:
            stir_processor()
            stir_number(counter())
            pool.reseeded = now()
        block(pool.key, 0, nonce, out)
        for index in range(u64(0), u64(8)):
            pool.key[index] = out[index]
            out[index] = 0


@struct
class Stream:
    """Random bytes for one request, from a key of its own. `start`, any number of `next`, `end`."""

    key: Array[u32, 8]
    counter: u32
    nonce: Array[u32, 3]
    bytes: Array[u32, 16]

    def start(self) -> None:
        """Take a key."""
        next_key(self.bytes)
        for index in range(u64(0), u64(8)):
            self.key[index] = self.bytes[8 + index]

    def next(self) -> Slice[u8]:
        """64 bytes more, good until the next call. Up to 256 GiB."""
        block(self.key, self.counter, self.nonce, self.bytes)
        self.counter += 1
        return unsafe.slice(u8, unsafe.address(self.bytes), BLOCK)

    def end(self) -> None:
        """Forget the key."""
        erase(unsafe.slice(u8, unsafe.address(self.key), KEY))
        erase(unsafe.slice(u8, unsafe.address(self.bytes), BLOCK))


@metal
def random_bytes(out: Slice[u8]) -> None:
    """Fill kernel memory."""
    stream = Stream()
    stream.start()
    done: u64 = 0
    while done < len(out):
        count = min(len(out) - done, BLOCK)
        out[done : done + count] = stream.next()[0:count]
        done += count
    stream.end()


@metal
def random_number() -> u64:
    """64 random bits: one of the four numbers of a block, which is gone once it has been given."""
    with spare_lock:
        if spares.left == 0:
            out = Array[u32, 16]()
            next_key(out)
            for index in range(u64(0), SPARES):
                spares.numbers[index] = u64(out[8 + 2 * index]) | u64(out[9 + 2 * index]) << 32
            erase(unsafe.slice(u8, unsafe.address(out), BLOCK))
            spares.left = SPARES
        spares.left -= 1
        number = spares.numbers[spares.left]
        spares.numbers[spares.left] = 0
        return number


random_u64.set(random_number)
