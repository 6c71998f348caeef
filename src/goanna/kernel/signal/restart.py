"""restart_syscall: goes on with a call that a stop or another signal without a handler has interrupted, with the time
that is left. deliver() has the program make it; what going on means, the interrupted call has left in Thread.restart.
"""

from goanna.kernel.base.errno import EINTR
from goanna.kernel.thread.current import current
from goanna.metal import i64, metal

__all__ = ["sys_restart_syscall"]


@metal
def sys_restart_syscall() -> i64:
    """restart_syscall. Programs never call it themselves: then there is nothing to go on with, and it answers EINTR."""
    restart = current().restart
    if restart.call is None:
        return -EINTR
    return restart.call(restart)
