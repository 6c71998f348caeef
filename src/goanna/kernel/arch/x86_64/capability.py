"""What programs are told of the processor at their start: the parts of the auxiliary vector that differ by machine."""

from goanna.metal import metal, sizeof, u64

from .cpu import cpuid
from .float import float_size
from .signal_frame import SignalFrame

__all__ = ["hardware_capabilities", "signal_frame_size"]

ALIGNMENT = 64  # bytes: of the float area, and what the size is rounded to
MAGIC2 = 4  # bytes of FP_XSTATE_MAGIC2 after the float area


@metal
def hardware_capabilities() -> tuple[u64, u64]:
    """AT_HWCAP (CPUID leaf 1, EDX) and AT_HWCAP2 (none of what Linux names there)."""
    _, _, _, d = cpuid(1, 0)
    return u64(d), 0


@metal
def signal_frame_size() -> u64:
    """AT_MINSIGSTKSZ: bytes that the largest signal frame can take (Linux get_sigframe_size)."""
    size = float_size() + (sizeof(SignalFrame) + MAGIC2 + 2 * ALIGNMENT)
    return (size + (ALIGNMENT - 1)) // ALIGNMENT * ALIGNMENT
