"""The epoll calls, and the check that epolls watch each other in no circle and at no great depth."""

from goanna.kernel.arch import EpollEvent
from goanna.kernel.base.errno import EBADF, EEXIST, EFAULT, EINTR, EINVAL, ELOOP, ENOENT, ENOMEM, EPERM
from goanna.kernel.file.deadline import deadline_of_milliseconds, deadline_of_timespec
from goanna.kernel.file.description import Description, create
from goanna.kernel.file.descriptors import add_descriptor, get_open_file
from goanna.kernel.file.epoll import (
    ALWAYS,
    EPOLL,
    EPOLLET,
    EPOLLEXCLUSIVE,
    EPOLLWAKEUP,
    Epoll,
    add_item,
    change_item,
    epoll_of,
    epolls,
    is_epoll,
    nesting_lock,
    remove_item,
    wait_for_events,
)
from goanna.kernel.file.flags import O_CLOEXEC, O_RDWR, POLLERR, POLLHUP, POLLIN, POLLOUT
from goanna.kernel.file.signal_mask import begin_temporary_mask, end_temporary_mask
from goanna.kernel.memory import user
from goanna.metal import Ptr, i32, i64, metal, sizeof, static, u32, u64, unsafe

EPOLL_CTL_ADD = 1
EPOLL_CTL_DEL = 2
EPOLL_CTL_MOD = 3
# What may be asked for together with EPOLLEXCLUSIVE.
EXCLUSIVE_EVENTS = POLLIN | POLLOUT | POLLERR | POLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE
DEEPEST = 4  # epolls below an epoll in a chain (EP_MAX_NESTS)
MAXIMUM_EVENTS = 0x7FFFFFFF // sizeof(EpollEvent)

last_visit = static(u64)  # the number of the last nesting check; nesting_lock


@metal
def sys_epoll_create(size: i32) -> i64:
    """epoll_create(2): the size has no meaning but must be above 0."""
    if size <= 0:
        return -EINVAL
    return sys_epoll_create1(0)


@metal
def sys_epoll_create1(options: u32) -> i64:
    """epoll_create1(2)."""
    if (options & ~O_CLOEXEC) != 0:
        return -EINVAL
    epoll = epolls.allocate()
    if epoll is None:
        return -ENOMEM
    description = create(EPOLL, O_RDWR, unsafe.address(epoll))
    if description is None:
        epolls.free(epoll)
        return -ENOMEM
    epoll.description = description
    return add_descriptor(description, (options & O_CLOEXEC) != 0)


@metal
def sys_epoll_ctl(descriptor: i32, operation: u32, target: i32, address: u64) -> i64:
    """epoll_ctl(2)."""
    event = EpollEvent()
    if operation != EPOLL_CTL_DEL and user.get_struct(event, address) < 0:
        return -EFAULT
    description = get_open_file(descriptor)
    if description is None:
        return -EBADF
    watched = get_open_file(target)
    if watched is None:
        description.drop()
        return -EBADF
    result = control(description, operation, watched, target, event.events, event.data)
    watched.drop()
    description.drop()
    return result


@metal
def control(
    description: Description, operation: u32, watched: Description, target: i32, asked: u32, data: u64
) -> i64:
    """One change to the set, its arguments fetched."""
    if watched.watcher_list() is None:
        return -EPERM
    if description is watched or not is_epoll(description):
        return -EINVAL
    events = (asked & ~EPOLLWAKEUP) | ALWAYS if operation != EPOLL_CTL_DEL else u32(0)
    exclusive = (events & EPOLLEXCLUSIVE) != 0
    if exclusive and operation == EPOLL_CTL_MOD:
        return -EINVAL
    if exclusive and operation == EPOLL_CTL_ADD and (is_epoll(watched) or (events & ~EXCLUSIVE_EVENTS) != 0):
        return -EINVAL
    epoll = epoll_of(description)
    if operation == EPOLL_CTL_ADD and is_epoll(watched):
        with nesting_lock:
            if nests_too_deep(epoll, epoll_of(watched)):
                return -ELOOP
            with epoll.mutex:
                return change(epoll, operation, watched, target, events, data)
    with epoll.mutex:
        return change(epoll, operation, watched, target, events, data)


@metal
def change(epoll: Epoll, operation: u32, watched: Description, target: i32, events: u32, data: u64) -> i64:
    """The change itself, with the mutex."""
    item = epoll.find(watched, target)
    if operation == EPOLL_CTL_ADD:
        if item is not None:
            return -EEXIST
        return 0 if add_item(epoll, watched, target, events, data) else -ENOMEM
    if operation not in (EPOLL_CTL_DEL, EPOLL_CTL_MOD):
        return -EINVAL
    if item is None:
        return -ENOENT
    if operation == EPOLL_CTL_DEL:
        remove_item(epoll, item)
        return 0
    if (item.events & EPOLLEXCLUSIVE) != 0:
        return -EINVAL
    change_item(epoll, item, events, data)
    return 0


@metal
def nests_too_deep(epoll: Epoll, watched: Epoll) -> bool:
    """Whether watching it would close a circle or make a chain too long. With nesting_lock."""
    global last_visit
    last_visit += 1
    below = depth_below(watched, epoll, 0)
    last_visit += 1
    return below + 1 + depth_above(epoll, 0) > DEEPEST


@metal
def depth_below(epoll: Epoll, forbidden: Ptr[Epoll], level: u32) -> u32:
    """How many epolls lie below in the longest chain; more than DEEPEST if `forbidden` is among them."""
    if epoll is forbidden or level > DEEPEST:
        return DEEPEST + 1
    if epoll.visit == last_visit:
        return epoll.depth
    deepest: u32 = 0
    with epoll.mutex:
        item = epoll.items.first()
        while item is not None:
            if is_epoll(item.description):
                deepest = max(deepest, depth_below(epoll_of(item.description), forbidden, level + 1) + 1)
            item = epoll.items.after(item)
    epoll.visit = last_visit
    epoll.depth = deepest
    return deepest


@metal
def depth_above(epoll: Epoll, level: u32) -> u32:
    """How many epolls lie above in the longest chain. Items on epolls come and go with nesting_lock or the mutex of
    one that is not below; a stale answer can only be too large."""
    if level > DEEPEST:
        return DEEPEST + 1
    if epoll.visit == last_visit:
        return epoll.depth
    highest: u32 = 0
    with epoll.description.watch_lock:
        item = epoll.description.watches.head()
        while item is not None:
            highest = max(highest, depth_above(item.epoll, level + 1) + 1)
            item = epoll.description.watches.after(item)
    epoll.visit = last_visit
    epoll.depth = highest
    return highest


@metal
def wait(descriptor: i32, address: u64, maximum: i32, deadline: u64) -> i64:
    """epoll_wait with its deadline in ns since boot; 0 does not wait."""
    description = get_open_file(descriptor)
    if description is None:
        return -EBADF
    result: i64 = -EINVAL
    if 0 < maximum <= MAXIMUM_EVENTS:
        if not user.accessible(address, u64(maximum) * sizeof(EpollEvent)):
            result = -EFAULT
        elif is_epoll(description):
            result = wait_for_events(epoll_of(description), address, u32(maximum), deadline)
    description.drop()
    return result


@metal
def sys_epoll_wait(descriptor: i32, address: u64, maximum: i32, timeout: i32) -> i64:
    """epoll_wait(2)."""
    return wait(descriptor, address, maximum, deadline_of_milliseconds(timeout))


@metal
def sys_epoll_pwait(
    descriptor: i32, address: u64, maximum: i32, timeout: i32, mask: u64, mask_size: u64
) -> i64:
    """epoll_pwait(2)."""
    return masked_wait(descriptor, address, maximum, deadline_of_milliseconds(timeout), mask, mask_size)


@metal
def sys_epoll_pwait2(
    descriptor: i32, address: u64, maximum: i32, timeout: u64, mask: u64, mask_size: u64
) -> i64:
    """epoll_pwait2(2): the timeout is a struct timespec."""
    deadline, error = deadline_of_timespec(timeout)
    if error < 0:
        return error
    return masked_wait(descriptor, address, maximum, deadline, mask, mask_size)


@metal
def masked_wait(
    descriptor: i32, address: u64, maximum: i32, deadline: u64, mask: u64, mask_size: u64
) -> i64:
    """Wait under another signal mask."""
    if mask != 0:
        error = begin_temporary_mask(mask, mask_size)
        if error < 0:
            return error
    result = wait(descriptor, address, maximum, deadline)
    if mask != 0:
        end_temporary_mask(result == -EINTR)
    return result
