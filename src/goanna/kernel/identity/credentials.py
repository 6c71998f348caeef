"""User and group identities, and what a change of them does to capabilities (credentials(7), capabilities(7)).

They belong to the process: a change by one thread counts for all, which is what POSIX asks and what the C libraries and
the Go runtime bring about on Linux by repeating the call in each thread. A repeated call finds it done and succeeds.
"""

from goanna.kernel.base.errno import EFAULT, EINVAL, EPERM
from goanna.kernel.memory import user
from goanna.kernel.thread.current import current_process
from goanna.kernel.thread.process import GROUPS, Credentials
from goanna.metal import i32, i64, metal, u32, u64

CAP_CHOWN = 0
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAP_FOWNER = 3
CAP_FSETID = 4
CAP_SETGID = 6
CAP_SETUID = 7
CAP_SETPCAP = 8
CAP_NET_BIND_SERVICE = 10
CAP_NET_ADMIN = 12
CAP_NET_RAW = 13
CAP_IPC_LOCK = 14
CAP_SYS_CHROOT = 18
CAP_SYS_ADMIN = 21
CAP_SYS_RESOURCE = 24
CAP_MKNOD = 27
CAP_LEASE = 28
CAP_LAST = 40  # CAP_CHECKPOINT_RESTORE
# Those about files, which setfsuid takes and gives: CAP_LINUX_IMMUTABLE (9) and CAP_MAC_OVERRIDE (32) too (CAP_FS_SET).
FILE_CAPABILITIES = sum(1 << each for each in (CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,
                                               CAP_FSETID, 9, CAP_MKNOD, 32))  # fmt: skip
ALL_CAPABILITIES = (1 << (CAP_LAST + 1)) - 1
SAME = 0xFFFFFFFF  # -1: leave as it is


@metal
def mine() -> Credentials:
    """The credentials of the running process."""
    return current_process().credentials


@metal
def capable(capability: u64) -> bool:
    """Whether the running process may use a capability."""
    return (mine().effective >> capability) & 1 != 0


@metal
def in_group(group: u32) -> bool:
    """Whether the running process is in a group where files are concerned (in_group_p)."""
    me = mine()
    if me.file_group == group:
        return True
    for index in range(u64(me.group_count)):
        if me.groups[index] == group:
            return True
    return False


@metal
def become_root(credentials: Credentials) -> None:
    """What the first process starts with; all identities are 0 already."""
    credentials.effective = ALL_CAPABILITIES
    credentials.permitted = ALL_CAPABILITIES
    credentials.bounding = ALL_CAPABILITIES


@metal
def become_user(credentials: Credentials, user: u32, group: u32) -> None:
    """Let a process whose identities are 0 be of that user and group; who isn't root has no capabilities."""
    credentials.user = user
    credentials.effective_user = user
    credentials.saved_user = user
    credentials.file_user = user
    credentials.group = group
    credentials.effective_group = group
    credentials.saved_group = group
    credentials.file_group = group
    if user != 0:
        credentials.effective = 0
        credentials.permitted = 0


@metal
def sys_getuid() -> i64:
    """getuid(2)."""
    return i64(mine().user)


@metal
def sys_geteuid() -> i64:
    """geteuid(2)."""
    return i64(mine().effective_user)


@metal
def sys_getgid() -> i64:
    """getgid(2)."""
    return i64(mine().group)


@metal
def sys_getegid() -> i64:
    """getegid(2)."""
    return i64(mine().effective_group)


@metal
def put_three(a: u64, b: u64, c: u64, first: u32, second: u32, third: u32) -> i64:
    """Answer getresuid and getresgid."""
    if user.put(a, first) < 0 or user.put(b, second) < 0 or user.put(c, third) < 0:
        return -EFAULT
    return 0


@metal
def sys_getresuid(real: u64, effective: u64, saved: u64) -> i64:
    """getresuid(2)."""
    return put_three(real, effective, saved, mine().user, mine().effective_user, mine().saved_user)


@metal
def sys_getresgid(real: u64, effective: u64, saved: u64) -> i64:
    """getresgid(2)."""
    return put_three(real, effective, saved, mine().group, mine().effective_group, mine().saved_group)


@metal
def close_process() -> None:
    """Let nobody look into the running process who could before it changed identity (Linux commit_creds)."""
    process = current_process()
    process.dumpable = 0
    process.death_signal = 0


@metal
def set_users(real: u32, effective: u32, saved: u32) -> None:
    """Take on identities that have been allowed, and lose or regain capabilities by them (cap_task_fix_setuid)."""
    me = mine()
    was_root = me.user == 0 or me.effective_user == 0 or me.saved_user == 0
    if was_root and real != 0 and effective != 0 and saved != 0:
        me.ambient = 0
        if not me.keep_capabilities:
            me.permitted = 0
            me.effective = 0
    if me.effective_user == 0 and effective != 0:
        me.effective = 0
    elif me.effective_user != 0 and effective == 0:
        me.effective = me.permitted
    if effective != me.effective_user or effective != me.file_user:
        close_process()
    me.user = real
    me.effective_user = effective
    me.saved_user = saved
    me.file_user = effective


@metal
def set_groups(real: u32, effective: u32, saved: u32) -> None:
    """Take on group identities that have been allowed."""
    me = mine()
    if effective != me.effective_group or effective != me.file_group:
        close_process()
    me.group = real
    me.effective_group = effective
    me.saved_group = saved
    me.file_group = effective


@metal
def sys_setuid(wanted: u32) -> i64:
    """setuid(2)."""
    me = mine()
    if wanted == SAME:
        return -EINVAL
    if capable(CAP_SETUID):
        set_users(wanted, wanted, wanted)
    elif wanted in (me.user, me.saved_user):
        set_users(me.user, wanted, me.saved_user)
    else:
        return -EPERM
    return 0


@metal
def sys_setgid(wanted: u32) -> i64:
    """setgid(2)."""
    me = mine()
    if wanted == SAME:
        return -EINVAL
    if capable(CAP_SETGID):
        set_groups(wanted, wanted, wanted)
    elif wanted in (me.group, me.saved_group):
        set_groups(me.group, wanted, me.saved_group)
    else:
        return -EPERM
    return 0


@metal
def sys_setreuid(real: u32, effective: u32) -> i64:
    """setreuid(2): the saved one follows if the real one is set or the effective one leaves it."""
    me = mine()
    if not capable(CAP_SETUID):
        if real not in (SAME, me.user, me.effective_user):
            return -EPERM
        if effective not in (SAME, me.user, me.effective_user, me.saved_user):
            return -EPERM
    new_effective = me.effective_user if effective == SAME else effective
    follows = real != SAME or (effective != SAME and effective != me.user)
    saved = new_effective if follows else me.saved_user
    set_users(me.user if real == SAME else real, new_effective, saved)
    return 0


@metal
def sys_setregid(real: u32, effective: u32) -> i64:
    """setregid(2)."""
    me = mine()
    if not capable(CAP_SETGID):
        if real not in (SAME, me.group, me.effective_group):
            return -EPERM
        if effective not in (SAME, me.group, me.effective_group, me.saved_group):
            return -EPERM
    new_effective = me.effective_group if effective == SAME else effective
    follows = real != SAME or (effective != SAME and effective != me.group)
    saved = new_effective if follows else me.saved_group
    set_groups(me.group if real == SAME else real, new_effective, saved)
    return 0


@metal
def sys_setresuid(real: u32, effective: u32, saved: u32) -> i64:
    """setresuid(2)."""
    me = mine()
    if not capable(CAP_SETUID):
        if real not in (SAME, me.user, me.effective_user, me.saved_user):
            return -EPERM
        if effective not in (SAME, me.user, me.effective_user, me.saved_user):
            return -EPERM
        if saved not in (SAME, me.user, me.effective_user, me.saved_user):
            return -EPERM
    set_users(
        me.user if real == SAME else real,
        me.effective_user if effective == SAME else effective,
        me.saved_user if saved == SAME else saved,
    )
    return 0


@metal
def sys_setresgid(real: u32, effective: u32, saved: u32) -> i64:
    """setresgid(2)."""
    me = mine()
    if not capable(CAP_SETGID):
        if real not in (SAME, me.group, me.effective_group, me.saved_group):
            return -EPERM
        if effective not in (SAME, me.group, me.effective_group, me.saved_group):
            return -EPERM
        if saved not in (SAME, me.group, me.effective_group, me.saved_group):
            return -EPERM
    set_groups(
        me.group if real == SAME else real,
        me.effective_group if effective == SAME else effective,
        me.saved_group if saved == SAME else saved,
    )
    return 0


@metal
def sys_setfsuid(wanted: u32) -> i64:
    """setfsuid(2): always answers the old one."""
    me = mine()
    old = me.file_user
    if wanted != SAME and (
        capable(CAP_SETUID) or wanted in (me.user, me.effective_user, me.saved_user, me.file_user)
    ):
        if wanted != old:
            close_process()
        me.file_user = wanted
        if old == 0 and wanted != 0:
            me.effective &= ~u64(FILE_CAPABILITIES)
        elif old != 0 and wanted == 0:
            me.effective |= me.permitted & FILE_CAPABILITIES
    return i64(old)


@metal
def sys_setfsgid(wanted: u32) -> i64:
    """setfsgid(2): always answers the old one."""
    me = mine()
    old = me.file_group
    if wanted != SAME and (
        capable(CAP_SETGID) or wanted in (me.group, me.effective_group, me.saved_group, me.file_group)
    ):
        if wanted != old:
            close_process()
        me.file_group = wanted
    return i64(old)


@metal
def sys_getgroups(size: i32, address: u64) -> i64:
    """getgroups(2)."""
    count = mine().group_count
    if size < 0:
        return -EINVAL
    if size != 0:
        if u32(size) < count:
            return -EINVAL
        for index in range(u64(count)):
            if user.put(address + index * 4, mine().groups[index]) < 0:
                return -EFAULT
    return i64(count)


@metal
def sys_setgroups(size: i32, address: u64) -> i64:
    """setgroups(2): up to GROUPS of them."""
    if not capable(CAP_SETGID):
        return -EPERM
    if size < 0 or size > GROUPS:
        return -EINVAL
    for index in range(u64(size)):
        group, error = user.get(u32, address + index * 4)
        if error < 0:
            return error
        mine().groups[index] = group
    mine().group_count = u32(size)
    return 0
