"""The whole kernel: the rooms that fill in hooks are imported here, and ROOTS is what the build compiles."""

from goanna.kernel import arch
from goanna.kernel.boot import start, wiring
from goanna.kernel.file import mapping, process_setup
from goanna.kernel.signal import deliver, fault, setup
from goanna.kernel.syscall import dispatch

__all__ = ["ROOTS", "deliver", "dispatch", "fault", "mapping", "process_setup", "setup", "wiring"]

ROOTS = [*arch.ROOTS, start.image_header]

from goanna.kernel.exec.load import map_vdso  # noqa: E402
from goanna.kernel.memory.space import AddressSpace  # noqa: E402
from goanna.metal import metal, u64  # noqa: E402

if map_vdso.function is None:

    @map_vdso.set
    @metal
    def no_vdso(space: AddressSpace) -> u64:
        """Programs make the system call."""
        return 0
