"""getrandom, and what /dev/random and /dev/urandom give."""

from goanna.kernel.arch import interrupt_window
from goanna.kernel.base.errno import EFAULT, EINVAL
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.random.chacha import BLOCK
from goanna.kernel.random.pool import Stream
from goanna.kernel.thread.current import current
from goanna.kernel.thread.scheduler import signal_waits
from goanna.metal import i64, metal, u32, u64

GRND_NONBLOCK = 1
GRND_RANDOM = 2
GRND_INSECURE = 4
BETWEEN_SIGNALS = 4096  # bytes after which a signal may end the call


@metal
def give_random(transfer: Transfer) -> i64:
    """Fill what is left: the bytes given, fewer after a fault or for a signal; -EFAULT if the first faulted."""
    stream = Stream()
    stream.start()
    done: u64 = 0
    while transfer.left != 0:
        count = min(transfer.left, BLOCK)
        copied = transfer.put(stream.next()[0:count])
        done += copied
        if copied < count:
            break
        if done % BETWEEN_SIGNALS == 0:
            interrupt_window()
            if signal_waits(current()):
                break
    stream.end()
    return i64(done) if done != 0 or transfer.left == 0 else -EFAULT


@metal
def sys_getrandom(address: u64, count: u64, options: u32) -> i64:
    """getrandom(2). The generator is seeded before the first program runs, so nothing ever waits."""
    if (options & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) != 0:
        return -EINVAL
    if (options & (GRND_RANDOM | GRND_INSECURE)) == GRND_RANDOM | GRND_INSECURE:
        return -EINVAL
    transfer = Transfer()
    if transfer.start(address, count) < 0:
        return -EFAULT
    return give_random(transfer)
