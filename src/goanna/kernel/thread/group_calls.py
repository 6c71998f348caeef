"""Process groups and sessions: getpgid, setpgid, getsid, setsid (credentials(7))."""

from goanna.kernel.base.errno import EACCES, EINVAL, EPERM, ESRCH
from goanna.kernel.thread.current import current_process
from goanna.kernel.thread.process import Process, tree_lock
from goanna.kernel.thread.thread import find_in_table, names_group, next_in_table
from goanna.metal import Ptr, i32, i64, metal, u32

__all__ = ["sys_getpgid", "sys_getpgrp", "sys_getsid", "sys_setpgid", "sys_setsid"]


@metal
def process_of(id: i32) -> Ptr[Process]:
    """The process that a call means, 0 for the running one, or None. Process tree lock held."""
    if id == 0:
        return current_process()
    thread = find_in_table(u32.wrap(id))
    if thread is None:
        return None
    return thread.process


@metal
def group_in_session(group: u32, session: u32) -> bool:
    """Whether a process of a session is in a group. Process tree lock held."""
    thread = next_in_table(None)
    while thread is not None:
        process = thread.process
        if process is not None and process.group == group and process.session == session:
            return True
        thread = next_in_table(thread)
    return False


@metal
def sys_getpgid(id: i32) -> i64:
    """getpgid."""
    with tree_lock:
        process = process_of(id)
        return -ESRCH if process is None else i64(process.group)


@metal
def sys_getpgrp() -> i64:
    """getpgrp."""
    return i64(current_process().group)


@metal
def sys_getsid(id: i32) -> i64:
    """getsid."""
    with tree_lock:
        process = process_of(id)
        return -ESRCH if process is None else i64(process.session)


@metal
def sys_setsid() -> i64:
    """setsid: not for the leader of a group, nor for one whose number a group still has."""
    me = current_process()
    with tree_lock:
        if names_group(me.id):
            return -EPERM
        me.session = me.id
        me.group = me.id
        me.terminal = None
        me.lost_group = 0
        return i64(me.id)


@metal
def sys_setpgid(id: i32, group: i32) -> i64:
    """setpgid: of the running process or a child of it."""
    if group < 0:
        return -EINVAL
    me = current_process()
    with tree_lock:
        process = process_of(id)
        if process is None or (id != 0 and process.id != u32.wrap(id)):
            return -ESRCH
        if process.parent is me:
            if process.session != me.session:
                return -EPERM
            if process.executed:
                return -EACCES
        elif process is not me:
            return -ESRCH
        if process.session == process.id:
            return -EPERM
        wanted = process.id if group == 0 else u32(group)
        if wanted != process.id and not group_in_session(wanted, me.session):
            return -EPERM
        process.group = wanted
    return 0
