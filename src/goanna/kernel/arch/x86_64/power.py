"""The end of the machine: each way that some machine or hypervisor understands, the quickest first."""

from goanna.metal import metal, population_count, static, u8, u16, u32, unsafe, wrapping

from .apic import send_stop
from .cpu import halt_forever
from .descriptor import load_table
from .firmware import find_power_off, power, sleep_a, sleep_b
from .kernel_map import kernel_map_device
from .port import in8, out8, out16, out32
from .tlb import online
from .trap import stop_on_interrupt

__all__ = ["set_debug_exit", "stop", "stop_others"]

DEBUG_EXIT = 0xF4  # where isa-debug-exit belongs, which reads as 0; QEMU's status becomes value * 2 + 1
SLEEP_ENABLE = 1 << 13  # in PM1 control, behind SLP_TYP in bits 10 to 12
SLEEP_CONTROL_ENABLE = 1 << 5  # in the sleep control register, behind SLP_TYP in bits 2 to 4
RESET_CONTROL = 0xCF9
KEYBOARD, KEYBOARD_BUSY, KEYBOARD_RESET = 0x64, 1 << 1, 0xFE

debug_exit = static(bool)
slept = static(bool)  # ACPI was tried


@metal
def set_debug_exit() -> None:
    """The runner says that isa-debug-exit is there."""
    global debug_exit
    debug_exit = True


@metal
def stop_others() -> None:
    """Halt all other processors, whatever they do."""
    stop_on_interrupt()
    if population_count(online.load()) > 1:
        send_stop()


@metal
def sleep() -> None:
    """ACPI's S5. Returns if there is no such thing."""
    if not find_power_off():
        return
    if power.sleep != 0:
        value = wrapping(sleep_a << 2) | SLEEP_CONTROL_ENABLE
        if power.sleep_in_memory:
            unsafe.store(u8, kernel_map_device(power.sleep, 1), u8(value), volatile=True)
        else:
            out8(u16(power.sleep), u8(value))
    if power.control != 0:
        out16(u16(power.control), u16(wrapping(sleep_a << 10) | SLEEP_ENABLE))
    if power.control_b != 0:
        out16(u16(power.control_b), u16(wrapping(sleep_b << 10) | SLEEP_ENABLE))


@metal
def stop(status: u32) -> None:
    """End the machine. `status` is passed on where the machine can carry it. Never returns."""
    global slept
    if debug_exit or (status != 0 and in8(DEBUG_EXIT) == 0):
        out32(DEBUG_EXIT, status)
    if not slept:  # or it failed, and the kernel with it
        slept = True
        sleep()
    out8(RESET_CONTROL, 0x02)
    out8(RESET_CONTROL, 0x06)
    for _ in range(1000):
        if in8(KEYBOARD) & KEYBOARD_BUSY == 0:
            break
    out8(KEYBOARD, KEYBOARD_RESET)
    load_table(0, 0, True)
    unsafe.asm("ud2")  # without an interrupt table: a triple fault, which resets
    halt_forever()
