"""What poll and select have in common: a set of descriptors, watched all at once, asked again whenever one changes.

The set lies in pages of its own, each with as many entries as fit, so that its size has no limit but memory.
"""

from goanna.kernel.arch import PAGE_SIZE, physical, virtual
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.description import Description
from goanna.kernel.file.descriptors import get_open_file
from goanna.kernel.file.flags import POLLNVAL
from goanna.kernel.file.watch import Watcher
from goanna.kernel.memory import pages
from goanna.kernel.thread.wait import WaitQueue, Wake
from goanna.metal import Array, Ptr, i32, metal, sizeof, struct, u32, u64, unsafe


@struct
class PollEntry:
    """One descriptor and what is asked of it."""

    watcher: Watcher
    set: Ptr["PollSet"]
    description: Ptr[Description]  # referenced; None: nothing to ask
    descriptor: i32
    events: u32  # wanted
    result: u32  # found


PER_PAGE = (PAGE_SIZE - 16) // sizeof(PollEntry)


@struct
class PollPage:
    """A page of entries."""

    next: Ptr["PollPage"]
    count: u64
    entries: Array[PollEntry, PER_PAGE]


@struct
class PollSet:
    """Lies on the stack of the thread that polls. `release` after use."""

    lock: SpinLock  # protects changed and the queue
    changed: bool  # a watcher was notified
    sleeper: WaitQueue  # the thread
    first: Ptr[PollPage]
    last: Ptr[PollPage]

    def add(self, descriptor: i32, events: u32) -> bool:
        """One more descriptor. False: memory is out."""
        if self.last is None or self.last.count == PER_PAGE:
            page = pages.allocate_zeroed()
            if page == 0:
                return False
            fresh = unsafe.at(PollPage, virtual(page))
            if self.last is None:
                self.first = fresh
            else:
                self.last.next = fresh
            self.last = fresh
        entry = self.last.entries[self.last.count]
        self.last.count += 1
        entry.set = self
        entry.descriptor = descriptor
        entry.events = events
        return True

    def open(self) -> bool:
        """Look every descriptor up. False: one is not open. Negative ones are passed over; others get POLLNVAL."""
        sound = True
        page = self.first
        while page is not None:
            for index in range(page.count):
                entry = page.entries[index]
                if entry.descriptor >= 0:
                    entry.description = get_open_file(entry.descriptor)
                    if entry.description is None:
                        entry.result = POLLNVAL
                        sound = False
            page = page.next
        return sound

    def watch(self) -> None:
        """Begin to hear of changes."""
        page = self.first
        while page is not None:
            for index in range(page.count):
                entry = page.entries[index]
                if entry.description is not None:
                    watchers = entry.description.watcher_list()
                    if watchers is not None:
                        entry.watcher.events = entry.events
                        entry.watcher.notify = entry_changed
                        entry.watcher.hang(watchers)
            page = page.next

    def ask(self) -> u64:
        """Ask every file what holds now; how many have something to say."""
        ready: u64 = 0
        page = self.first
        while page is not None:
            for index in range(page.count):
                entry = page.entries[index]
                if entry.description is not None:
                    entry.result = entry.description.poll_events() & entry.events
                if entry.result != 0:
                    ready += 1
            page = page.next
        return ready

    def wait(self, deadline: u64) -> tuple[u64, bool]:
        """Until a file has something to say, or `deadline` (ns since boot; 0: do not wait) has passed: how many have;
        and whether a signal came first."""
        ready = self.ask()
        if ready != 0 or deadline == 0:
            return ready, False
        self.watch()
        while True:
            ready = self.ask()
            if ready != 0:
                return ready, False
            with self.lock:
                if not self.changed:
                    woken = self.sleeper.wait(self.lock, deadline, True)
                    if woken == Wake.SIGNAL:
                        return 0, True
                    if woken == Wake.TIMEOUT and not self.changed:
                        return 0, False
                self.changed = False

    def release(self) -> None:
        """Stop hearing, drop the files, free the pages."""
        page = self.first
        while page is not None:
            for index in range(page.count):
                entry = page.entries[index]
                if entry.description is not None:
                    entry.watcher.take_down()
                    entry.description.drop()
            following = page.next
            pages.release(physical(unsafe.address(page)))
            page = following
        self.first = None
        self.last = None


@metal
def entry_changed(watcher: Ptr[Watcher], events: u32) -> bool:
    """A file of the set changed: have it asked again."""
    poll_set = unsafe.container(PollEntry, "watcher", watcher).set
    with poll_set.lock:
        poll_set.changed = True
        poll_set.sleeper.wake_one()
    return True
