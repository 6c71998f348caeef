"""The wall clock as an offset: real time is the monotonic clock plus one number, which only setting the clock
changes."""

from goanna.kernel.arch import now, wall_clock
from goanna.metal import Atomic, metal, static, u64

__all__ = ["NANOSECONDS", "real_time", "set_wall_offset", "start_wall_clock", "wall_offset"]

NANOSECONDS = 1_000_000_000

_offset = static(Atomic[u64])  # nanoseconds since 1970 at the moment when now() was 0


@metal
def wall_offset() -> u64:
    """The nanoseconds to add to now() for the time since 1970."""
    return _offset.load()


@metal
def set_wall_offset(offset: u64) -> None:
    """Set the real time, leaving timers and the vDSO alone: callers go through clock.set_real_time."""
    _offset.store(offset)


@metal
def real_time() -> u64:
    """Nanoseconds since 1970, UTC."""
    return now() + _offset.load()


@metal
def start_wall_clock() -> None:
    """Take the machine's wall clock. Once, at start."""
    _offset.store(wall_clock())
