"""struct timespec and struct timeval: times as programs hand them over, as nanoseconds here."""

from goanna.kernel.base.errno import EFAULT, EINVAL
from goanna.kernel.memory.user import get_struct, put_struct
from goanna.kernel.time.wall import NANOSECONDS
from goanna.metal import i64, metal, struct, u64

__all__ = ["FOREVER", "Timespec", "Timeval", "get_timespec", "put_timespec", "put_timeval"]

FOREVER = 2**63 - 1  # the longest time, in nanoseconds: KTIME_MAX
_LAST_SECOND = FOREVER // NANOSECONDS


@struct
class Timespec:
    """struct timespec."""

    seconds: i64
    nanoseconds: i64


@struct
class Timeval:
    """struct timeval."""

    seconds: i64
    microseconds: i64


@metal
def get_timespec(address: u64) -> tuple[u64, i64]:
    """Nanoseconds from a program's timespec, at most FOREVER; and 0, -EFAULT, or -EINVAL if it is none."""
    time = Timespec()
    if get_struct(time, address) != 0:
        return u64(0), i64(-EFAULT)
    if time.seconds < 0 or time.nanoseconds < 0 or time.nanoseconds >= NANOSECONDS:
        return u64(0), i64(-EINVAL)
    if time.seconds >= _LAST_SECOND:
        return u64(FOREVER), i64(0)
    return u64(time.seconds) * NANOSECONDS + u64(time.nanoseconds), i64(0)


@metal
def put_timespec(address: u64, nanoseconds: u64) -> i64:
    """Write a time to a program's timespec. 0 or -EFAULT."""
    return put_struct(
        address, Timespec(seconds=i64(nanoseconds // NANOSECONDS), nanoseconds=i64(nanoseconds % NANOSECONDS))
    )


@metal
def put_timeval(address: u64, nanoseconds: u64) -> i64:
    """Write a time to a program's timeval, microseconds cut off. 0 or -EFAULT."""
    microseconds = nanoseconds % NANOSECONDS // 1000
    return put_struct(address, Timeval(seconds=i64(nanoseconds // NANOSECONDS), microseconds=i64(microseconds)))
