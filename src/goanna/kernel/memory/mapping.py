"""mmap, munmap and brk: what makes and unmakes areas. Results and errors are Linux's (mm/mmap.c)."""

from goanna.kernel.arch import PAGE_SIZE, READ, USER_TOP, WRITE, interrupt_window
from goanna.kernel.base.errno import EACCES, EAGAIN, EINVAL, ENOMEM, EOPNOTSUPP, EOVERFLOW
from goanna.kernel.memory import area as tree
from goanna.kernel.memory import pages, shared
from goanna.kernel.memory import space as spaces
from goanna.kernel.memory.fault import populate
from goanna.kernel.memory.placement import MAP_FIXED, MAP_FIXED_NOREPLACE, alignment_for, choose
from goanna.kernel.memory.source import PageSource
from goanna.kernel.memory.space import UNLIMITED, AddressSpace, Doomed
from goanna.metal import Ptr, i64, metal, struct, u32, u64, wrapping

__all__ = [
    "MAP_ANONYMOUS",
    "MAP_GROWSDOWN",
    "MAP_LOCKED",
    "MAP_NORESERVE",
    "MAP_POPULATE",
    "MAP_PRIVATE",
    "MAP_SHARED",
    "MAP_SHARED_VALIDATE",
    "PROTECTION",
    "Request",
    "map_request",
    "move_break",
    "round_up",
    "unmap",
]

PROTECTION = 7  # PROT_READ, PROT_WRITE, PROT_EXEC are arch.READ, WRITE, EXECUTE

MAP_SHARED = 1
MAP_PRIVATE = 2
MAP_SHARED_VALIDATE = 3
MAP_TYPE = 15
MAP_ANONYMOUS = 0x20
MAP_GROWSDOWN = 0x100
MAP_LOCKED = 0x2000
MAP_NORESERVE = 0x4000
MAP_POPULATE = 0x8000
MAP_NONBLOCK = 0x10000
MAP_HUGETLB = 0x40000
LEGACY_FLAGS = 0x1ABD7F  # the flags that MAP_SHARED_VALIDATE knows (include/linux/mman.h, LEGACY_MAP_MASK)

LEAST_PROMISE = 4 << 30  # bytes that may be mapped at once on the smallest machine
LOCKED_OUT = -4096  # a result of place_at that becomes EAGAIN, which there means: go on


@struct
class Request:
    """What is to be mapped."""

    address: u64  # hint, or the place with MAP_FIXED
    length: u64  # bytes
    offset: u64  # bytes into the source
    source: Ptr[PageSource]  # None: anonymous. Borrowed for the call.
    protection: u32  # PROT_*
    maximum: u32  # what mprotect may give: without WRITE for a shared mapping of a file open for reading
    flags: u32  # MAP_*
    area_flags: u32  # AREA_* to set besides


@metal
def round_up(length: u64) -> u64:
    """Up to whole pages; 0 if that is past 2**64."""
    return wrapping(length + (PAGE_SIZE - 1)) & ~(PAGE_SIZE - 1)


@metal
def promises_too_much(request: Request, length: u64) -> bool:
    """Whether one mapping wants more memory than there could ever be (Linux vm.overcommit_memory 0, the heuristic).

    Linux counts RAM and swap; here there is no swap, but small machines are treated as if they had some, because
    runtimes map more than they touch.
    """
    if request.flags & MAP_NORESERVE != 0:
        return False
    if request.flags & MAP_TYPE == MAP_PRIVATE and request.protection & WRITE == 0:
        return False
    if request.source is not None and request.flags & MAP_TYPE != MAP_PRIVATE:
        return False
    return length > max(pages.total_pages() * PAGE_SIZE, u64(LEAST_PROMISE))


@metal
def map_request(space: AddressSpace, request: Request) -> i64:
    """mmap: the address, or -EINVAL, -ENOMEM, -EOVERFLOW, -EPERM, -EEXIST, -EACCES, -EAGAIN, -EOPNOTSUPP.

    No lock is held. May take time.
    """
    if request.length == 0:
        return -EINVAL
    length = round_up(request.length)
    if length == 0:
        return -ENOMEM
    if request.source is not None and request.offset > UNLIMITED - length:
        return -EOVERFLOW
    kind = request.flags & MAP_TYPE
    if request.source is None:
        if kind == MAP_SHARED_VALIDATE or kind not in (MAP_SHARED, MAP_PRIVATE):
            return -EINVAL
        if kind == MAP_SHARED and request.flags & MAP_GROWSDOWN != 0:
            return -EINVAL
        if request.flags & MAP_HUGETLB != 0:
            return -ENOMEM
    else:
        result = check_file(request, kind)
        if result != 0:
            return result
    if promises_too_much(request, length):
        return -ENOMEM
    source = request.source
    offset = request.offset
    if source is not None:
        source.acquire()
    elif kind == MAP_SHARED:
        source = shared.create(length // PAGE_SIZE)
        offset = 0
        if source is None:
            return -ENOMEM
    result = place(space, request, length, source, offset)
    if result < 0:
        if source is not None:
            source.release()
        return result
    start = u64(result)
    wants = request.flags & (MAP_POPULATE | MAP_NONBLOCK) == MAP_POPULATE
    if wants or flags_of(space, request) & (tree.AREA_LOCKED | tree.AREA_LOCK_ON_FAULT) == tree.AREA_LOCKED:
        populate(space, start, start + length)
    return result


@metal
def check_file(request: Request, kind: u32) -> i64:
    """Whether a file may be mapped like this."""
    if request.flags & (MAP_GROWSDOWN | MAP_HUGETLB) != 0:
        return -EINVAL
    if kind == MAP_SHARED_VALIDATE and request.flags & ~LEGACY_FLAGS != 0:
        return -EOPNOTSUPP
    if kind in (MAP_SHARED, MAP_SHARED_VALIDATE):
        if request.protection & WRITE & ~request.maximum != 0:
            return -EACCES
    elif kind != MAP_PRIVATE:
        return -EINVAL
    return 0 if request.maximum & READ != 0 else -EACCES


@metal
def flags_of(space: AddressSpace, request: Request) -> u32:
    """The flags of the area that a request makes."""
    flags = request.area_flags | space.lock_future
    if request.flags & MAP_TYPE in (MAP_SHARED, MAP_SHARED_VALIDATE):
        flags |= tree.AREA_SHARED
    if request.flags & MAP_GROWSDOWN != 0:
        flags |= tree.AREA_GROWSDOWN
    if request.flags & MAP_NORESERVE != 0:
        flags |= tree.AREA_NORESERVE
    if request.flags & MAP_LOCKED != 0:
        flags |= tree.AREA_LOCKED
    return flags


@metal
def place(space: AddressSpace, request: Request, length: u64, source: Ptr[PageSource], offset: u64) -> i64:
    """Find the place and make the area, which takes over the reference to the source."""
    flags = flags_of(space, request)
    align = alignment_for(length) if source is None else u64(PAGE_SIZE)
    while True:
        doomed = Doomed()
        with space.lock:
            result = choose(space, request.address, length, request.flags, align)
            if result >= 0:
                result = place_at(space, u64(result), request, length, flags, source, offset, doomed)
        spaces.bury(doomed)
        if result != -EAGAIN:
            return result if result != LOCKED_OUT else -EAGAIN
        interrupt_window()


@metal
def place_at(
    space: AddressSpace, start: u64, request: Request, length: u64, flags: u32, source: Ptr[PageSource], offset: u64,
    doomed: Doomed,
) -> i64:  # fmt: skip
    """Clear the place and make the area; -EAGAIN: not clear yet, LOCKED_OUT: over RLIMIT_MEMLOCK. The lock is held."""
    if space.count >= spaces.most_areas.value:
        return -ENOMEM
    private_write = request.protection & WRITE != 0 and flags & (tree.AREA_SHARED | tree.AREA_GROWSDOWN) == 0
    data = length if private_write else u64(0)
    if over(space.mapped, length, space.size_limit) or over(space.data, data, space.data_limit):
        return -ENOMEM
    if flags & tree.AREA_LOCKED != 0 and over_lock_limit(space, space.locked, length):
        return LOCKED_OUT
    if request.flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0:
        result = spaces.clear_step(space, start, start + length, doomed)
        if result != 0:
            return result
    protection = request.protection & PROTECTION
    if not spaces.add_area(space, start, start + length, protection, request.maximum, flags, source, offset, doomed):
        return -ENOMEM
    return i64(start)


@metal
def over(have: u64, more: u64, limit: u64) -> bool:
    """Whether more bytes would exceed a limit."""
    return more > limit or have > limit - more


@metal
def over_lock_limit(space: AddressSpace, have: u64, more: u64) -> bool:
    """Whether more locked bytes would exceed what the process may lock."""
    return not space.locks_freely and over(have, more, space.lock_limit)


@metal
def unmap(space: AddressSpace, address: u64, length: u64) -> i64:
    """munmap: 0, -EINVAL or -ENOMEM (an area would have to be cut and can't be). No lock is held."""
    if address % PAGE_SIZE != 0 or address > USER_TOP or length > USER_TOP - address:
        return -EINVAL
    size = round_up(length)
    if size == 0:
        return -EINVAL
    while True:
        doomed = Doomed()
        with space.lock:
            result = spaces.clear_step(space, address, address + size, doomed)
        spaces.bury(doomed)
        if result != -EAGAIN:
            return result
        interrupt_window()


@metal
def move_break(space: AddressSpace, wanted: u64) -> u64:
    """brk: the new end of the heap, or the old one where it can't be moved there. No lock is held."""
    with space.lock:
        old = space.break_end
        if wanted < space.break_start or wanted > USER_TOP:
            return old
        old_end = round_up(old)
        new_end = round_up(wanted)
        if new_end >= old_end:
            if new_end > old_end and not grow_break(space, old_end, new_end):
                return old
            space.break_end = wanted
            if space.lock_future & tree.AREA_LOCKED == 0:
                return wanted
        else:
            space.break_end = wanted
    if new_end < old_end:
        if unmap(space, new_end, old_end - new_end) != 0:
            with space.lock:
                space.break_end = old
            return old
    elif new_end > old_end:
        populate(space, old_end, new_end)
    return wanted


@metal
def grow_break(space: AddressSpace, start: u64, end: u64) -> bool:
    """Add the pages of a grown heap. The lock is held."""
    size = end - start
    if end - space.break_start > space.data_limit or over(space.mapped, size, space.size_limit):
        return False
    if over(space.data, size, space.data_limit) or space.count >= spaces.most_areas.value:
        return False
    if space.lock_future & tree.AREA_LOCKED != 0 and over_lock_limit(space, space.locked, size):
        return False
    above = tree.find_from(space.areas, start)
    if above is not None and above.low() < end + PAGE_SIZE:
        return False
    doomed = Doomed()
    flags = tree.AREA_BRK | space.lock_future
    done = spaces.add_area(space, start, end, READ | WRITE, PROTECTION, flags, None, 0, doomed)
    if doomed.first is not None:
        spaces.bury(doomed)
    return done
