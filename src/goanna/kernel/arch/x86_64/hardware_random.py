"""Random numbers of the processor: RDSEED, else RDRAND, else none."""

from goanna.metal import metal, u8, u64, unsafe

from .processor import features

__all__ = ["entropy"]

TRIES = 16  # both may run dry for a moment


@metal
def entropy() -> tuple[u64, bool]:
    """64 bits, and whether the processor gave any."""
    if features.rdseed:
        for _ in range(TRIES):
            value, good = unsafe.asm("rdseed $0; setc $1", "=r,=r,~{flags}", result=tuple[u64, u8])
            if good != 0:
                return value, True
    if features.rdrand:
        for _ in range(TRIES):
            value, good = unsafe.asm("rdrand $0; setc $1", "=r,=r,~{flags}", result=tuple[u64, u8])
            if good != 0:
                return value, True
    return 0, False
