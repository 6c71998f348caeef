"""How whoever waits for many files learns that one of them changed: poll, select and epoll hang a Watcher on each.

An object that can become ready keeps a Watchers list and calls `notify` with the poll events that may now hold. A call
may be early or superfluous, never missing: the watcher asks the file again (Linux: wait queues with a wake function).
"""

from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.metal import Fn, Ptr, struct, u32

ALWAYS_WATCHED = 0x18  # POLLERR | POLLHUP


@struct
class Watcher:
    """One wish to hear of a file. Lies in whatever wants to know; the list's lock protects it while it hangs."""

    link: Link
    watchers: Ptr["Watchers"]  # the list it hangs on, or None
    events: u32  # poll events it wants to hear of
    exclusive: bool  # the first exclusive watcher that makes use of a notification keeps it from the others
    notify: Fn[[Ptr["Watcher"], u32], bool]  # called with the list's lock held; whether somebody made use of it

    def hang(self, watchers: "Watchers") -> None:
        """Begin to hear of changes. Must not hang already."""
        with watchers.lock:
            self.watchers = watchers
            if self.exclusive:
                watchers.list.append(self)
            else:
                watchers.list.prepend(self)

    def take_down(self) -> None:
        """Hear no more: after this returns, `notify` neither runs nor will run. Does nothing if it does not hang."""
        watchers = self.watchers
        if watchers is None:
            return
        with watchers.lock:
            watchers.list.remove(self)
            self.watchers = None


@struct
class Watchers:
    """All who want to hear of one object. Zeroed memory is an empty list. Lives as long as its object."""

    lock: SpinLock  # protects the list; taken before epoll's and before wait queues'
    list: List("goanna.kernel.file.watch.Watcher", "link")

    def notify(self, events: u32) -> None:
        """Tell that `events` may hold now. May be called from an interrupt, and with the object's own lock held."""
        if self.list.empty():
            return
        with self.lock:
            watcher = self.list.head()
            while watcher is not None:
                following = self.list.after(watcher)
                if (events & (watcher.events | ALWAYS_WATCHED)) != 0:
                    used = watcher.notify(watcher, events)
                    if used and watcher.exclusive:
                        return
                watcher = following
