"""Timeouts as poll, select and epoll take them, turned into moments on the monotonic clock.

0 stands for "do not wait", NEVER for "as long as it takes".
"""

from goanna.kernel.arch import now
from goanna.kernel.base.errno import EINVAL
from goanna.kernel.memory import user
from goanna.kernel.time.timer import NEVER
from goanna.metal import i32, i64, metal, struct, u64

NANOSECONDS = 1_000_000_000
LONGEST = 0x7FFFFFFFFFFFFFFF  # nanoseconds: KTIME_MAX, 292 years


@struct
class Seconds:
    """struct timespec, and struct timeval, whose second number counts microseconds."""

    seconds: i64
    fraction: i64


@metal
def deadline_after(seconds: u64, nanoseconds: u64) -> u64:
    """So long from now; NEVER if that is beyond all clocks."""
    if seconds == 0 and nanoseconds == 0:
        return 0
    if seconds >= LONGEST // NANOSECONDS:
        return NEVER
    span = seconds * NANOSECONDS + nanoseconds
    moment = now()
    return NEVER if span > LONGEST - min(moment, LONGEST) else moment + span


@metal
def deadline_of_milliseconds(timeout: i32) -> u64:
    """The timeout of poll and epoll_wait: negative is for ever."""
    if timeout < 0:
        return NEVER
    return deadline_after(u64(timeout) // 1000, u64(timeout) % 1000 * 1_000_000)


@metal
def deadline_of_timespec(address: u64) -> tuple[u64, i64]:
    """A struct timespec in user memory; and -EFAULT, or -EINVAL for one that is not normal. No address: for ever."""
    if address == 0:
        return NEVER, 0
    span = Seconds()
    error = user.get_struct(span, address)
    if error < 0:
        return 0, error
    if span.seconds < 0 or span.fraction < 0 or span.fraction >= NANOSECONDS:
        return 0, -EINVAL
    return deadline_after(u64(span.seconds), u64(span.fraction)), 0


@metal
def deadline_of_timeval(address: u64) -> tuple[u64, i64]:
    """The same for a struct timeval, whose microseconds may go beyond a second."""
    if address == 0:
        return NEVER, 0
    span = Seconds()
    error = user.get_struct(span, address)
    if error < 0:
        return 0, error
    if span.seconds < 0 or span.fraction < 0:
        return 0, -EINVAL
    seconds = min(u64(span.seconds), u64(LONGEST)) + u64(span.fraction) // 1_000_000
    return deadline_after(seconds, u64(span.fraction) % 1_000_000 * 1000), 0


@metal
def put_remaining(address: u64, deadline: u64, microseconds: bool) -> None:
    """Tell the program how much of its timeout is left, where select does; a fault is passed over, as Linux does."""
    if address == 0 or deadline == NEVER:
        return
    moment = now()
    left: u64 = deadline - moment if deadline > moment else 0
    fraction = left % NANOSECONDS
    span = Seconds(seconds=i64(left // NANOSECONDS), fraction=i64(fraction // 1000 if microseconds else fraction))
    user.put_struct(address, span)
