"""How fast the time stamp counter and the interrupt controller's timer run: asked of the processor or the
hypervisor where they say it, measured in a millisecond where not. What the start has to do anyway passes the time.
"""

from goanna.metal import metal, struct, u32, u64, wrapping

from .apic import timer_count, timer_start
from .cpu import cpuid, time_stamp_ordered
from .port import in8, out8
from .processor import features

__all__ = ["Rates", "begin_rates", "emulated", "finish_rates"]

HYPERVISOR_LEAF = 0x4000_0000
KVM = int.from_bytes(b"KVMK", "little")
TCG = int.from_bytes(b"TCGT", "little")
VIRTUAL_TIMER = 1_000_000_000  # the controller's timer under QEMU and KVM: 1 tick a nanosecond
WINDOW = 500_000  # ns of measuring against that timer: within 50 millionths of longer measurements

PIT_RATE = 1_193_182
PIT_COUNT = 2386  # 2 ms
PIT_CHANNEL2, PIT_MODE, PIT_GATE = 0x42, 0x43, 0x61
PIT_LIMIT = 10_000_000  # reads until we take the timer for absent


@struct
class Rates:
    """Ticks a second, and how they are found out."""

    counter: u64  # 0: not known yet
    timer: u64
    start: u64  # the counter and ...
    first: u32  # ... the timer when measuring began


@metal
def signature() -> u32:
    """The first letters of the hypervisor's name; 0 on bare metal."""
    if not features.hypervisor:
        return 0
    _, name, _, _ = cpuid(HYPERVISOR_LEAF, 0)
    return name


@metal
def emulated() -> bool:
    """Whether the processor is QEMU's emulator."""
    return signature() == TCG


@metal
def told() -> u64:
    """The counter's rate as CPUID tells it: a hypervisor in kHz (leaf 0x40000010), a processor by its crystal
    (0x15).
    """
    if features.hypervisor:
        last, _, _, _ = cpuid(HYPERVISOR_LEAF, 0)
        if last >= HYPERVISOR_LEAF + 0x10:
            rate, _, _, _ = cpuid(HYPERVISOR_LEAF + 0x10, 0)
            if rate != 0:
                return u64(rate) * 1000
    if features.leaves >= 0x15:
        denominator, numerator, crystal, _ = cpuid(0x15, 0)
        if denominator != 0 and numerator != 0 and crystal != 0:
            return u64(crystal) * u64(numerator) // u64(denominator)
    return 0


@metal
def begin_rates(rates: Rates) -> None:
    """Ask for both, and begin to measure what nobody tells: `finish_rates` must follow. Takes 2 ms at most, but for a
    machine whose PIT doesn't run."""
    name = signature()
    rates.counter = told()
    rates.timer = VIRTUAL_TIMER
    if name not in (TCG, KVM):
        against_pit(rates)
    elif rates.counter == 0:
        timer_start(0xFFFF_FFFF)
        for _ in range(3):  # an emulator translates the code and wakes its timer thread before the one that counts
            rates.start, rates.first = sample()


@metal
def finish_rates(rates: Rates) -> None:
    """Fill in what is still missing, by a timer of VIRTUAL_TIMER ticks a second; WINDOW after begin_rates, or later."""
    if rates.counter != 0:
        return
    while rates.first - timer_count() < WINDOW:
        pass
    end, last = sample()
    timer_start(0)
    rates.counter = (end - rates.start) * VIRTUAL_TIMER // u64(rates.first - last)


@metal
def sample() -> tuple[u64, u32]:
    """The counter and the timer at one moment: of four readings the one that took least."""
    least: u64 = 2**63
    when: u64 = 0
    count: u32 = 0
    for _ in range(4):
        before = time_stamp_ordered()
        value = timer_count()
        took = wrapping(time_stamp_ordered() - before)
        if took < least:
            least, count, when = took, value, wrapping(before + took // 2)
    return when, count


@metal
def against_pit(rates: Rates) -> None:
    """Both rates, by channel 2 of the interval timer, whose output shows in bit 5 of port 0x61."""
    gate = in8(PIT_GATE) & 0xFC
    out8(PIT_GATE, gate | 1)
    out8(PIT_MODE, 0xB0)  # channel 2, both bytes, mode 0: output rises at the end of the count
    timer_start(0xFFFF_FFFF)
    out8(PIT_CHANNEL2, PIT_COUNT & 0xFF)
    out8(PIT_CHANNEL2, PIT_COUNT >> 8)
    start = time_stamp_ordered()
    first = timer_count()
    left: u64 = PIT_LIMIT
    while in8(PIT_GATE) & 0x20 == 0 and left != 0:
        left -= 1
    end = time_stamp_ordered()
    last = timer_count()
    timer_start(0)
    out8(PIT_GATE, gate)
    assert left != 0, "no clock to measure the time stamp counter by"
    if rates.counter == 0:
        rates.counter = (end - start) * PIT_RATE // PIT_COUNT
    rates.timer = u64(first - last) * PIT_RATE // PIT_COUNT
