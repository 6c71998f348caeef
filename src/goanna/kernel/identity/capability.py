"""capget, capset: the capability sets of a process (capabilities(7), Linux kernel/capability.c)."""

from goanna.kernel.base.errno import EFAULT, EINVAL, EPERM, ESRCH
from goanna.kernel.identity.credentials import ALL_CAPABILITIES, mine
from goanna.kernel.memory import user
from goanna.kernel.thread.current import current
from goanna.kernel.thread.process import Credentials
from goanna.kernel.thread.thread import find_thread, release_thread
from goanna.metal import Array, i32, i64, metal, struct, u32, u64

VERSION_1 = 0x19980330  # 32 capabilities
VERSION_2 = 0x20071026  # 64 of them
VERSION_3 = 0x20080522


@struct
class Header:
    """struct __user_cap_header_struct."""

    version: u32
    thread: i32


@struct
class Sets:
    """struct __user_cap_data_struct[2]: low halves, then high halves."""

    words: Array[u32, 6]

    def get(self, which: u64) -> u64:
        """One set: 0 effective, 1 permitted, 2 inheritable."""
        return u64(self.words[which]) | (u64(self.words[which + 3]) << 32)

    def set(self, which: u64, value: u64) -> None:
        """Write one set."""
        self.words[which] = u32.wrap(value)
        self.words[which + 3] = u32(value >> 32)


@metal
def read_header(header: Header, address: u64) -> tuple[u64, i64]:
    """Bytes of the sets that follow the header's version. An unknown version is answered with ours and -EINVAL."""
    if user.get_struct(header, address) < 0:
        return 0, -EFAULT
    if header.version == VERSION_1:
        return 12, 0
    if header.version in (VERSION_2, VERSION_3):
        return 24, 0
    if user.put(address, u32(VERSION_3)) < 0:
        return 0, -EFAULT
    return 0, -EINVAL


@metal
def sys_capget(header_address: u64, data: u64) -> i64:
    """capget(2)."""
    header = Header()
    size, error = read_header(header, header_address)
    if error < 0:
        return 0 if error == -EINVAL and data == 0 else error
    if header.thread < 0:
        return -EINVAL
    sets = Sets()
    if header.thread == 0 or u32(header.thread) == current().id:
        fill_sets(sets, mine())
    else:
        thread = find_thread(u32(header.thread))
        if thread is None:
            return -ESRCH
        if thread.process is not None:
            fill_sets(sets, thread.process.credentials)
        release_thread(thread)
    return 0 if data == 0 else copy_sets(data, sets, size)


@metal
def copy_sets(address: u64, sets: Sets, size: u64) -> i64:
    """Give the program as many words as its version has."""
    for index in range(size // 4):
        if user.put(address + index * 4, sets.words[index]) < 0:
            return -EFAULT
    return 0


@metal
def fill_sets(sets: Sets, credentials: Credentials) -> None:
    """What a process has."""
    sets.set(0, credentials.effective)
    sets.set(1, credentials.permitted)
    sets.set(2, credentials.inheritable)


@metal
def sys_capset(header_address: u64, data: u64) -> i64:
    """capset(2): only of oneself; nothing that is not permitted already."""
    header = Header()
    size, error = read_header(header, header_address)
    if error < 0:
        return error
    if header.thread != 0 and header.thread != i32(current().id):
        return -EPERM
    sets = Sets()
    for index in range(size // 4):
        word, error = user.get(u32, data + index * 4)
        if error < 0:
            return error
        sets.words[index] = word
    me = mine()
    effective = sets.get(0) & ALL_CAPABILITIES
    permitted = sets.get(1) & ALL_CAPABILITIES
    inheritable = sets.get(2) & ALL_CAPABILITIES
    if (permitted & ~me.permitted) != 0 or (effective & ~permitted) != 0:
        return -EPERM
    if (inheritable & ~(me.inheritable | me.permitted)) != 0:
        return -EPERM
    me.effective = effective
    me.permitted = permitted
    me.inheritable = inheritable
    me.ambient &= permitted & inheritable
    return 0
