"""The whole kernel: the rooms that fill in hooks are imported here, and ROOTS is what the build compiles."""

from goanna.kernel import arch
from goanna.kernel.boot import start, wiring
from goanna.kernel.file import mapping, process_setup
from goanna.kernel.signal import deliver, fault, setup
from goanna.kernel.syscall import dispatch

__all__ = ["ROOTS", "deliver", "dispatch", "fault", "mapping", "process_setup", "setup", "wiring"]

ROOTS = [*arch.ROOTS, start.image_header]
