"""struct itimerspec and struct itimerval: a first expiry and an interval, in nanoseconds inside the kernel."""

from goanna.kernel.base.errno import EFAULT, EINVAL
from goanna.kernel.memory import user
from goanna.kernel.time.timespec import FOREVER
from goanna.kernel.time.wall import NANOSECONDS
from goanna.metal import i64, metal, struct, u64

__all__ = ["MICROSECOND", "NANOSECOND", "Setting", "get_setting", "put_setting"]

NANOSECOND, MICROSECOND = 1, 1000  # units of the second number


@struct
class Setting:
    """How a timer is set, in nanoseconds. A value of 0 is a timer that is off."""

    interval: u64
    value: u64


@struct
class Record:
    """struct itimerspec with nanoseconds, struct itimerval with microseconds."""

    interval_seconds: i64
    interval_fraction: i64
    value_seconds: i64
    value_fraction: i64


@metal
def valid(seconds: i64, fraction: i64, unit: i64) -> bool:
    """Whether this is a normal, positive time (Linux timespec64_valid)."""
    return seconds >= 0 and fraction >= 0 and fraction < NANOSECONDS // unit


@metal
def span(seconds: i64, fraction: i64, unit: i64) -> u64:
    """A valid time in nanoseconds, FOREVER at most."""
    if seconds >= FOREVER // NANOSECONDS:
        return FOREVER
    return u64(seconds) * NANOSECONDS + u64(fraction) * u64(unit)


@metal
def get_setting(setting: Setting, address: u64, unit: i64) -> i64:
    """Read an itimerspec (unit 1) or itimerval (unit 1000). 0, -EFAULT or -EINVAL."""
    record = Record()
    if user.get_struct(record, address) != 0:
        return -EFAULT
    if not valid(record.interval_seconds, record.interval_fraction, unit):
        return -EINVAL
    if not valid(record.value_seconds, record.value_fraction, unit):
        return -EINVAL
    setting.interval = span(record.interval_seconds, record.interval_fraction, unit)
    setting.value = span(record.value_seconds, record.value_fraction, unit)
    return 0


@metal
def put_setting(address: u64, setting: Setting, unit: u64) -> i64:
    """Write an itimerspec or itimerval. 0 or -EFAULT."""
    record = Record(
        interval_seconds=i64(setting.interval // NANOSECONDS),
        interval_fraction=i64(setting.interval % NANOSECONDS // unit),
        value_seconds=i64(setting.value // NANOSECONDS),
        value_fraction=i64(setting.value % NANOSECONDS // unit),
    )
    return user.put_struct(address, record)
