"""The order in which the first processor brings the machine up, from the first metal function to the kernel's main."""

from goanna.metal import Array, Fn, hook, metal, static, u8, u64, unsafe

from .apic import apic_address, enable_apic, set_registers
from .calibrate import Rates, begin_rates, finish_rates
from .call import enable_calls
from .clock import set_rates, start_timer
from .cpu import time_stamp
from .descriptor import load_descriptors
from .firmware import start_configuration
from .ioapic import silence_pic
from .kernel_map import kernel_map_device
from .layout import PAGE_SIZE
from .memory_map import build_direct_map, read_start_info
from .processor import detect_features, enable_features, features
from .tlb import online
from .trap import answer_refused, set_vectors
from .umip import emulate_store

__all__ = ["boot_start", "main", "start_clock"]

# The kernel above this room: on the boot stack (16 KiB), interrupts off. Never returns.
main = hook(Fn[[], None])
answer_refused.set(emulate_store)

EMERGENCY_STACK = 8192
rates = static(Rates)
boot_counter = static(u64)  # the time stamp counter at the start: when the clock was 0
emergency_stack = static(Array[u8, EMERGENCY_STACK], align=16)


@metal(export="boot_start")
def boot_start(info: u64) -> None:
    """Entered from boot.py with the physical address of the PVH start information."""
    global boot_counter
    boot_counter = time_stamp()
    set_vectors()
    load_descriptors(unsafe.address(emergency_stack) + EMERGENCY_STACK)
    detect_features()
    enable_features()
    read_start_info(info)
    build_direct_map()
    silence_pic()
    if not features.x2apic:
        set_registers(kernel_map_device(apic_address(), PAGE_SIZE))
    enable_apic()
    begin_rates(rates)
    enable_calls()
    start_configuration()
    online.store(1)
    main()


@metal
def start_clock() -> None:
    """From now on the clock runs, and this processor's timer is ready. Once, by main, before it asks for the time."""
    finish_rates(rates)
    set_rates(boot_counter, rates.counter, rates.timer)
    start_timer()
