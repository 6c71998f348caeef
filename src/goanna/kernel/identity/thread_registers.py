"""arch_prctl: the segment bases of x86-64, by which a thread finds its own data."""

from goanna.kernel.arch import USER_TOP, get_user_gs, set_thread_pointer, set_user_gs, thread_pointer
from goanna.kernel.base.errno import EINVAL, EPERM
from goanna.kernel.memory import user
from goanna.metal import i64, metal, u32, u64

ARCH_SET_GS = 0x1001
ARCH_SET_FS = 0x1002
ARCH_GET_FS = 0x1003
ARCH_GET_GS = 0x1004


@metal
def sys_arch_prctl(what: u32, address: u64) -> i64:
    """arch_prctl(2)."""
    if what == ARCH_GET_FS:
        return user.put(address, thread_pointer())
    if what == ARCH_GET_GS:
        return user.put(address, get_user_gs())
    if what not in (ARCH_SET_FS, ARCH_SET_GS):
        return -EINVAL
    if address >= USER_TOP:
        return -EPERM
    if what == ARCH_SET_FS:
        set_thread_pointer(address)
    else:
        set_user_gs(address)
    return 0
