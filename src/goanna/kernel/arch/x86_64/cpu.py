"""The processor's own instructions: model-specific and control registers, CPUID, time stamp, interrupts, TLB.

Under pytest the privileged ones do nothing, so that the modules that use them run there.
"""

from goanna.metal import metal, u32, u64, unsafe, wrapping

from .layout import SIMULATED

__all__ = [
    "CR0_VALUE", "EFER_VALUE", "MSR_APIC_BASE", "MSR_EFER", "MSR_FS_BASE", "MSR_GS_BASE", "MSR_KERNEL_GS_BASE",
    "MSR_LSTAR", "MSR_PAT", "MSR_STAR", "MSR_SYSCALL_MASK", "MSR_TSC_DEADLINE", "cpuid", "halt", "halt_forever",
    "interrupt_window", "invalidate_all", "invalidate_page", "read_cr2", "read_cr3", "read_cr4", "read_msr", "relax",
    "settle_stores", "time_stamp", "time_stamp_ordered", "write_cr0", "write_cr3", "write_cr4", "write_msr",
    "write_xcr0",
]  # fmt: skip

MSR_APIC_BASE = 0x1B
MSR_PAT = 0x277
MSR_TSC_DEADLINE = 0x6E0
MSR_EFER = 0xC000_0080
MSR_STAR = 0xC000_0081
MSR_LSTAR = 0xC000_0082
MSR_SYSCALL_MASK = 0xC000_0084
MSR_FS_BASE = 0xC000_0100
MSR_GS_BASE = 0xC000_0101
MSR_KERNEL_GS_BASE = 0xC000_0102

CR0_VALUE = 1 << 31 | 1 << 18 | 1 << 16 | 1 << 5 | 1 << 4 | 1 << 1 | 1  # PG AM WP NE ET MP PE
EFER_VALUE = 1 << 11 | 1 << 8 | 1  # NXE LME SCE


@metal(inline=True)
def read_msr(number: u32) -> u64:
    """A model-specific register. One that is not there raises #GP."""
    low, high = unsafe.asm("rdmsr", "={eax},={edx},{ecx}", number, result=tuple[u32, u32])
    return wrapping(u64(high) << 32) | u64(low)


@metal(inline=True)
def write_msr(number: u32, value: u64) -> None:
    """Set a model-specific register."""
    unsafe.asm("wrmsr", "{ecx},{eax},{edx},~{memory}", number, u32.wrap(value), u32.wrap(value >> 32))


@metal
def cpuid(leaf: u32, subleaf: u32) -> tuple[u32, u32, u32, u32]:
    """EAX, EBX, ECX, EDX of a CPUID leaf."""
    a, b, c, d = unsafe.asm(
        "cpuid", "={eax},={ebx},={ecx},={edx},{eax},{ecx}", leaf, subleaf, result=tuple[u32, u32, u32, u32]
    )
    return a, b, c, d


@metal(inline=True)
def read_cr2() -> u64:
    """The address of the last page fault."""
    return unsafe.asm("mov %cr2, $0", "=r", result=u64)


@metal(inline=True)
def read_cr3() -> u64:
    """The physical address of the running page table."""
    return unsafe.asm("mov %cr3, $0", "=r", result=u64)


@metal(inline=True)
def write_cr3(value: u64) -> None:
    """Run on another page table; forgets all translations but the global ones."""
    if not SIMULATED:
        unsafe.asm("mov $0, %cr3", "r,~{memory}", value)


@metal(inline=True)
def read_cr4() -> u64:
    """Control register 4."""
    return unsafe.asm("mov %cr4, $0", "=r", result=u64)


@metal(inline=True)
def write_cr4(value: u64) -> None:
    """Set control register 4."""
    unsafe.asm("mov $0, %cr4", "r,~{memory}", value)


@metal(inline=True)
def write_cr0(value: u64) -> None:
    """Set control register 0."""
    unsafe.asm("mov $0, %cr0", "r,~{memory}", value)


@metal(inline=True)
def write_xcr0(value: u64) -> None:
    """Choose the parts of the vector state that XSAVE keeps. CR4.OSXSAVE must be on."""
    unsafe.asm("xsetbv", "{ecx},{eax},{edx}", u32(0), u32.wrap(value), u32.wrap(value >> 32))


@metal(inline=True)
def invalidate_page(address: u64) -> None:
    """Forget this processor's translation of one page."""
    if not SIMULATED:
        unsafe.asm("invlpg ($0)", "r,~{memory}", address)


@metal
def invalidate_all() -> None:
    """Forget all of this processor's translations, the kernel's global ones too."""
    if not SIMULATED:
        value = read_cr4()
        write_cr4(value & ~u64(1 << 7))
        write_cr4(value)


@metal(inline=True)
def time_stamp() -> u64:
    """The time stamp counter. Not ordered against the instructions around it."""
    low, high = unsafe.asm("rdtsc", "={eax},={edx}", result=tuple[u32, u32])
    return wrapping(u64(high) << 32) | u64(low)


@metal(inline=True)
def time_stamp_ordered() -> u64:
    """The time stamp counter, read after all earlier loads."""
    low, high = unsafe.asm("lfence; rdtsc", "={eax},={edx},~{memory}", result=tuple[u32, u32])
    return wrapping(u64(high) << 32) | u64(low)


@metal(inline=True)
def settle_stores() -> None:
    """Have devices see an atomic store before what is loaded after it is loaded.

    Such a store settles that itself; but QEMU before 8.1 leaves locks and fences of emulated code out where a machine
    has one processor, though devices work beside it. Reading the counter takes a lock of QEMU's own there.
    """
    unsafe.asm("rdtsc", "~{eax},~{edx},~{memory}")


@metal(inline=True)
def relax() -> None:
    """Tell the processor that this is a spinning loop."""
    unsafe.asm("pause", "~{memory}")


@metal(inline=True)
def halt() -> None:
    """Enable interrupts, sleep until one has been served, disable them again. One that is pending already wakes too."""
    if not SIMULATED:
        unsafe.asm("sti; hlt; cli", "~{memory}")


@metal(inline=True)
def interrupt_window() -> None:
    """Let pending interrupts in, at a place in long work where nothing is locked."""
    if not SIMULATED:
        unsafe.asm("sti; nop; cli", "~{memory}")


@metal(cold=True)
def halt_forever() -> None:
    """Stop this processor."""
    while True:
        unsafe.asm("cli; hlt", "~{memory}")
