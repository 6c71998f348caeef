"""Simulated processors: each a stack of its own, one running at a time, a seed choosing who goes on at each preemption
point. So a test on several processors is deterministic, and a failure is found again from its seed.

A preemption point is wherever real processors meet: at a lock, at a pause, at the clock, at an interrupt sent, at user
memory. Time stands still but when a test spends it, or when all processors halt: then it jumps to the next deadline.
Outside of `simulate` there is one processor, 0, that is never preempted.
"""

from goanna.kernel.arch.host.context import Context, prepare_context, switch_context
from goanna.kernel.arch.host.frame import Frame
from goanna.metal import (
    Array,
    Fn,
    extern_static,
    hook,
    metal,
    panic,
    per_processor,
    static,
    u8,
    u32,
    u64,
    unsafe,
    wrapping,
)
from goanna.metal.unit import PROCESSOR_BLOCK

__all__ = [
    "DEADLOCK",
    "MAXIMUM_PROCESSORS",
    "PATIENCE",
    "RUNAWAY",
    "before_user",
    "counter",
    "counter_scale",
    "ending",
    "entropy",
    "halt_until_interrupt",
    "interrupt_window",
    "interrupts_sent",
    "kick",
    "now",
    "on_reschedule",
    "on_timer",
    "park",
    "park_begin",
    "park_end",
    "pass_through_user",
    "pause",
    "preemption_point",
    "processor_count",
    "processor_index",
    "raise_work",
    "random",
    "send_reschedule",
    "set_timer",
    "settle_stores",
    "simulate",
    "simulated_time",
    "spend_time",
    "stop",
    "take_work",
    "wall_clock",
]

PATIENCE = 2**31  # turns of a loop that spins, before it parks: never
MAXIMUM_PROCESSORS = 16
NEVER = 2**64 - 1
STACK_SIZE = 64 * 1024
BOOT_TIME = 1_700_000_000_000_000_000  # wall clock at time 0

DEADLOCK = 1000  # result of simulate: every processor halts and no timer is set
RUNAWAY = 1001  # result of simulate: more steps than allowed

on_timer = hook(Fn[[], None])
on_reschedule = hook(Fn[[], None])
before_user = hook(Fn[[Frame], None])

_work = per_processor(u32)  # not 0: before_user has something to do on the way to user mode

simulated_time = static(u64)  # nanoseconds since boot
interrupts_sent = static(u64)
_count = static(u32)  # of simulated processors; 0 outside of simulate
_running = static(u32)
_state = static(u64)  # of the random numbers
_outcome = static(u32)
_steps = static(u64)
_limit = static(u64)
_entry = static(Fn[[u32], None])
_outside = static(Context)
_contexts = static(Array[Context, MAXIMUM_PROCESSORS])
_halted = static(Array[bool, MAXIMUM_PROCESSORS])
_called = static(Array[bool, MAXIMUM_PROCESSORS])  # a reschedule interrupt is pending
_deadlines = static(Array[u64, MAXIMUM_PROCESSORS])
_stacks = static(Array[u8, MAXIMUM_PROCESSORS * STACK_SIZE], align=16)
_offset = extern_static("metal_percpu_offset", u64)  # of the running processor's own variables


@metal
def random() -> u64:
    """The next number of the seed's sequence (xorshift64*, Vigna 2016)."""
    global _state
    x = _state
    x ^= x >> 12
    x = wrapping(x ^ (x << 25))
    x ^= x >> 27
    _state = x
    return wrapping(x * 0x2545F4914F6CDD1D) >> 16


@metal
def simulate(entry: Fn[[u32], None], processors: u32, seed: u64, limit: u64) -> u32:
    """Run entry(index) on each of the processors until one calls stop(status): gives the status, DEADLOCK, or, after
    `limit` preemption points, RUNAWAY."""
    global _count, _running, _state, _entry, _outcome, _steps, _limit, _offset
    assert processors >= 1 and processors <= MAXIMUM_PROCESSORS, "that many processors can't be simulated"
    _state = wrapping(seed * 0x9E3779B97F4A7C15) | 1
    _entry = entry
    _steps = 0
    _limit = limit
    for i in range(u64(processors)):
        _halted[i] = False
        _called[i] = False
        _deadlines[i] = NEVER
        prepare_context(_contexts[i], unsafe.address(_stacks) + (i + 1) * STACK_SIZE, start_processor, i)
    _count = processors
    _running = 0
    _offset = 0
    switch_context(_outside, _contexts[0])
    _count = 0
    _running = 0
    _offset = 0
    return _outcome


@metal
def start_processor(index: u64) -> None:
    _entry(u32(index))
    panic("a simulated processor has nothing more to do")


@metal
def stop(status: u32) -> None:
    """End the simulation."""
    global _outcome
    assert _count != 0, "nothing is simulated that could stop"
    _outcome = status
    switch_context(_contexts[u64(_running)], _outside)


@metal
def pending(index: u64) -> bool:
    """Whether an interrupt waits for a processor."""
    return _called[index] or _deadlines[index] <= simulated_time


@metal
def run_another() -> bool:
    """Go on with another processor that can, chosen by the seed. False if there is none."""
    global _running, _offset, _steps
    _steps += 1
    if _steps > _limit:
        stop(RUNAWAY)
    able: u64 = 0
    for i in range(u64(_count)):
        if i != u64(_running) and (not _halted[i] or pending(i)):
            able += 1
    if able == 0:
        return False
    chosen = random() % able
    for i in range(u64(_count)):
        if i != u64(_running) and (not _halted[i] or pending(i)):
            if chosen == 0:
                old = u64(_running)
                _running = u32(i)
                _offset = i * PROCESSOR_BLOCK
                switch_context(_contexts[old], _contexts[i])
                return True
            chosen -= 1
    return False


@metal
def preemption_point() -> None:
    """Perhaps go on with another processor."""
    if _count > 1 and random() % 4 == 0:
        run_another()


@metal
def processor_index() -> u32:
    """The processor that runs this: a preemption point, as every lock asks it."""
    preemption_point()
    return _running


@metal
def processor_count() -> u32:
    """How many processors run."""
    return max(_count, u32(1))


@metal
def ending() -> bool:
    """Whether other processors were stopped where they were: they never are."""
    return False


@metal
def pause() -> None:
    """Let another processor go on: what this one waits for is another's to do."""
    assert run_another(), "a processor spins for what no other will do"


@metal
def settle_stores() -> None:
    """Have devices see an atomic store before what is loaded after it is loaded: here they do."""


@metal
def park_begin() -> None:
    """Announce that this processor is going to park."""


@metal
def park() -> None:
    """Wait for another processor: here as well as by `pause`."""
    pause()


@metal
def park_end() -> None:
    """It is awake."""


@metal
def kick(targets: u64) -> None:
    """Wake processors that are parked: none ever is."""


@metal
def send_reschedule(processor: u32) -> None:
    """Interrupt another processor."""
    global interrupts_sent
    interrupts_sent += 1
    _called[u64(processor)] = True
    preemption_point()


@metal
def raise_work(bits: u32) -> None:
    """Have before_user called ere this processor returns to user mode."""
    global _work
    _work |= bits


@metal
def take_work() -> u32:
    """What was raised since the last call."""
    global _work
    bits = _work
    _work = 0
    return bits


@metal
def set_timer(deadline: u64) -> None:
    """Interrupt this processor at a time, in place of the one set before. NEVER: not at all."""
    _deadlines[u64(_running)] = deadline


@metal
def deliver() -> None:
    """Take the interrupts that wait for this processor."""
    index = u64(_running)
    if _called[index]:
        _called[index] = False
        on_reschedule()
    if _deadlines[index] <= simulated_time:
        _deadlines[index] = NEVER
        on_timer()


@metal
def interrupt_window() -> None:
    """Take interrupts in the middle of long work."""
    preemption_point()
    if _count != 0:
        deliver()


@metal
def halt_until_interrupt() -> None:
    """Wait for an interrupt and take it. If all processors wait, time jumps to the first deadline."""
    global simulated_time
    me = u64(_running)
    _halted[me] = True
    while not pending(me):
        if not run_another():
            first: u64 = NEVER
            for i in range(u64(_count)):
                first = min(first, _deadlines[i])
            if first == NEVER:
                stop(DEADLOCK)
            simulated_time = max(simulated_time, first)
    _halted[me] = False
    deliver()


@metal
def pass_through_user(frame: Frame) -> None:
    """What happens between two calls of a program: other processors, interrupts, the work on the way to user mode."""
    preemption_point()
    deliver()
    while _work != 0:
        before_user(frame)


@metal
def spend_time(frame: Frame, nanoseconds: u64) -> None:
    """A program's computing: time passes, in steps that end at this processor's deadlines."""
    global simulated_time
    left = nanoseconds
    while left > 0:
        deadline = _deadlines[u64(_running)]
        step = left
        if deadline > simulated_time:
            step = min(left, deadline - simulated_time)
        simulated_time += step
        left -= step
        pass_through_user(frame)


@metal
def counter() -> u64:
    """The time stamp counter: nanoseconds here."""
    return simulated_time


@metal
def now() -> u64:
    """Nanoseconds since boot."""
    preemption_point()
    return simulated_time


@metal
def counter_scale() -> tuple[u64, u32, u64]:
    """Multiplier, shift and base: now() is the high half of ((counter() - base) << shift) * multiplier, in 128 bits.

    A multiplier of 0: user mode can't use the counter.
    """
    return u64(1) << 60, u32(4), u64(0)


@metal
def wall_clock() -> u64:
    """Nanoseconds since 1970 when now() was 0."""
    return BOOT_TIME


@metal
def entropy() -> tuple[u64, bool]:
    """Random bits of the processor, and whether there were any."""
    return random(), True
