"""The base addresses of FS and GS, which programs use to find their thread's variables.

User mode can't set them itself (CR4.FSGSBASE is off), so they are read back only where a selector may have changed
them. While the kernel runs, the program's GS base waits in MSR_KERNEL_GS_BASE. The caller has checked that a base
lies in the user half: one of the kernel half would mislead the emergency entries.
"""

from goanna.metal import metal, u64

from .cpu import MSR_FS_BASE, MSR_KERNEL_GS_BASE, read_msr, write_msr

__all__ = ["get_user_gs", "set_thread_pointer", "set_user_gs", "thread_pointer"]


@metal(inline=True)
def set_thread_pointer(value: u64) -> None:
    """Set the program's FS base."""
    write_msr(MSR_FS_BASE, value)


@metal(inline=True)
def thread_pointer() -> u64:
    """The program's FS base."""
    return read_msr(MSR_FS_BASE)


@metal(inline=True)
def set_user_gs(value: u64) -> None:
    """Set the program's GS base."""
    write_msr(MSR_KERNEL_GS_BASE, value)


@metal(inline=True)
def get_user_gs() -> u64:
    """The program's GS base."""
    return read_msr(MSR_KERNEL_GS_BASE)
