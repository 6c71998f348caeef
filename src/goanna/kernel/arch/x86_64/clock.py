"""Time: nanoseconds since boot from the time stamp counter, and one timer for each processor.

The counter is taken to run at one rate on all processors, which holds on every hypervisor and on any machine of the
last fifteen years. There is no periodic tick.
"""

from goanna.metal import metal, multiply_high, static, u32, u64, wrapping

from .apic import timer_deadline_mode, timer_start
from .cpu import MSR_TSC_DEADLINE, time_stamp, write_msr
from .processor import features

__all__ = ["NEVER", "counter", "counter_scale", "now", "set_rates", "set_timer", "start_timer"]

NEVER = 2**64 - 1
SHIFT = 4  # leaves 60 bits of counter: 12 years at 3 GHz
LONGEST = 2_000_000_000  # ns: a timer further off fires early, and on_timer sets it again

counter_base = static(u64)  # the counter when now() was 0
counter_multiplier = static(u64)  # 2**(64 - SHIFT) nanoseconds in a tick of the counter
counter_rate = static(u64)  # ticks in 2**32 ns
timer_rate = static(u64)  # ticks of the interrupt controller's timer in 2**32 ns


@metal(inline=True)
def counter() -> u64:
    """The time stamp counter."""
    return time_stamp()


@metal
def counter_scale() -> tuple[u64, u32, u64]:
    """Multiplier, shift and base: ns since boot = the high 64 bits of ((counter - base) << shift) * multiplier."""
    return counter_multiplier, SHIFT, counter_base


@metal(inline=True)
def now() -> u64:
    """Nanoseconds since boot."""
    return multiply_high(wrapping((time_stamp() - counter_base) << SHIFT), counter_multiplier)


@metal
def set_rates(base: u64, frequency: u64, timer_frequency: u64) -> None:
    """Ticks a second of the counter and of the timer, and the counter's value at boot. Once."""
    global counter_base, counter_multiplier, counter_rate, timer_rate
    counter_base = base
    counter_multiplier = divide_wide(1_000_000_000, 64 - SHIFT, frequency)
    counter_rate = divide_wide(frequency, 32, 1_000_000_000)
    timer_rate = divide_wide(timer_frequency, 32, 1_000_000_000)


@metal(inline=False)
def divide_wide(value: u64, shift: u64, divisor: u64) -> u64:
    """value * 2**shift / divisor, which fits into 64 bits; bit by bit, because it is wanted three times a boot."""
    quotient = value // divisor
    rest = value % divisor
    for _ in range(u64(0), shift):
        quotient = wrapping(quotient << 1)
        rest = wrapping(rest << 1)
        if rest >= divisor:
            rest -= divisor
            quotient |= 1
    return quotient


@metal
def scale(duration: u64, rate: u64) -> u64:
    """A duration of at most LONGEST in ticks of a rate."""
    return multiply_high(wrapping(duration << 32), rate)


@metal
def start_timer() -> None:
    """Make this processor's timer ready."""
    if features.tsc_deadline:
        timer_deadline_mode()


@metal
def set_timer(deadline: u64) -> None:
    """Interrupt this processor at `deadline` (ns since boot; NEVER: not at all), once, in place of what was set before.

    It may come early, if the deadline is seconds away; a deadline that has passed comes at once.
    """
    if deadline == NEVER:
        if features.tsc_deadline:
            write_msr(MSR_TSC_DEADLINE, 0)
        else:
            timer_start(0)
        return
    time = now()
    left = min(deadline - time, u64(LONGEST)) if deadline > time else u64(0)
    if features.tsc_deadline:
        write_msr(MSR_TSC_DEADLINE, time_stamp() + scale(left, counter_rate) + 1)
    else:
        timer_start(u32(scale(left, timer_rate) + 1))
