"""prctl and personality: the odds and ends that a process sets for itself (prctl(2), Linux kernel/sys.c)."""

from goanna.kernel.base.errno import EFAULT, EINVAL, EPERM
from goanna.kernel.identity.credentials import CAP_LAST, CAP_SETPCAP, capable, mine
from goanna.kernel.memory import user
from goanna.kernel.thread.current import current, current_process
from goanna.metal import Array, i64, metal, u8, u32, u64


class option:
    """Linux include/uapi/linux/prctl.h."""

    SET_PDEATHSIG = 1
    GET_PDEATHSIG = 2
    GET_DUMPABLE = 3
    SET_DUMPABLE = 4
    GET_KEEPCAPS = 7
    SET_KEEPCAPS = 8
    SET_NAME = 15
    GET_NAME = 16
    GET_SECCOMP = 21
    CAPBSET_READ = 23
    CAPBSET_DROP = 24
    GET_TSC = 25
    GET_SECUREBITS = 27
    GET_TIMERSLACK = 30
    SET_CHILD_SUBREAPER = 36
    GET_CHILD_SUBREAPER = 37
    SET_NO_NEW_PRIVS = 38
    GET_NO_NEW_PRIVS = 39
    GET_TID_ADDRESS = 40
    GET_THP_DISABLE = 42
    CAP_AMBIENT = 47


SIGNALS = 64
DEFAULT_SLACK = 50_000  # nanoseconds
PR_TSC_ENABLE = 1
NAME_SIZE = 16  # TASK_COMM_LEN, the final zero counted in

AMBIENT_IS_SET = 1
AMBIENT_RAISE = 2
AMBIENT_LOWER = 3
AMBIENT_CLEAR_ALL = 4


@metal
def sys_prctl(what: u32, second: u64, third: u64, fourth: u64, fifth: u64) -> i64:
    """prctl(2). What is not here answers EINVAL, as Linux does for an option that it was built without."""
    match what:
        case option.SET_NAME:
            return set_name(second)
        case option.GET_NAME:
            return user.copy_out(second, current().name)
        case option.GET_DUMPABLE:
            return i64(current_process().dumpable)
        case option.SET_DUMPABLE:
            if second > 1:
                return -EINVAL
            current_process().dumpable = u32(second)
            return 0
        case option.SET_NO_NEW_PRIVS:
            if second != 1 or third != 0 or fourth != 0 or fifth != 0:
                return -EINVAL
            mine().no_new_privileges = True
            return 0
        case option.GET_NO_NEW_PRIVS:
            if second != 0 or third != 0 or fourth != 0 or fifth != 0:
                return -EINVAL
            return 1 if mine().no_new_privileges else 0
        case option.GET_TIMERSLACK:
            return DEFAULT_SLACK
        case option.GET_THP_DISABLE:
            return -EINVAL if second != 0 or third != 0 or fourth != 0 or fifth != 0 else 0
        case option.GET_KEEPCAPS:
            return i64(mine().keep_capabilities)
        case option.SET_KEEPCAPS:
            if second > 1:
                return -EINVAL
            mine().keep_capabilities = second != 0
            return 0
        case option.GET_SECCOMP | option.GET_SECUREBITS:
            return 0
        case option.SET_PDEATHSIG:
            if second > SIGNALS:
                return -EINVAL
            current_process().death_signal = u32(second)
            return 0
        case option.GET_PDEATHSIG:
            return user.put(second, current_process().death_signal)
        case option.SET_CHILD_SUBREAPER:
            current_process().subreaper = second != 0
            return 0
        case option.GET_CHILD_SUBREAPER:
            return user.put(second, u32(current_process().subreaper))
        case option.GET_TSC:
            return user.put(second, u32(PR_TSC_ENABLE))
        case option.GET_TID_ADDRESS:
            return user.put(second, current().clear_child_tid)
        case option.CAPBSET_READ:
            return -EINVAL if second > CAP_LAST else i64((mine().bounding >> second) & 1)
        case option.CAPBSET_DROP:
            return drop_bounding(second)
        case option.CAP_AMBIENT:
            return change_ambient(second, third, fourth, fifth)
        case _:
            return -EINVAL


@metal
def set_name(address: u64) -> i64:
    """PR_SET_NAME: up to 15 bytes; what is longer is cut."""
    text = Array[u8, NAME_SIZE]()
    length = user.copy_in_string(text[0 : NAME_SIZE - 1], address)
    if length == -EFAULT:
        return -EFAULT
    end = u64(length) if length >= 0 else u64(NAME_SIZE - 1)
    for index in range(u64(0), u64(NAME_SIZE)):
        current().name[index] = text[index] if index < end else u8(0)
    return 0


@metal
def drop_bounding(capability: u64) -> i64:
    """PR_CAPBSET_DROP."""
    if not capable(CAP_SETPCAP):
        return -EPERM
    if capability > CAP_LAST:
        return -EINVAL
    mine().bounding &= ~(u64(1) << capability)
    return 0


@metal
def change_ambient(action: u64, capability: u64, fourth: u64, fifth: u64) -> i64:
    """PR_CAP_AMBIENT."""
    me = mine()
    if fourth != 0 or fifth != 0:
        return -EINVAL
    if action == AMBIENT_CLEAR_ALL:
        if capability != 0:
            return -EINVAL
        me.ambient = 0
        return 0
    if action not in (AMBIENT_IS_SET, AMBIENT_RAISE, AMBIENT_LOWER) or capability > CAP_LAST:
        return -EINVAL
    bit = u64(1) << capability
    if action == AMBIENT_IS_SET:
        return 1 if (me.ambient & bit) != 0 else 0
    if action == AMBIENT_LOWER:
        me.ambient &= ~bit
        return 0
    if (me.permitted & me.inheritable & bit) == 0:
        return -EPERM
    me.ambient |= bit
    return 0


@metal
def sys_personality(wanted: u32) -> i64:
    """personality(2): Linux's own (0) is the only one; 0xffffffff asks for it."""
    return 0 if wanted in (0, 0xFFFFFFFF) else -EINVAL
