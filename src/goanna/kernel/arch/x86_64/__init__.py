"""x86-64: PCs and virtual machines that a PVH loader starts. See the modules for what each name means."""

from .boot import ASSEMBLY
from .capability import hardware_capabilities, signal_frame_size
from .call import enable_calls, on_call, set_kernel_stack, user_frame
from .clock import NEVER, counter, counter_scale, now, set_timer
from .console import CONSOLE_LINE, CONTROL_LINE, console_port, console_write, control_port
from .context import Context, prepare_context, switch_context
from .cpu import halt as halt_until_interrupt
from .cpu import halt_forever, interrupt_window
from .entropy import entropy
from .fault_name import fault_name
from .fault_signal import fault_signal, page_fault_error
from .firmware import configuration, configured
from .float import float_init, float_mask, float_restore, float_restore_checked, float_save, float_size
from .frame import FRAME_LINE, Frame, describe_frame
from .interface import ELF_MACHINE, ELF_RELATIVE, MACHINE_NAME, O_DIRECT, O_DIRECTORY, O_LARGEFILE, O_NOFOLLOW, PLATFORM, EpollEvent, Stat
from .ioapic import route_interrupt
from .kernel_map import kernel_map, kernel_map_device, kernel_map_firmware, kernel_unmap
from .layout import (
    DIRECT_MAP,
    HUGE_SIZE,
    KERNEL_AREA,
    KERNEL_OFFSET,
    KERNEL_PHYSICAL,
    KERNEL_VIRTUAL,
    LOWEST_KERNEL_ADDRESS,
    PAGE_SHIFT,
    PAGE_SIZE,
    USER_TOP,
    physical,
    virtual,
)
from .memory_map import command_line, give_memory, image_end, memory_size
from .numbers import SYSCALL_NUMBERS
from .page_table import (
    PageTable,
    entry_accessed,
    entry_dirty,
    entry_huge,
    entry_physical,
    entry_writable,
    kernel_table,
    table_create,
    table_destroy,
    table_lookup,
    table_map,
    table_map_huge,
    table_next,
    table_page_allocate,
    table_page_free,
    table_protect,
    table_split_huge,
    table_trim,
    table_unmap,
)
from .power import set_debug_exit, stop, stop_others
from .processor import MAXIMUM_PROCESSORS, processor_count, processor_index
from .signal_frame import MINIMUM_SIGNAL_STACK, call_restart_by, signal_frame_pop, signal_frame_push
from .smp import processor_main, processor_start, send_reschedule, start_processors
from .start import boot_start, main
from .thread_register import get_user_gs, set_thread_pointer, set_user_gs, thread_pointer
from .tlb import pause, table_switch, tlb_flush
from .trap import (
    EXECUTE,
    READ,
    WRITE,
    before_user,
    enter_user,
    on_kernel_fault,
    on_page_fault,
    on_reschedule,
    on_timer,
    on_user_fault,
    raise_work,
    take_work,
)
from .user_copy import user_compare_exchange32, user_copy_in, user_copy_out, user_load32, user_store32, user_zero
from .wall_clock import wall_clock

ROOTS = (boot_start, processor_start)  # what ASSEMBLY calls

__all__ = [name for name in dir() if not name.startswith("_")]
