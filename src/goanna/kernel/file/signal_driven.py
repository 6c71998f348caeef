"""Signals instead of polling: O_ASYNC, F_SETOWN and F_SETSIG (fcntl(2), Linux fs/fcntl.c).

Who asked for it has a watcher on what lies below the description. It is called with the locks of a pipe, socket or
terminal held, above which the process tree's stands, so it only arms a timer that is due at once; that sends.
"""

from goanna.kernel.arch import now
from goanna.kernel.base.errno import EFAULT, EINVAL, ENOMEM, ESRCH
from goanna.kernel.file.description import Description, on_owned_release
from goanna.kernel.file.flags import FASYNC, S_IFCHR, S_IFIFO, S_IFMT, S_IFSOCK
from goanna.kernel.file.watch import Watcher
from goanna.kernel.identity.credentials import mine
from goanna.kernel.memory import user
from goanna.kernel.memory.objects import Cache
from goanna.kernel.signal.info import Information
from goanna.kernel.signal.numbers import SI_KERNEL, SIGIO, SIGNALS
from goanna.kernel.signal.send import send_to_process, send_to_thread
from goanna.kernel.thread.process import Process, tree_lock
from goanna.kernel.thread.thread import Thread, find_in_table, next_in_table
from goanna.kernel.time.timer import Timer, timer_cancel, timer_pending, timer_start
from goanna.metal import Atomic, Ptr, i32, i64, metal, pointer, struct, u32, u64, unsafe

__all__ = ["get_owner", "set_asynchronous", "set_owner", "set_owner_signal"]

READABLE = 0x41  # POLLIN | POLLRDNORM
WRITABLE = 0x304  # POLLOUT | POLLWRNORM | POLLWRBAND
POLL_IN = 1  # si_code
POLL_OUT = 2

# Kinds of owners, of struct f_owner_ex.
THREAD = 0
PROCESS = 1
GROUP = 2


@struct
class Owner:
    """Who is told of a description that is ready. The tree lock protects all but the watcher and the timer."""

    watcher: Watcher
    timer: Timer  # sends, as soon as no lock is held
    events: Atomic[u32]  # poll events that were told of since it sent last
    description: Ptr[Description]
    kind: u32
    id: u32  # 0: nobody
    user: u32  # of whoever named the owner
    effective_user: u32
    number: u32  # the signal; 0: SIGIO, without the descriptor
    descriptor: i32


@struct
class OwnerRecord:
    """struct f_owner_ex."""

    kind: i32
    id: i32


owners = Cache(Owner)


@metal
def owner_of(description: Description) -> Ptr[Owner]:
    """The record of a description, made if there is none; None: memory is out."""
    found = unsafe.pointer(Owner, description.owner.load())
    if found is not None:
        return found
    made = owners.allocate()
    if made is None:
        return None
    made.description = description
    made.watcher.notify = note
    made.timer.callback = send_now
    seen, done = description.owner.compare_exchange(0, unsafe.address(made))
    if done:
        return made
    owners.free(made)
    return unsafe.pointer(Owner, seen)


@on_owned_release.set
@metal
def release_owner(description: Description) -> None:
    """The description has lost its last reference."""
    owner = unsafe.at(Owner, description.owner.load())
    owner.watcher.take_down()
    timer_cancel(pointer(owner.timer))
    owners.free(owner)


@metal
def set_asynchronous(description: Description, descriptor: i32, wanted: bool) -> i64:
    """Begin or end to send, as O_ASYNC says, where Linux does: for pipes, sockets and character devices. 0, -ENOMEM."""
    if (description.mode() & S_IFMT) not in (S_IFIFO, S_IFSOCK, S_IFCHR):
        return 0
    watchers = description.watcher_list()
    if watchers is None:
        return 0
    owner = owner_of(description)
    if owner is None:
        return -ENOMEM
    owner.watcher.take_down()
    if wanted:
        owner.descriptor = descriptor
        owner.watcher.events = READABLE if description.readable() else u32(0)
        if description.writable():
            owner.watcher.events |= WRITABLE
        owner.watcher.hang(watchers)
    return 0


@metal
def note(watcher: Ptr[Watcher], events: u32) -> bool:
    """Watcher.notify."""
    owner = unsafe.container(Owner, "watcher", watcher)
    owner.events.or_(events & (READABLE | WRITABLE))
    if not timer_pending(pointer(owner.timer)):
        timer_start(pointer(owner.timer), now())
    return False


@metal
def send_now(timer: Ptr[Timer]) -> None:
    """Tell the owner."""
    owner = unsafe.container(Owner, "timer", timer)
    events = owner.events.exchange(0)
    with tree_lock:
        if owner.id == 0 or owner.description.status.load() & FASYNC == 0:
            return
        information = Information(number=i32(owner.number), code=POLL_IN)
        if owner.number == 0:
            information.number = SIGIO
            information.code = SI_KERNEL
        else:
            if events & READABLE == 0:
                information.code = POLL_OUT
            information.details.band.events = READABLE if events & READABLE != 0 else i64(WRITABLE)
            information.details.band.descriptor = owner.descriptor
        if owner.kind != GROUP:
            thread = find_in_table(owner.id)
            if thread is not None:
                tell(owner, thread, information)
            return
        each = next_in_table(None)
        while each is not None:
            process = each.process
            if process is not None and process.id == each.id and process.group == owner.id:
                tell(owner, each, information)
            each = next_in_table(each)


@metal
def tell(owner: Owner, thread: Thread, information: Information) -> None:
    """Send to a thread or its process, if the owner's maker may (sigio_perm). Tree lock held."""
    process = thread.process
    if process is None:
        return
    other = process.credentials
    if owner.effective_user != 0 and not (
        owner.effective_user in (other.saved_user, other.user) or owner.user in (other.saved_user, other.user)
    ):
        return
    if owner.kind == THREAD:
        send_to_thread(thread, information)
    else:
        send_to_process(process, information)


@metal
def set_owner(description: Description, argument: u64, extended: bool) -> i64:
    """F_SETOWN: a process, or as a negative number a group; F_SETOWN_EX: what a struct f_owner_ex names."""
    kind: u32 = PROCESS
    wanted = i64(i32.wrap(argument))
    if extended:
        record = OwnerRecord()
        if user.get_struct(record, argument) < 0:
            return -EFAULT
        if record.kind < THREAD or record.kind > GROUP:
            return -EINVAL
        kind = u32(record.kind)
        wanted = i64(record.id)
    elif wanted < 0:
        if wanted == -(2**31):
            return -EINVAL
        kind = GROUP
        wanted = -wanted
    owner = owner_of(description)
    if owner is None:
        return -ENOMEM
    me = mine()
    with tree_lock:
        if wanted != 0 and not exists(kind, wanted):
            return -ESRCH
        owner.kind = kind
        owner.id = u32(wanted)
        owner.user = me.user
        owner.effective_user = me.effective_user
    return 0


@metal
def exists(kind: u32, id: i64) -> bool:
    """Whether there is such a thread, process or group. Tree lock held."""
    if id < 0 or id > 0x7FFFFFFF:
        return False
    if kind != GROUP:
        return find_in_table(u32(id)) is not None
    each = next_in_table(None)
    while each is not None:
        process: Ptr[Process] = each.process
        if process is not None and process.group == u32(id):
            return True
        each = next_in_table(each)
    return False


@metal
def get_owner(description: Description, address: u64, signal: bool) -> i64:
    """F_GETOWN; with an address F_GETOWN_EX; or F_GETSIG."""
    record = OwnerRecord(kind=PROCESS)
    number: i64 = 0
    with tree_lock:
        owner = unsafe.pointer(Owner, description.owner.load())
        if owner is not None:
            number = i64(owner.number)
            record.kind = i32(owner.kind)
            record.id = i32(owner.id)
    if signal:
        return number
    if address != 0:
        return user.put_struct(address, record)
    return -i64(record.id) if record.kind == GROUP else i64(record.id)


@metal
def set_owner_signal(description: Description, number: u64) -> i64:
    """F_SETSIG."""
    if number > SIGNALS:
        return -EINVAL
    owner = owner_of(description)
    if owner is None:
        return -ENOMEM
    with tree_lock:
        owner.number = u32(number)
    return 0
