"""inotify: what happens to files, as a stream of events under a descriptor (inotify(7), Linux fs/notify/inotify).

A watch hangs on a node and tells of what is done to it and, of a directory, to what is in it. Who does something calls
`tell`; as long as nobody watches anything, that is one look at a counter.
"""

from goanna.kernel.base.errno import EAGAIN, EEXIST, EFAULT, EINVAL, ENOSPC, ENOTTY, ERESTARTSYS
from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.anonymous import anonymous_attributes
from goanna.kernel.file.description import Description, Operations
from goanna.kernel.file.events import (
    IN_ALL_EVENTS,
    IN_DELETE_SELF,
    IN_IGNORED,
    IN_MASK_ADD,
    IN_MASK_CREATE,
    IN_ONESHOT,
    IN_Q_OVERFLOW,
    on_event,
    on_gone,
    watch_count,
)
from goanna.kernel.file.flags import FIONREAD, NAME_MAX, POLLIN
from goanna.kernel.file.node import Node
from goanna.kernel.file.transfer import Transfer, put_count
from goanna.kernel.file.watch import Watchers
from goanna.kernel.memory.objects import Cache
from goanna.kernel.thread.wait import WaitQueue, Wake
from goanna.kernel.time.timer import NEVER
from goanna.metal import Array, Ptr, Slice, constant, i32, i64, metal, static, struct, u8, u32, u64, unsafe

__all__ = ["INOTIFY", "Instance", "Watch", "add_watch", "end_watches", "instances", "remove_watch"]

MOST_EVENTS = 16384  # fs.inotify.max_queued_events
MOST_WATCHES = 65536  # of one instance


@struct
class Event:
    """Something that happened. `name` is that of the file in the watched directory, if it happened to such a one."""

    link: Link
    watch: i32
    mask: u32
    cookie: u32
    length: u32
    name: Array[u8, NAME_MAX + 1]

    def size(self) -> u64:
        """Bytes of its struct inotify_event with the name, padded with zeros as Linux pads it."""
        if self.length == 0:
            return HEADER
        return HEADER + (u64(self.length) + HEADER) // HEADER * HEADER

    def same(self, other: "Event") -> bool:
        """Whether it says nothing that the other one does not."""
        if self.watch != other.watch or self.mask != other.mask or self.cookie != other.cookie:
            return False
        return self.name[0 : u64(self.length)] == other.name[0 : u64(other.length)]


HEADER = 16  # sizeof(struct inotify_event) without a name, and what names are padded to


@struct
class Watch:
    """One wish to hear of a node. watches_lock protects both lists that it is on."""

    link: Link  # the instance's
    node_link: Link  # the node's
    instance: Ptr["Instance"]
    node: Ptr[Node]  # the node drops its watches at its end
    number: i32
    mask: u32


@struct
class Instance:
    """What lies below an inotify descriptor."""

    lock: SpinLock  # protects the events and the waiting; taken after watches_lock
    events: List("goanna.kernel.file.inotify.Event", "link")
    count: u32
    bytes: u64  # that reading all events gives
    last: i32  # number given to a watch; watches_lock
    watch_total: u32  # watches_lock
    watches: List("goanna.kernel.file.inotify.Watch", "link")
    readers: WaitQueue
    watchers: Watchers


NodeWatches = List(Watch, "node_link")


@struct
class WatchList:
    """The watches of a node."""

    list: NodeWatches


events = Cache(Event)
watch_cache = Cache(Watch)
lists = Cache(WatchList)
instances = Cache(Instance)
watches_lock = static(SpinLock)  # protects all lists of watches


@metal
def queue_event(instance: Instance, watch: i32, mask: u32, cookie: u32, name: Slice[u8]) -> None:
    """Add an event to a stream, unless the last one says the same; one event tells of those that did not fit."""
    event = events.allocate()
    if event is None:
        return
    event.watch = watch
    event.mask = mask
    event.cookie = cookie
    event.length = u32(len(name))
    event.name[0 : len(name)] = name
    with instance.lock:
        last = instance.events.tail()
        if last is not None and (last.same(event) or last.mask == IN_Q_OVERFLOW):
            events.free(event)
            return
        if instance.count >= MOST_EVENTS:
            event.watch = -1
            event.mask = IN_Q_OVERFLOW
            event.cookie = 0
            event.length = 0
        instance.events.append(event)
        instance.count += 1
        instance.bytes += event.size()
        instance.readers.wake_all()
    instance.watchers.notify(POLLIN)


@on_event.set
@metal
def tell_watches(node: Node, mask: u32, cookie: u32, name: Slice[u8]) -> None:
    """Something happened to a node, or to what has a name in it."""
    with watches_lock:
        if node.watches == 0:
            return
        watch = unsafe.at(WatchList, node.watches).list.head()
        while watch is not None:
            following = unsafe.at(WatchList, node.watches).list.after(watch)
            if (watch.mask & mask & IN_ALL_EVENTS) != 0:
                queue_event(watch.instance, watch.number, mask, cookie, name)
                if (watch.mask & IN_ONESHOT) != 0:
                    take_down(watch)
            watch = following
            if node.watches == 0:
                return


@metal
def take_down(watch: Watch) -> None:
    """End a watch, and say so. With watches_lock."""
    global watch_count
    node: Node = watch.node
    list = unsafe.at(WatchList, node.watches)
    list.list.remove(watch)
    watch.instance.watches.remove(watch)
    watch.instance.watch_total -= 1
    queue_event(watch.instance, watch.number, IN_IGNORED, 0, b"")
    if list.list.empty():
        node.watches = 0
        lists.free(list)
    watch_cache.free(watch)
    watch_count.sub(1)


@on_gone.set
@metal
def end_watches(node: Node) -> None:
    """A node ends: the last that its watches hear of."""
    if node.watches == 0:
        return
    with watches_lock:
        while node.watches != 0:
            watch: Watch = unsafe.at(WatchList, node.watches).list.head()
            if (watch.mask & IN_DELETE_SELF) != 0:
                queue_event(watch.instance, watch.number, IN_DELETE_SELF, 0, b"")
            take_down(watch)


@metal
def find_watch(instance: Instance, node: Node) -> Ptr[Watch]:
    """The watch of an instance on a node, or None. With watches_lock."""
    if node.watches == 0:
        return None
    watch = unsafe.at(WatchList, node.watches).list.head()
    while watch is not None:
        if watch.instance is instance:
            return watch
        watch = unsafe.at(WatchList, node.watches).list.after(watch)
    return None


@metal
def add_watch(instance: Instance, node: Node, mask: u32) -> i64:
    """inotify_add_watch: the watch's number, an existing one's if there is one. -EEXIST, -ENOSPC."""
    global watch_count
    fresh = watch_cache.allocate()
    list = lists.allocate()
    result: i64 = -ENOSPC
    with watches_lock:
        found = find_watch(instance, node)
        if found is not None:
            result = i64(found.number)
            if (mask & IN_MASK_CREATE) != 0:
                result = -EEXIST
            elif (mask & IN_MASK_ADD) != 0:
                found.mask |= mask
            else:
                found.mask = mask
        elif fresh is not None and list is not None and instance.watch_total < MOST_WATCHES:
            if node.watches == 0:
                node.watches = unsafe.address(list)
                list = None
            instance.last += 1
            instance.watch_total += 1
            fresh.number = instance.last
            fresh.instance = instance
            fresh.node = node
            fresh.mask = mask
            unsafe.at(WatchList, node.watches).list.append(fresh)
            instance.watches.append(fresh)
            watch_count.add(1)
            result = i64(fresh.number)
            fresh = None
    if fresh is not None:
        watch_cache.free(fresh)
    if list is not None:
        lists.free(list)
    return result


@metal
def remove_watch(instance: Instance, number: i32) -> i64:
    """inotify_rm_watch: 0 or -EINVAL."""
    with watches_lock:
        watch = instance.watches.head()
        while watch is not None:
            if watch.number == number:
                take_down(watch)
                return 0
            watch = instance.watches.after(watch)
    return -EINVAL


@metal
def instance_of(description: Description) -> Instance:
    """The instance below a description."""
    return unsafe.at(Instance, description.object)


@metal
def read_events(description: Description, transfer: Transfer) -> i64:
    """Wait for an event, then give as many as fit. -EINVAL: not even the first one fits."""
    instance = instance_of(description)
    done: i64 = 0
    while True:
        event: Ptr[Event] = None
        with instance.lock:
            while instance.count == 0 and done == 0:
                if description.nonblocking() or transfer.nonblocking:
                    return -EAGAIN
                if instance.readers.wait(instance.lock, NEVER, True) == Wake.SIGNAL:
                    return -ERESTARTSYS
            event = instance.events.head()
            if event is None or event.size() > transfer.left:
                return done if done != 0 else -EINVAL
            instance.events.remove(event)
            instance.count -= 1
            instance.bytes -= event.size()
        given = give_event(event, transfer)
        if not given:
            events.free(event)
            return done if done != 0 else -EFAULT
        done += i64(event.size())
        events.free(event)


@metal
def give_event(event: Event, transfer: Transfer) -> bool:
    """Copy one event out. False: user memory faulted."""
    padded = event.size() - HEADER
    header = Array[u32, 4]()
    header[0] = u32.wrap(event.watch)
    header[1] = event.mask
    header[2] = event.cookie
    header[3] = u32(padded)
    if transfer.put(unsafe.slice(u8, unsafe.address(header), HEADER)) != HEADER:
        return False
    for index in range(u64(event.length), NAME_MAX + 1):
        event.name[index] = 0
    first = min(padded, NAME_MAX + 1)
    if transfer.put(event.name[0:first]) != first:
        return False
    return transfer.put_zeros(padded - first) == padded - first


@metal
def poll_events(description: Description) -> u32:
    """Readable if there is an event."""
    return POLLIN if instance_of(description).count != 0 else 0


@metal
def event_watchers(description: Description) -> Ptr[Watchers]:
    """Who waits for events."""
    return instance_of(description).watchers


@metal
def control_events(description: Description, command: u32, argument: u64) -> i64:
    """FIONREAD."""
    if command != FIONREAD:
        return -ENOTTY
    return put_count(argument, instance_of(description).bytes)


@metal
def release_instance(description: Description) -> None:
    """The last reference is gone."""
    instance = instance_of(description)
    with watches_lock:
        while True:
            watch = instance.watches.head()
            if watch is None:
                break
            take_down(watch)
    while True:
        event = instance.events.pop()
        if event is None:
            break
        events.free(event)
    instances.free(instance)


INOTIFY = constant(
    Operations,
    {
        "label": b"anon_inode:inotify",
        "read": read_events,
        "poll": poll_events,
        "watchers": event_watchers,
        "attributes": anonymous_attributes,
        "control": control_events,
        "release": release_instance,
    },
)
