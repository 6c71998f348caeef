"""The network's start: when the first device is found, or a program makes the first socket that needs it.

A machine that uses no network spends neither time nor memory on it.
"""

from goanna.kernel.arch import PAGE_SIZE
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory import pages
from goanna.kernel.net.keyed_hash import new_keys
from goanna.kernel.net.loopback import start_loopback
from goanna.kernel.net.packet import set_limit
from goanna.kernel.net.tcp import time_wait
from goanna.kernel.net.tcp.table import start_table
from goanna.metal import metal, static, u32, u64

__all__ = ["start_network"]

LEAST_LIMIT = 1 << 20  # bytes of packet buffers
PAGES_FOR_EACH = 8192  # pages of memory for one of the table of connections, of which the most is 2**LARGEST_TABLE
LARGEST_TABLE = 6

start_lock = static(SpinLock)  # protects `started`
started = static(bool)


@metal
def start_network() -> bool:
    """Make the network ready, if it is not. Whoever comes meanwhile waits. False: there is no memory."""
    global started
    with start_lock:
        if started:
            return True
        order: u32 = 0
        while order < LARGEST_TABLE and pages.total_pages() >> order > PAGES_FOR_EACH:
            order += 1
        if not start_table(order):
            return False
        new_keys()
        time_wait.set_limit(pages.total_pages())
        set_limit(max(pages.total_pages() * PAGE_SIZE // 4, u64(LEAST_LIMIT)))
        start_loopback()
        started = True
    return True
