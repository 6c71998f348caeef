"""The vDSO's functions: clocks read in user mode, from the processor's counter and the page of vdso_data.py.

They are compiled in a profile of their own into the small shared object that is mapped into every program
(vdso_image.py), and use nothing of the kernel. What they can't answer they ask the kernel.
"""

from goanna.kernel.arch import VDSO_PREFIX, vdso_barrier, vdso_call, vdso_counter
from goanna.kernel.time.vdso_data import VdsoData
from goanna.metal import (
    ACQUIRE,
    extern_static,
    i32,
    i64,
    likely,
    metal,
    multiply_high,
    struct,
    u32,
    u64,
    unlikely,
    unsafe,
    wrapping,
)

__all__ = ["FUNCTIONS"]

NANOSECONDS = 1_000_000_000
TICK = 4_000_000  # clock.TICK


@struct
class Pair:
    """struct timespec."""

    seconds: u64
    nanoseconds: u64


data = extern_static("__vdso_data", VdsoData)

call_clock_gettime = vdso_call("clock_gettime")
call_clock_getres = vdso_call("clock_getres")
call_gettimeofday = vdso_call("gettimeofday")
call_getcpu = vdso_call("getcpu")


@metal(inline=True)
def monotonic() -> tuple[u64, u64, bool]:
    """Nanoseconds since boot, and what to add for real time; False if the counter can't be used."""
    while True:
        sequence = data.sequence.load(order=ACQUIRE)
        counter = vdso_counter()
        base = data.base
        shift = data.shift
        multiplier = data.multiplier
        offset = data.wall_offset
        vdso_barrier()
        if sequence & 1 == 0 and data.sequence.load(order=ACQUIRE) == sequence:
            time = multiply_high(wrapping((counter - base) << (u64(shift) & 63)), multiplier)
            return time, offset, multiplier != 0


@metal(inline=True)
def put(address: u64, time: u64) -> None:
    """Write a timespec."""
    seconds = time // NANOSECONDS
    unsafe.store(u64, address, seconds)
    unsafe.store(u64, wrapping(address + 8), wrapping(time - seconds * NANOSECONDS))


@metal(export=VDSO_PREFIX + "clock_gettime")
def clock_gettime(clock: i32, address: u64) -> i32:
    """clock_gettime: the short way for CLOCK_REALTIME and CLOCK_MONOTONIC, which programs read most."""
    if likely(u32.wrap(clock) <= 1):
        time, offset, usable = monotonic()
        if likely(usable):
            put(address, time if clock == 1 else wrapping(time + offset))
            return 0
    return other_clock(clock, address)


@metal(inline=False)
def other_clock(clock: i32, address: u64) -> i32:
    """clock_gettime of any clock."""
    time, offset, usable = monotonic()
    if usable:
        match clock:
            case 4 | 7:  # MONOTONIC_RAW, BOOTTIME
                put(address, time)
                return 0
            case 11:  # TAI
                put(address, wrapping(time + offset))
                return 0
            case 5 | 6:  # REALTIME_COARSE, MONOTONIC_COARSE
                if clock == 5:
                    time = wrapping(time + offset)
                put(address, wrapping(time - time % TICK))
                return 0
    return i32.wrap(call_clock_gettime(u64.wrap(i64(clock)), address, 0))


@metal(export=VDSO_PREFIX + "clock_getres")
def clock_getres(clock: i32, address: u64) -> i32:
    """clock_getres."""
    return i32.wrap(call_clock_getres(u64.wrap(i64(clock)), address, 0))


@metal(export=VDSO_PREFIX + "gettimeofday")
def gettimeofday(address: u64, zone: u64) -> i32:
    """gettimeofday. The time zone is UTC."""
    time, offset, usable = monotonic()
    if unlikely(not usable):
        return i32.wrap(call_gettimeofday(address, zone, 0))
    real = wrapping(time + offset)
    if address != 0:
        put(address, real)
        unsafe.store(u64, wrapping(address + 8), real % NANOSECONDS // 1000)
    if zone != 0:
        unsafe.store(u64, zone, 0, unaligned=True)
    return 0


@metal(export=VDSO_PREFIX + "time")
def time(address: u64) -> i64:
    """time."""
    since_boot, offset, usable = monotonic()
    seconds = wrapping(since_boot + offset) // NANOSECONDS
    if unlikely(not usable):
        pair = unsafe.uninitialized(Pair)
        call_clock_gettime(0, unsafe.address(pair), 0)
        seconds = pair.seconds
    if address != 0:
        unsafe.store(u64, address, seconds)
    return i64.wrap(seconds)


@metal(export=VDSO_PREFIX + "getcpu")
def getcpu(processor: u64, node: u64, unused: u64) -> i64:
    """getcpu."""
    return call_getcpu(processor, node, 0)


FUNCTIONS = {
    VDSO_PREFIX + "clock_gettime": clock_gettime,
    VDSO_PREFIX + "clock_getres": clock_getres,
    VDSO_PREFIX + "gettimeofday": gettimeofday,
    VDSO_PREFIX + "time": time,
    VDSO_PREFIX + "getcpu": getcpu,
}
