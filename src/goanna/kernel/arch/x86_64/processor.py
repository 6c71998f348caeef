"""Processors: which one this is, what it can do, and the control registers that switch its protections on."""

from goanna.metal import Array, Atomic, metal, per_processor, static, struct, u32, u64

from .cpu import CR0_VALUE, cpuid, write_cr0, write_cr4, write_xcr0
from .trap import protect_user_memory

__all__ = [
    "MAXIMUM_PROCESSORS", "Features", "apic_ids", "detect_features", "enable_features", "features", "processor_count",
    "processor_index",
]  # fmt: skip

MAXIMUM_PROCESSORS = 16

X87, SSE, AVX, AVX512 = 1 << 0, 1 << 1, 1 << 2, 7 << 5  # parts of the vector state (XCR0)
VECTOR_STATE = X87 | SSE | AVX | AVX512

CR4_ALWAYS = 1 << 5 | 1 << 6 | 1 << 7 | 1 << 9 | 1 << 10  # PAE MCE PGE OSFXSR OSXMMEXCPT
CR4_UMIP, CR4_OSXSAVE, CR4_SMEP, CR4_SMAP = 1 << 11, 1 << 18, 1 << 20, 1 << 21


@struct
class Features:
    """What the processors of this machine can do; all are taken to be like the first."""

    xsave: bool
    xsaveopt: bool
    smep: bool
    smap: bool
    umip: bool
    x2apic: bool
    tsc_deadline: bool
    giant_pages: bool  # 1 GiB
    rdrand: bool
    rdseed: bool
    hypervisor: bool
    leaves: u32  # highest CPUID leaf
    xcr0: u64  # vector state that is kept; 0 without XSAVE
    float_size: u64  # bytes of it


features = static(Features)
apic_ids = static(Array[u32, MAXIMUM_PROCESSORS])
started = static(Atomic[u32], 1)
own_index = per_processor(u32)


@metal(inline=True)
def processor_index() -> u32:
    """Which processor this is: 0 is the one that booted."""
    return own_index


@metal
def set_processor_index(index: u32) -> None:
    """Once on each processor, before anything asks."""
    global own_index
    own_index = index


@metal(inline=True)
def processor_count() -> u32:
    """How many processors run."""
    return started.load()


@metal
def detect_features() -> None:
    """Ask CPUID. Once, on the first processor."""
    leaves, _, _, _ = cpuid(0, 0)
    features.leaves = leaves
    _, _, c, _ = cpuid(1, 0)
    features.xsave = c >> 26 & 1 != 0
    features.x2apic = c >> 21 & 1 != 0
    features.tsc_deadline = c >> 24 & 1 != 0
    features.rdrand = c >> 30 & 1 != 0
    features.hypervisor = c >> 31 != 0
    if leaves >= 7:
        _, b, c7, _ = cpuid(7, 0)
        features.smep = b >> 7 & 1 != 0
        features.smap = b >> 20 & 1 != 0
        features.rdseed = b >> 18 & 1 != 0
        features.umip = c7 >> 2 & 1 != 0
    _, _, _, d = cpuid(0x8000_0001, 0)
    features.giant_pages = d >> 26 & 1 != 0
    features.float_size = 512
    if features.xsave and leaves >= 0xD:
        a, _, _, high = cpuid(0xD, 0)
        features.xcr0 = (u64(a) | u64(high) << 32) & VECTOR_STATE
        if features.xcr0 & AVX512 != AVX512:
            features.xcr0 &= ~u64(AVX512)
        a1, _, _, _ = cpuid(0xD, 1)
        features.xsaveopt = a1 & 1 != 0
    else:
        features.xsave = False


@metal
def enable_features() -> None:
    """Set this processor's control registers."""
    value: u64 = CR4_ALWAYS
    if features.xsave:
        value |= CR4_OSXSAVE
    if features.smep:
        value |= CR4_SMEP
    if features.smap:
        value |= CR4_SMAP
    if features.umip:
        value |= CR4_UMIP
    write_cr0(CR0_VALUE)
    write_cr4(value)
    if features.smap:
        protect_user_memory()
    if features.xsave:
        write_xcr0(features.xcr0)
        _, size, _, _ = cpuid(0xD, 0)  # of what XCR0 names now
        features.float_size = u64(size)
