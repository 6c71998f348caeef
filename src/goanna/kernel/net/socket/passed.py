"""Descriptors on their way from one process to another, in the queue of a socket (unix(7), SCM_RIGHTS)."""

from goanna.kernel.base.errno import EBADF, EINVAL, ENOMEM
from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.description import Description
from goanna.kernel.file.descriptors import get_file
from goanna.kernel.memory.objects import Cache
from goanna.metal import Array, Ptr, Slice, i32, i64, metal, static, struct, u8, u64, unsafe

MOST = 253  # SCM_MAX_FD


@struct
class Passed:
    """The descriptions that go along with one message, each with a reference."""

    link: Link
    count: u64
    files: Array[Ptr[Description], MOST]

    def add(self, numbers: Slice[i32]) -> i64:
        """The running process's descriptors of these numbers. 0, -EBADF, or -EINVAL for too many."""
        if self.count + len(numbers) > MOST:
            return -EINVAL
        for number in numbers:
            found = get_file(number)
            if found is None:
                return -EBADF
            self.files[self.count] = found
            self.count += 1
        return 0

    def copy(self) -> Ptr["Passed"]:
        """The same descriptions once more, or None: memory is out."""
        made = allocated.allocate()
        if made is not None:
            made.count = self.count
            for index in range(self.count):
                made.files[index] = self.files[index]
                made.files[index].hold()
        return made

    def take(self, index: u64) -> Description:
        """Take one out; its reference is the caller's."""
        found: Description = self.files[index]
        self.files[index] = None
        return found


PassedList = List(Passed, "link")
allocated = Cache(Passed)

# Dropping a description can end a socket whose queue holds descriptions in turn. So they are dropped in a loop by
# whoever finds nobody at it, and no chain of sockets is as deep as a stack.
_lock = static(SpinLock)  # protects both below
_discarded = static(PassedList)
_at_work = static(bool)


@metal
def make() -> Ptr[Passed]:
    """An empty one, or None: memory is out."""
    return allocated.allocate()


@metal
def discard(passed: Passed) -> None:
    """Let go of all that is still in it, and free it. May sleep."""
    global _at_work
    with _lock:
        _discarded.append(passed)
        if _at_work:
            return
        _at_work = True
    while True:
        next: Ptr[Passed] = None
        with _lock:
            next = _discarded.pop()
            if next is None:
                _at_work = False
                return
        for index in range(next.count):
            if next.files[index] is not None:
                next.files[index].drop()
        allocated.free(next)


@metal
def load(passed: Ptr[Passed], data: Slice[u8]) -> tuple[Ptr[Passed], i64]:
    """Add the numbers in an SCM_RIGHTS message to what there is. The result in any case; 0 or an errno."""
    count = len(data) // 4
    if count == 0:
        return passed, 0
    if count > MOST:
        return passed, -EINVAL
    if passed is None:
        passed = make()
        if passed is None:
            return None, -ENOMEM
    return passed, passed.add(unsafe.slice(i32, unsafe.address(data), count))
