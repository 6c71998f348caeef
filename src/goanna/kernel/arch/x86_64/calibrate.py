"""How fast the time stamp counter and the interrupt controller's timer run: asked of the processor or the
hypervisor where they say it, measured in a millisecond where not.
"""

from goanna.metal import metal, struct, u32, u64, wrapping

from .apic import timer_count, timer_start
from .cpu import cpuid, time_stamp_ordered
from .port import in8, out8
from .processor import features

__all__ = ["Rates", "emulated", "measure_rates"]

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
    """Ticks a second."""

    counter: u64
    timer: u64


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
def measure_rates(rates: Rates) -> None:
    """Fill in both. Takes 2 ms at most, but for a machine whose PIT doesn't run."""
    name = signature()
    rates.counter = told()
    rates.timer = VIRTUAL_TIMER
    if name in (TCG, KVM):
        if rates.counter == 0:
            rates.counter = against_timer()
    else:
        against_pit(rates)


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
def against_timer() -> u64:
    """The counter's rate, by a timer of VIRTUAL_TIMER ticks a second."""
    timer_start(0xFFFF_FFFF)
    for _ in range(2):
        sample()  # an emulator translates the code, and wakes its timer thread, before the readings that count
    start, first = sample()
    while first - timer_count() < WINDOW:
        pass
    end, last = sample()
    timer_start(0)
    return (end - start) * VIRTUAL_TIMER // u64(first - last)


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
