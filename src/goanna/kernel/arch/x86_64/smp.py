"""Further processors: who they are, and their way from a reset into the kernel.

One after another is sent to a page of low memory (boot.py's trampoline), finds its stack and its variables in two
words that the first processor has filled in, and reports. While it is on its way the identity map is there again.
"""

from goanna.kernel.device.acpi import MADT, madt_processors
from goanna.metal import (
    Array,
    Atomic,
    Fn,
    Slice,
    extern_static,
    hook,
    metal,
    static,
    u8,
    u32,
    u64,
    unsafe,
    wrapping,
)

from .apic import enable_apic, own_apic_id, send_initialize, send_interrupt, send_startup
from .boot import boot_low_pointers, boot_top
from .call import enable_calls
from .clock import now, start_timer
from .cpu import relax, write_cr3
from .descriptor import load_descriptors
from .firmware import bios_area, configuration, configured, find_table
from .kernel_map import kernel_map_firmware, put
from .layout import KERNEL_OFFSET, PAGE_SIZE, PROCESSOR_AREA, TRAMPOLINE, virtual
from .mp_table import HEADER_SIZE, floating_pointer, table_length, table_processors
from .page_table import (
    ACCESSED,
    DIRTY,
    GLOBAL,
    NO_EXECUTE,
    PRESENT,
    WRITABLE,
    early_table_page,
    kernel_table,
    table_page_allocate,
)
from .processor import MAXIMUM_PROCESSORS, apic_ids, enable_features, features, set_processor_index, started
from .tlb import online
from .trap import RESCHEDULE

__all__ = ["processor_main", "send_reschedule", "start_processors"]

# What a further processor does once it runs: on its own stack (IDLE_STACK bytes), interrupts off. Never returns.
processor_main = hook(Fn[[], None])

SLOT = 1 << 20  # address space of one processor
EMERGENCY_TOP, EMERGENCY_STACK = 0x4_2000, 0x2000
IDLE_TOP, IDLE_STACK = 0x8_4000, 0x4000
PAGE = PRESENT | WRITABLE | ACCESSED | DIRTY | GLOBAL | NO_EXECUTE
RESET_WAIT, RETRY, PATIENCE = 10_000_000, 2_000_000, 500_000_000  # ns

# What the next processor finds in boot.py's assembly: its variables' base, the upper end of its stack.
boot_processor_base = extern_static("boot_processor_base", u64)
boot_processor_stack = extern_static("boot_processor_stack", u64)
template_start = extern_static("__percpu_start", u8)
template_end = extern_static("__percpu_end", u8)
trampoline_start = extern_static("boot_trampoline", u8)
trampoline_end = extern_static("boot_trampoline_end", u8)

coming = static(u32)  # index of the processor on its way
arrived = static(Atomic[bool])
released = static(Atomic[bool])


@metal
def find_processors() -> u64:
    """Fill apic_ids, the first processor's own first. Gives their number."""
    apic_ids[0] = own_apic_id()
    ids = Array[u32, MAXIMUM_PROCESSORS]()
    count = u64(configuration.processors()) if configured else u64(0)
    if count == 1:
        return 1
    found = madt_processors(find_table(MADT), ids)
    if found == 0:
        found = mp_processors(ids)
    if found == 0:
        found = min(count, u64(MAXIMUM_PROCESSORS))
        for index in range(u64(0), found):
            ids[index] = u32(index)
    total: u64 = 1
    for index in range(u64(0), found):
        if ids[index] != apic_ids[0] and total < MAXIMUM_PROCESSORS:
            apic_ids[total] = ids[index]
            total += 1
    return total


@metal
def mp_processors(ids: Slice[u32]) -> u64:
    """The same from the MP table, which is below 1 MiB; 0 if there is none."""
    address = floating_pointer(bios_area())
    if address == 0 or address >= 1 << 20:
        return 0
    length = table_length(unsafe.slice(u8, kernel_map_firmware(address, HEADER_SIZE), HEADER_SIZE))
    if length == 0:
        return 0
    return table_processors(unsafe.slice(u8, kernel_map_firmware(address, length), length), ids)


@metal
def map_pages(start: u64, size: u64) -> bool:
    """Zeroed memory of a processor's own. False: no page was left."""
    for index in range(u64(0), (size + (PAGE_SIZE - 1)) // PAGE_SIZE):
        page = early_table_page()
        if page == 0:
            page = table_page_allocate()
        if page == 0 or not put(start + index * PAGE_SIZE, page | PAGE):
            return False
    return True


@metal
def prepare(index: u64) -> bool:
    """Variables and stacks for a processor. False: no page was left."""
    global boot_processor_base, boot_processor_stack
    slot = PROCESSOR_AREA + index * SLOT
    size = unsafe.address(template_end) - unsafe.address(template_start)
    if not (
        map_pages(slot, size)
        and map_pages(slot + (EMERGENCY_TOP - EMERGENCY_STACK), EMERGENCY_STACK)
        and map_pages(slot + (IDLE_TOP - IDLE_STACK), IDLE_STACK)
    ):
        return False
    base = wrapping(slot - unsafe.address(template_start))
    unsafe.store(u64, slot, base)
    boot_processor_base = base
    boot_processor_stack = slot + IDLE_TOP
    return True


@metal
def start_processors(limit: u32) -> None:
    """Start the machine's further processors, so that at most `limit` (0: no limit) run. On the first one, once."""
    found = find_processors()
    if limit != 0:
        found = min(found, u64(limit))
    if found == 1:
        return
    size = unsafe.address(trampoline_end) - unsafe.address(trampoline_start)
    page = unsafe.slice(u8, virtual(TRAMPOLINE), size)
    page[0:size] = unsafe.slice(u8, virtual(unsafe.address(trampoline_start)), size)
    for index in range(u64(1), found):
        if not prepare(index) or not start_one(index):
            return


@metal
def start_one(index: u64) -> bool:
    """Send one processor on its way and wait for it. False: it doesn't come."""
    global coming
    coming = u32(index)
    arrived.store(False)
    released.store(False)
    boot_top[0] = (unsafe.address(boot_low_pointers) - KERNEL_OFFSET) | PRESENT | WRITABLE
    send_initialize(apic_ids[index])
    begin = now()
    while not features.hypervisor and now() < begin + RESET_WAIT:
        relax()
    send_startup(apic_ids[index], TRAMPOLINE >> 12)
    again = now() + RETRY
    while not arrived.load():
        if now() > again:
            send_startup(apic_ids[index], TRAMPOLINE >> 12)
            again = now() + PATIENCE
        if now() > begin + PATIENCE:
            break
        relax()
    boot_top[0] = 0
    released.store(True)
    if not arrived.load():
        return False
    while started.load() != u32(index) + 1:
        relax()
    return True


@metal(export="processor_start")
def processor_start() -> None:
    """Where a further processor enters the kernel, from boot.py."""
    index = coming
    set_processor_index(index)
    arrived.store(True)
    while not released.load():
        relax()
    write_cr3(kernel_table.root)  # forgets the identity map
    enable_features()
    load_descriptors(PROCESSOR_AREA + u64(index) * SLOT + EMERGENCY_TOP)
    enable_calls()
    enable_apic()
    start_timer()
    online.or_(u64(1) << u64(index))
    started.add(1)
    processor_main()


@metal
def send_reschedule(processor: u32) -> None:
    """Have on_reschedule called on another processor."""
    send_interrupt(u64(processor), RESCHEDULE)
