"""The futex call: its operations, flags and times."""

from goanna.kernel.base.errno import ENOSYS
from goanna.kernel.thread.futex import (
    MATCH_ANY,
    futex_requeue,
    futex_wait,
    futex_wake,
    futex_wake_operation,
)
from goanna.kernel.thread.futex_pi import futex_lock_pi, futex_try_lock_pi, futex_unlock_pi
from goanna.kernel.time.sleep import after
from goanna.kernel.time.timer import MONOTONIC, NEVER, REAL
from goanna.kernel.time.timespec import FOREVER, get_timespec
from goanna.metal import i32, i64, metal, u32, u64

__all__ = ["sys_futex"]

PRIVATE_FLAG = 128
CLOCK_REALTIME_FLAG = 256
FLAGS = PRIVATE_FLAG | CLOCK_REALTIME_FLAG

WAIT = 0
LOCK_PI = 6
WAIT_BITSET = 9
WAIT_REQUEUE_PI = 11
LOCK_PI2 = 13
TIMED = (WAIT, LOCK_PI, WAIT_BITSET, WAIT_REQUEUE_PI, LOCK_PI2)


@metal
def sys_futex(address: u64, operation: i32, value: u32, timeout: u64, second: u64, third: u32) -> i64:
    """futex. Waiting with requeue to a priority-inheritance futex (operations 11, 12) isn't there: ENOSYS."""
    command = operation & ~FLAGS
    shared = operation & PRIVATE_FLAG == 0
    by_real_clock = operation & CLOCK_REALTIME_FLAG != 0
    deadline: u64 = NEVER
    if timeout != 0 and command in TIMED:
        time, result = get_timespec(timeout)
        if result != 0:
            return result
        if command == WAIT:
            deadline = after(time)
        elif time < FOREVER:
            deadline = time
    if by_real_clock and command not in (WAIT_BITSET, LOCK_PI2, WAIT_REQUEUE_PI):
        return -ENOSYS
    clock: u32 = REAL if by_real_clock else MONOTONIC
    # The count of a requeue is handed over in the timeout's register.
    more = i32.wrap(timeout)
    match command:
        case 0:
            return futex_wait(address, shared, value, MATCH_ANY, deadline, MONOTONIC)
        case 1:
            return futex_wake(address, shared, i32.wrap(value), MATCH_ANY)
        case 3:
            return futex_requeue(address, second, shared, i32.wrap(value), more, False, 0)
        case 4:
            return futex_requeue(address, second, shared, i32.wrap(value), more, True, third)
        case 5:
            return futex_wake_operation(address, second, shared, i32.wrap(value), more, third)
        case 6:
            return futex_lock_pi(address, shared, deadline, REAL)
        case 7:
            return futex_unlock_pi(address, shared)
        case 8:
            return futex_try_lock_pi(address, shared)
        case 9:
            return futex_wait(address, shared, value, third, deadline, clock)
        case 10:
            return futex_wake(address, shared, i32.wrap(value), third)
        case 13:
            return futex_lock_pi(address, shared, deadline, clock)
    return -ENOSYS
