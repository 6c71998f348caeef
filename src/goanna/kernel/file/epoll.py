"""epoll: a set of files to be told about, and the list of those that may be ready (epoll(7), Linux fs/eventpoll.c).

Each file that is watched has an Item with a Watcher on the file. A change puts the item on the ready list and wakes
one waiter. Who waits takes items off that list and asks each file what holds: a level-triggered one goes back.
"""

from goanna.kernel.arch import EpollEvent
from goanna.kernel.base.errno import EFAULT, EINTR, EINVAL
from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.base.tree import Node, Tree
from goanna.kernel.file.anonymous import anonymous_attributes, seek_nowhere
from goanna.kernel.file.description import Description, Operations, on_watched_release
from goanna.kernel.file.flags import POLLERR, POLLHUP, POLLIN, POLLRDNORM
from goanna.kernel.file.watch import Watcher, Watchers
from goanna.kernel.memory import user
from goanna.kernel.memory.objects import Cache
from goanna.kernel.thread.mutex import Mutex
from goanna.kernel.thread.wait import WaitQueue, Wake
from goanna.metal import Ptr, constant, i32, i64, metal, sizeof, static, struct, u32, u64, unsafe

EPOLLEXCLUSIVE = 1 << 28
EPOLLWAKEUP = 1 << 29
EPOLLONESHOT = 1 << 30
EPOLLET = 1 << 31
PRIVATE = EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE  # bits that are no poll events
ALWAYS = POLLERR | POLLHUP
READABLE = POLLIN | POLLRDNORM


@struct
class Item:
    """struct epitem: one file that one epoll watches, under one descriptor."""

    node: Node  # Epoll.items; epoll's mutex
    key: u64  # the description's address
    description: Ptr[Description]  # no reference: at its end the description takes its items along
    descriptor: i32
    epoll: Ptr["Epoll"]
    file_link: Link  # Description.watches; its watch_lock
    ready_link: Link  # Epoll.ready; epoll's lock
    asked: u64  # the last scan that asked it; epoll's lock
    watcher: Watcher
    events: u32  # as given to epoll_ctl, ERR and HUP added; written with epoll's mutex and lock
    data: u64  # the program's own


ReadyList = List(Item, "ready_link")


@struct
class Epoll:
    """struct eventpoll."""

    mutex: Mutex  # protects items and what each says; held while files are asked
    lock: SpinLock  # protects the list and waiters; taken inside a file's Watchers
    items: Tree(Item, "node", "key")
    ready: ReadyList  # files that may be ready, whoever has waited longest to be asked first
    scan: u64  # counts the scans: each asks a file once; mutex
    waiters: WaitQueue
    watchers: Watchers  # who watches this epoll
    description: Ptr[Description]  # its own
    visit: u64  # the nesting check that has seen it; nesting_lock
    depth: u32  # what that check found

    def find(self, description: Description, descriptor: i32) -> Ptr[Item]:
        """The item of a file under a descriptor. With the mutex."""
        key = unsafe.address(description)
        item = self.items.at_least(key)
        while item is not None and item.key == key:
            if item.descriptor == descriptor:
                return item
            item = self.items.after(item)
        return None

    def make_ready(self, item: Item) -> bool:
        """Put an item on the ready list if it is not; whether a waiter was woken. With the lock."""
        if not item.ready_link.linked():
            self.ready.append(item)
        return self.waiters.wake_one()

    def forget_ready(self, item: Item) -> None:
        """Take an item off the ready list. With the lock."""
        if item.ready_link.linked():
            self.ready.remove(item)

    def next_to_ask(self) -> Ptr[Item]:
        """Take the next item off the ready list that this scan has not asked. A change from here on makes it ready
        again. With the mutex."""
        with self.lock:
            item = self.ready.head()
            if item is None or item.asked == self.scan:
                return None  # what follows became ready after it: the next scan asks
            self.ready.remove(item)
            item.asked = self.scan
            return item

    def keep_ready(self, item: Item) -> None:
        """It is still ready. With the mutex."""
        with self.lock:
            if not item.ready_link.linked():
                self.ready.append(item)

    def end_scan(self) -> None:
        """If anything is ready, the next waiter may have it. With the mutex."""
        with self.lock:
            if not self.ready.empty():
                self.waiters.wake_one()


items = Cache(Item)
epolls = Cache(Epoll)
nesting_lock = static(Mutex)  # taken before any epoll's mutex: who watches whom, and the end of a watched file


@metal
def epoll_of(description: Description) -> Epoll:
    """The epoll below a description."""
    return unsafe.at(Epoll, description.object)


@metal
def is_epoll(description: Description) -> bool:
    """Whether it is an epoll."""
    operations: Ptr[Operations] = EPOLL
    return description.operations is operations


@metal
def item_changed(watcher: Ptr[Watcher], events: u32) -> bool:
    """A watched file may have become ready: note it, wake one waiter, tell who watches this epoll."""
    item = unsafe.container(Item, "watcher", watcher)
    epoll = item.epoll
    woken = False
    with epoll.lock:
        if (item.events & ~PRIVATE) == 0:
            return False
        woken = epoll.make_ready(item)
    epoll.watchers.notify(READABLE)
    return woken


@metal
def item_events(item: Item) -> u32:
    """The events that hold now, of those wanted. With the mutex of its epoll."""
    return item.description.poll_events() & item.events


@metal
def add_item(epoll: Epoll, description: Description, descriptor: i32, events: u32, data: u64) -> bool:
    """Watch a file, which may be ready at once. With the mutex. False: memory is out."""
    item = items.allocate()
    if item is None:
        return False
    item.key = unsafe.address(description)
    item.description = description
    item.descriptor = descriptor
    item.epoll = epoll
    item.events = events
    item.data = data
    item.watcher.events = events & ~PRIVATE
    item.watcher.exclusive = (events & EPOLLEXCLUSIVE) != 0
    item.watcher.notify = item_changed
    epoll.items.insert(item)
    with description.watch_lock:
        description.watches.append(item)
    watchers = description.watcher_list()
    if watchers is not None:
        item.watcher.hang(watchers)
    ask_now(epoll, item)
    return True


@metal
def change_item(epoll: Epoll, item: Item, events: u32, data: u64) -> None:
    """Watch for other events. With the mutex."""
    watchers = item.watcher.watchers
    item.watcher.take_down()
    with epoll.lock:
        item.events = events
        item.data = data
    item.watcher.events = events & ~PRIVATE
    if watchers is not None:
        item.watcher.hang(watchers)
    ask_now(epoll, item)


@metal
def ask_now(epoll: Epoll, item: Item) -> None:
    """Make the item ready if its file is. With the mutex."""
    if item_events(item) == 0:
        return
    with epoll.lock:
        epoll.make_ready(item)
    epoll.watchers.notify(READABLE)


@metal
def remove_item(epoll: Epoll, item: Item) -> None:
    """Watch a file no more. With the mutex, and the file alive."""
    item.watcher.take_down()
    with epoll.lock:
        epoll.forget_ready(item)
    epoll.items.remove(item)
    description = item.description
    with description.watch_lock:
        description.watches.remove(item)
    items.free(item)


@metal
def deliver(epoll: Epoll, address: u64, maximum: u32) -> i64:
    """Put the events of files that are ready into user memory: how many, or -EFAULT if the first faulted."""
    count: u64 = 0
    faulted = False
    with epoll.mutex:
        epoll.scan += 1
        while count < u64(maximum):
            item = epoll.next_to_ask()
            if item is None:
                break
            events = item_events(item)
            if events == 0:
                continue
            event = EpollEvent(events=events, data=item.data)
            if user.put_struct(address + count * sizeof(EpollEvent), event) < 0:
                epoll.keep_ready(item)
                faulted = True
                break
            count += 1
            if (item.events & EPOLLONESHOT) != 0:
                with epoll.lock:
                    item.events &= PRIVATE
            elif (item.events & EPOLLET) == 0:
                epoll.keep_ready(item)
        epoll.end_scan()
    return -EFAULT if faulted and count == 0 else i64(count)


@metal
def wait_for_events(epoll: Epoll, address: u64, maximum: u32, deadline: u64) -> i64:
    """Wait until something is ready. The number of events, 0 when `deadline` (ns since boot) has passed, -EINTR."""
    while True:
        if not epoll.ready.empty():
            count = deliver(epoll, address, maximum)
            if count != 0:
                return count
        if deadline == 0:
            return 0
        with epoll.lock:
            if epoll.ready.empty():
                woken = epoll.waiters.wait(epoll.lock, deadline, True)
                if woken == Wake.SIGNAL:
                    return -EINTR
                if woken == Wake.TIMEOUT:
                    deadline = 0


@metal
def poll_epoll(description: Description) -> u32:
    """Readable if a file it watches has an event to tell."""
    epoll = epoll_of(description)
    found = False
    with epoll.mutex:
        epoll.scan += 1
        item = epoll.next_to_ask()
        while item is not None:
            if item_events(item) != 0:
                epoll.keep_ready(item)
                found = True
                break
            item = epoll.next_to_ask()
        epoll.end_scan()
    return READABLE if found else u32(0)


@metal
def epoll_watchers(description: Description) -> Ptr[Watchers]:
    """Who watches this epoll."""
    return epoll_of(description).watchers


@metal
def release_epoll(description: Description) -> None:
    """The last reference to an epoll is gone: let go of every file."""
    epoll = epoll_of(description)
    with nesting_lock:
        item = epoll.items.first()
        while item is not None:
            remove_item(epoll, item)
            item = epoll.items.first()
    epolls.free(epoll)


@metal
def release_watched(description: Description) -> None:
    """A watched file is at its end: every epoll forgets it."""
    with nesting_lock:
        while True:
            item = first_watch(description)
            if item is None:
                return
            epoll = item.epoll
            with epoll.mutex:
                remove_item(epoll, item)


@metal
def first_watch(description: Description) -> Ptr[Item]:
    """An item that watches a description, or None."""
    with description.watch_lock:
        return description.watches.head()


on_watched_release.set(release_watched)

@metal
def control_epoll(description: Description, command: u32, argument: u64) -> i64:
    """ioctl: it knows none."""
    return -EINVAL


EPOLL = constant(
    Operations,
    {
        "label": b"anon_inode:[eventpoll]",
        "poll": poll_epoll,
        "watchers": epoll_watchers,
        "seek": seek_nowhere,
        "attributes": anonymous_attributes,
        "control": control_epoll,
        "release": release_epoll,
    },
)
