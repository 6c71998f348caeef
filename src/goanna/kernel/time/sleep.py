"""Sleeping for a time: nanosleep and clock_nanosleep."""

from goanna.kernel.arch import now, processor_count
from goanna.kernel.base.errno import EFAULT, EINVAL, EOPNOTSUPP, ERESTART_RESTARTBLOCK, ERESTARTNOHAND
from goanna.kernel.thread.current import current
from goanna.kernel.thread.scheduler import Wake, prepare_wait
from goanna.kernel.thread.thread import RestartBlock
from goanna.kernel.thread.wait import sleep_until
from goanna.kernel.time.clock import (
    CLOCK_BOOTTIME,
    CLOCK_BOOTTIME_ALARM,
    CLOCK_MONOTONIC,
    CLOCK_PROCESS_CPUTIME_ID,
    CLOCK_REALTIME,
    CLOCK_REALTIME_ALARM,
    CLOCK_TAI,
    TICK,
    read_clock,
)
from goanna.kernel.time.timer import MONOTONIC, NEVER, REAL
from goanna.kernel.time.timespec import FOREVER, get_timespec, put_timespec
from goanna.metal import i32, i64, metal, u32, u64

__all__ = ["after", "sys_clock_nanosleep", "sys_nanosleep"]

TIMER_ABSTIME = 1


@metal
def after(nanoseconds: u64) -> u64:
    """The deadline that is a time from now, NEVER if that is beyond all times."""
    if nanoseconds >= FOREVER:
        return NEVER
    return now() + nanoseconds


@metal
def sys_nanosleep(request: u64, remaining: u64) -> i64:
    """nanosleep."""
    time, result = get_timespec(request)
    if result != 0:
        return result
    return sleep_for(after(time), remaining)


@metal
def sys_clock_nanosleep(clock: i32, flags: i32, request: u64, remaining: u64) -> i64:
    """clock_nanosleep."""
    if clock in (CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM):
        return -EOPNOTSUPP
    _, result = read_clock(clock)
    if result != 0:
        return result
    by_processor = clock < 0 or clock == CLOCK_PROCESS_CPUTIME_ID
    real = clock in (CLOCK_REALTIME, CLOCK_TAI)
    monotonic = clock in (CLOCK_MONOTONIC, CLOCK_BOOTTIME)
    if not by_processor and not real and not monotonic:
        return -EOPNOTSUPP
    time, result = get_timespec(request)
    if result != 0:
        return result
    absolute = flags & TIMER_ABSTIME != 0
    if by_processor:
        return sleep_by_processor(clock, time, absolute, remaining)
    if not absolute:
        return sleep_for(after(time), remaining)
    if time >= FOREVER:
        time = NEVER
    if real:
        return sleep_to(time, REAL)
    return sleep_to(time, MONOTONIC)


@metal
def sleep_to(deadline: u64, clock: u32) -> i64:
    """Sleep until a time on the clock MONOTONIC or REAL; a signal's handler ends it."""
    me = current()
    prepare_wait(me, True)
    return 0 if sleep_until(me, deadline, clock) == Wake.TIMEOUT else -ERESTARTNOHAND


@metal
def sleep_for(deadline: u64, remaining: u64) -> i64:
    """Sleep until a deadline that was a time from now: if a signal ends it, the program is told what was left."""
    if sleep_to(deadline, MONOTONIC) == 0:
        return 0
    time = now()
    if deadline <= time:
        return 0
    if remaining != 0:
        left: u64 = FOREVER if deadline == NEVER else deadline - time
        if put_timespec(remaining, left) != 0:
            return -EFAULT
    me = current()
    me.restart.call = sleep_again
    me.restart.address = remaining
    me.restart.deadline = deadline
    return -ERESTART_RESTARTBLOCK


@metal
def sleep_again(block: RestartBlock) -> i64:
    """sleep_for after a signal that no handler took."""
    return sleep_for(block.deadline, block.address)


PER_THREAD_CLOCK = 4


@metal
def sleep_by_processor(clock: i32, time: u64, absolute: bool, remaining: u64) -> i64:
    """Sleep until a clock of processor time has reached a time. A thread can't wait for its own."""
    if clock < 0 and u32.wrap(clock) & PER_THREAD_CLOCK != 0:
        id = ~u32.wrap(clock >> 3)
        if id == 0 or id == current().id:
            return -EINVAL
    reading, result = read_clock(clock)
    if result != 0:
        return result
    if not absolute:
        time = FOREVER if time >= FOREVER - reading else reading + time
    result = sleep_to_reading(clock, time)
    if result >= 0 or absolute:
        return result
    reading, gone = read_clock(clock)
    if gone != 0 or reading >= time:
        return gone
    if remaining != 0 and put_timespec(remaining, time - reading) != 0:
        return -EFAULT
    me = current()
    me.restart.call = sleep_by_processor_again
    me.restart.address = remaining
    me.restart.deadline = time
    me.restart.clock = u32.wrap(clock)
    return -ERESTART_RESTARTBLOCK


@metal
def sleep_to_reading(clock: i32, time: u64) -> i64:
    """Sleep until a clock shows a time, looking again when it can have reached it at the earliest, at most once a
    tick."""
    while True:
        reading, result = read_clock(clock)
        if result != 0 or reading >= time:
            return result
        least = (time - reading) // u64(processor_count())
        if sleep_to(after(max(least, u64(TICK))), MONOTONIC) != 0:
            return -ERESTARTNOHAND


@metal
def sleep_by_processor_again(block: RestartBlock) -> i64:
    """sleep_by_processor after a signal that no handler took."""
    return sleep_by_processor(i32.wrap(block.clock), block.deadline, True, block.address)
