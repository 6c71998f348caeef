"""The calls that change what is known of a file: mode, owner, times."""

from goanna.kernel.base.errno import (
    EACCES,
    EBADF,
    EFAULT,
    EINVAL,
    EOPNOTSUPP,
    EPERM,
    EROFS,
)
from goanna.kernel.file.attributes import (
    CHANGE_ACCESS_TIME,
    CHANGE_GROUP,
    CHANGE_MODE,
    CHANGE_MODIFY_TIME,
    CHANGE_USER,
    NANOSECONDS,
    Change,
)
from goanna.kernel.file.descriptors import get_file, get_open_file
from goanna.kernel.file.flags import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
)
from goanna.kernel.file.node import now
from goanna.kernel.file.permission import WRITE, entry_permitted
from goanna.kernel.file.place import my_place, walk_from
from goanna.kernel.file.tree import Entry
from goanna.kernel.file.walk import Path
from goanna.kernel.identity.credentials import CAP_CHOWN, CAP_FOWNER, CAP_FSETID, capable, in_group, mine
from goanna.kernel.memory import user
from goanna.metal import Array, Ptr, i32, i64, metal, struct, u8, u32, u64, unsafe

S_ISGID = 0o2000
KEEP = 0xFFFFFFFF  # -1: leave user or group as it is


@metal
def place_at(directory: i32, address: u64, flags: u32) -> tuple[Ptr[Entry], i64]:
    """What a path, or with AT_EMPTY_PATH a descriptor, names, with a reference; or None and an errno."""
    path = Path()
    length = path.load(address)
    entry: Ptr[Entry] = None
    error = length
    if length == 0 and (flags & AT_EMPTY_PATH) != 0:
        if directory == AT_FDCWD:
            path.set_dot()
            entry, error = walk_from(directory, path, True)
        else:
            entry, error = place_of(directory, True)
    elif length >= 0:
        entry, error = walk_from(directory, path, (flags & AT_SYMLINK_NOFOLLOW) == 0)
    path.release()
    return entry, error


@metal
def place_of(descriptor: i32, by_path: bool) -> tuple[Ptr[Entry], i64]:
    """What a descriptor was opened by, with a reference. -EBADF; -EPERM: by no path. `by_path`: O_PATH will do."""
    description = get_file(descriptor) if by_path else get_open_file(descriptor)
    if description is None:
        return None, -EBADF
    entry = description.entry
    if entry is not None:
        entry.hold()
    description.drop()
    return entry, 0 if entry is not None else -EPERM


@metal
def apply(entry: Ptr[Entry], error: i64, change: Change) -> i64:
    """Change the attributes of an entry, whose reference is used up, once it is known that that may be done."""
    if entry is None:
        return error
    result: i64 = -EROFS if entry.tree.read_only else 0
    if result == 0:
        result = complete(entry, change)
    if result == 0 and change.what != 0:
        result = -EPERM if entry.tree.change is None else entry.tree.change(entry, change)
    entry.drop()
    return result


@metal
def complete(entry: Entry, change: Change) -> i64:
    """Check the wish (setattr_prepare), and add what goes with it. 0 or -EPERM."""
    me = mine()
    mine_it_is = me.file_user == entry.owner()
    if change.wants(CHANGE_MODE):
        if not mine_it_is and not capable(CAP_FOWNER):
            return -EPERM
        if not in_group(entry.owner_group()) and not capable(CAP_FSETID):
            change.mode &= ~u32(S_ISGID)
    owner_changes = change.wants(CHANGE_USER) and (not mine_it_is or change.user != entry.owner())
    if owner_changes and not capable(CAP_CHOWN):
        return -EPERM
    if change.wants(CHANGE_GROUP) and not (mine_it_is and may_give(entry, change.group)) and not capable(CAP_CHOWN):
        return -EPERM
    return 0


@metal
def may_give(entry: Entry, group: u32) -> bool:
    """Whether an owner may give a file to a group."""
    return in_group(group) or group == entry.owner_group()


@metal
def sys_fchmodat(directory: i32, address: u64, mode: u32) -> i64:
    """fchmodat(2), the call, which has no flags."""
    return sys_fchmodat2(directory, address, mode, 0)


@metal
def sys_fchmodat2(directory: i32, address: u64, mode: u32, flags: u32) -> i64:
    """fchmodat2(2)."""
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0:
        return -EINVAL
    entry, error = place_at(directory, address, flags)
    if entry is not None and entry.is_link():
        entry.drop()
        return -EOPNOTSUPP
    return apply(entry, error, Change(what=CHANGE_MODE, mode=mode & 0o7777))


@metal
def sys_chmod(address: u64, mode: u32) -> i64:
    """chmod(2)."""
    return sys_fchmodat2(AT_FDCWD, address, mode, 0)


@metal
def sys_fchmod(descriptor: i32, mode: u32) -> i64:
    """fchmod(2)."""
    entry, error = place_of(descriptor, False)
    return apply(entry, error, Change(what=CHANGE_MODE, mode=mode & 0o7777))


@metal
def change_owner(entry: Ptr[Entry], error: i64, owner: u32, group: u32) -> i64:
    """chown: set-user-ID and set-group-ID go with it. The reference is used up."""
    if entry is None:
        return error
    change = Change(user=owner, group=group)
    if owner != KEEP:
        change.what |= CHANGE_USER
    if group != KEEP:
        change.what |= CHANGE_GROUP
    mode = entry.permissions()
    if not entry.is_directory() and not entry.is_link():
        kept = mode & ~u32(0o4000)
        if (mode & 0o2010) == 0o2010 or ((mode & S_ISGID) != 0 and not in_group(entry.owner_group())
                                         and not capable(CAP_FSETID)):
            kept &= ~u32(S_ISGID)
        result = apply(entry, 0, change) if kept == mode else apply_with_mode(entry, change, kept)
        return result
    if change.what == 0 and entry.node is not None:
        entry.node.changed()
    return apply(entry, 0, change)


@metal
def apply_with_mode(entry: Entry, change: Change, mode: u32) -> i64:
    """Change the owner, and then the mode, which needs no permission of its own. The reference is used up."""
    error = complete(entry, change)
    if error == 0 and entry.tree.read_only:
        error = -EROFS
    if error == 0 and entry.tree.change is None:
        error = -EPERM
    if error == 0:
        change.what |= CHANGE_MODE
        change.mode = mode
        error = entry.tree.change(entry, change)
    entry.drop()
    return error


@metal
def sys_fchownat(directory: i32, address: u64, owner: u32, group: u32, flags: u32) -> i64:
    """fchownat(2)."""
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0:
        return -EINVAL
    entry, error = place_at(directory, address, flags)
    return change_owner(entry, error, owner, group)


@metal
def sys_chown(address: u64, owner: u32, group: u32) -> i64:
    """chown(2)."""
    return sys_fchownat(AT_FDCWD, address, owner, group, 0)


@metal
def sys_lchown(address: u64, owner: u32, group: u32) -> i64:
    """lchown(2)."""
    return sys_fchownat(AT_FDCWD, address, owner, group, AT_SYMLINK_NOFOLLOW)


@metal
def sys_fchown(descriptor: i32, owner: u32, group: u32) -> i64:
    """fchown(2)."""
    entry, error = place_of(descriptor, False)
    return change_owner(entry, error, owner, group)


UTIME_NOW = 0x3FFFFFFF
UTIME_OMIT = 0x3FFFFFFE


@struct
class Times:
    """What utimensat is told."""

    access_seconds: i64
    access_nanoseconds: i64
    modify_seconds: i64
    modify_nanoseconds: i64


@metal
def set_times(entry: Ptr[Entry], error: i64, times: Times, explicit: bool) -> i64:
    """Set times, of which UTIME_NOW and UTIME_OMIT may be one. The reference is used up."""
    if entry is None:
        return error
    if not good_part(times.access_nanoseconds) or not good_part(times.modify_nanoseconds):
        entry.drop()
        return -EINVAL
    change = Change()
    both_now = times.access_nanoseconds == UTIME_NOW and times.modify_nanoseconds == UTIME_NOW
    time = now()
    if times.access_nanoseconds != UTIME_OMIT:
        change.what |= CHANGE_ACCESS_TIME
        change.access_time = time_of(times.access_seconds, times.access_nanoseconds, time)
    if times.modify_nanoseconds != UTIME_OMIT:
        change.what |= CHANGE_MODIFY_TIME
        change.modify_time = time_of(times.modify_seconds, times.modify_nanoseconds, time)
    if change.what != 0 and mine().file_user != entry.owner() and not capable(CAP_FOWNER):
        if explicit and not both_now:
            entry.drop()
            return -EPERM
        if not entry_permitted(entry, WRITE):
            entry.drop()
            return -EACCES
    return apply(entry, 0, change)


@metal
def time_of(seconds: i64, nanoseconds: i64, time: i64) -> i64:
    """Nanoseconds since 1970, of what a file can have."""
    if nanoseconds == UTIME_NOW:
        return time
    return min(max(seconds, -MOST_SECONDS), MOST_SECONDS) * NANOSECONDS + nanoseconds


MOST_SECONDS = 9_223_372_035  # that fit into 64 bits of nanoseconds


@metal
def good_part(nanoseconds: i64) -> bool:
    """Whether it is a part of a second, or one of the words."""
    return nanoseconds in (UTIME_NOW, UTIME_OMIT) or 0 <= nanoseconds < NANOSECONDS


@metal
def sys_utimensat(directory: i32, address: u64, times_address: u64, flags: u32) -> i64:
    """utimensat(2): no path means the descriptor."""
    times = Times(access_nanoseconds=UTIME_NOW, modify_nanoseconds=UTIME_NOW)
    if times_address != 0:
        if user.get_struct(times, times_address) < 0:
            return -EFAULT
        if times.access_nanoseconds == UTIME_OMIT and times.modify_nanoseconds == UTIME_OMIT:
            return 0
    if address == 0 and directory != AT_FDCWD:
        if flags != 0:
            return -EINVAL
        entry, error = place_of(directory, False)
        return set_times(entry, error, times, times_address != 0)
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0:
        return -EINVAL
    entry, error = place_at(directory, address, flags)
    return set_times(entry, error, times, times_address != 0)


@metal
def microseconds(address: u64, times: Times) -> i64:
    """The two struct timeval of utimes. 0, -EFAULT or -EINVAL."""
    if user.get_struct(times, address) < 0:
        return -EFAULT
    if times.access_nanoseconds < 0 or times.access_nanoseconds >= 1_000_000:
        return -EINVAL
    if times.modify_nanoseconds < 0 or times.modify_nanoseconds >= 1_000_000:
        return -EINVAL
    times.access_nanoseconds *= 1000
    times.modify_nanoseconds *= 1000
    return 0


@metal
def sys_futimesat(directory: i32, address: u64, times_address: u64) -> i64:
    """futimesat(2)."""
    times = Times(access_nanoseconds=UTIME_NOW, modify_nanoseconds=UTIME_NOW)
    if times_address != 0:
        error = microseconds(times_address, times)
        if error < 0:
            return error
    if address == 0 and directory != AT_FDCWD:
        entry, error = place_of(directory, False)
        return set_times(entry, error, times, times_address != 0)
    entry, error = place_at(directory, address, 0)
    return set_times(entry, error, times, times_address != 0)


@metal
def sys_utimes(address: u64, times_address: u64) -> i64:
    """utimes(2)."""
    return sys_futimesat(AT_FDCWD, address, times_address)


@metal
def sys_utime(address: u64, times_address: u64) -> i64:
    """utime(2)."""
    times = Times(access_nanoseconds=UTIME_NOW, modify_nanoseconds=UTIME_NOW)
    if times_address != 0:
        both = Array[i64, 2]()
        if user.copy_in(unsafe.slice(u8, unsafe.address(both), 16), times_address) < 0:
            return -EFAULT
        times = Times(access_seconds=both[0], modify_seconds=both[1])
    entry, error = place_at(AT_FDCWD, address, 0)
    return set_times(entry, error, times, times_address != 0)


@metal
def sys_umask(mask: u32) -> i64:
    """umask(2): the one before."""
    place = my_place()
    old = place.umask
    place.umask = mask & 0o777
    return i64(old)
