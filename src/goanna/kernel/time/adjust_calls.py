"""What the kernel's clock says of itself to those who would discipline it: adjtimex(2), clock_adjtime(2).

Nothing here slews a clock, so there is only to read: the state that Linux shows where no daemon ever set its clock
right (kernel/time/ntp.c), which programs that watch clocks ask for. Who wants to change it hears EOPNOTSUPP.
"""

from goanna.kernel.base.errno import EFAULT, EINVAL, EOPNOTSUPP, EPERM
from goanna.kernel.memory.user import get, put_struct
from goanna.kernel.thread.current import current_process
from goanna.kernel.time.clock import CAP_SYS_TIME, CLOCK_REALTIME, read_clock
from goanna.kernel.time.timespec import Timeval
from goanna.kernel.time.wall import NANOSECONDS, real_time
from goanna.metal import Array, i32, i64, metal, sizeof, struct, u32, u64

__all__ = ["Timex", "sys_adjtimex", "sys_clock_adjtime"]

ADJ_ADJTIME = 0x8000  # what adjtime(3) asks for; below it stands which part of that
ADJ_OFFSET_SINGLESHOT = 0x0001
ADJ_OFFSET_READONLY = 0x2000

WORST_ERROR = 16_000_000  # microseconds: NTP_PHASE_LIMIT
UNSYNCHRONIZED = 0x40  # STA_UNSYNC
TIME_ERROR = 5  # the result while the clock is that
TIME_CONSTANT = 2
TOLERANCE = 500 << 16  # parts per million, with 16 bits behind the point: MAXFREQ_SCALED
TICK_MICROSECONDS = 10_000  # of a clock tick of USER_HZ

DESCRIPTOR_CLOCK, KINDS = 3, 7  # of a negative clock: that of a device


@struct
class Timex:
    """struct timex (uapi/linux/timex.h)."""

    modes: u32
    offset: i64
    frequency: i64
    most_error: i64
    estimated_error: i64
    status: i32
    constant: i64
    precision: i64
    tolerance: i64
    time: Timeval
    tick: i64
    pulse: Array[i64, 8]  # what a signal of one pulse a second would tell, and padding among it
    leap_seconds: i32  # between TAI and UTC
    padding: Array[u32, 11]


assert sizeof(Timex) == 208


@metal
def sys_adjtimex(address: u64) -> i64:
    """adjtimex: the wall clock's state."""
    modes, result = get(u32, address)
    if result != 0:
        return -EFAULT
    reading = modes == 0
    if modes & ADJ_ADJTIME != 0:
        if modes & ADJ_OFFSET_SINGLESHOT == 0:
            return -EINVAL
        reading = modes & ADJ_OFFSET_READONLY != 0
    if not reading:
        return -EOPNOTSUPP if current_process().credentials.effective & CAP_SYS_TIME != 0 else -EPERM
    time = real_time()
    state = Timex(
        modes=modes,
        most_error=WORST_ERROR,
        estimated_error=WORST_ERROR,
        status=UNSYNCHRONIZED,
        constant=TIME_CONSTANT,
        precision=1,
        tolerance=TOLERANCE,
        tick=TICK_MICROSECONDS,
    )
    state.time.seconds = i64(time // NANOSECONDS)
    state.time.microseconds = i64(time % NANOSECONDS // 1000)
    return -EFAULT if put_struct(address, state) != 0 else TIME_ERROR


@metal
def sys_clock_adjtime(clock: i32, address: u64) -> i64:
    """clock_adjtime: the same of a clock by its number; the others can't be adjusted on Linux, either."""
    if clock == CLOCK_REALTIME:
        return sys_adjtimex(address)
    if clock < 0:
        return -EINVAL if u32.wrap(clock) & KINDS == DESCRIPTOR_CLOCK else -EOPNOTSUPP
    _, result = read_clock(clock)
    return -EOPNOTSUPP if result == 0 else result
