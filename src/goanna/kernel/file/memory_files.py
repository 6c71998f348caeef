"""/proc/PID/mem and pagemap: a process's memory, and which of its pages are there."""

from goanna.kernel.arch import (
    HUGE_SIZE,
    PAGE_SHIFT,
    PAGE_SIZE,
    USER_TOP,
    entry_huge,
    entry_physical,
    table_lookup,
)
from goanna.kernel.base.errno import EACCES, EFAULT, EINVAL, EIO, ESRCH
from goanna.kernel.file.declare import Generated
from goanna.kernel.file.description import Description, Operations
from goanna.kernel.file.pidfd import may_reach_into
from goanna.kernel.file.seek import seek_file
from goanna.kernel.file.subject import Subject, hold_space
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.file.tree import attributes_by_entry
from goanna.kernel.identity.credentials import CAP_SYS_ADMIN, capable
from goanna.kernel.memory import pages
from goanna.kernel.memory.remote import peek, poke
from goanna.kernel.memory.space import AddressSpace, release
from goanna.metal import Array, Ptr, constant, i64, metal, u8, u32, u64, unsafe

__all__ = ["FILES"]

CHUNK = 512  # bytes moved at once
PRESENT = 1 << 63
SHARED = 1 << 61  # a page of a file, or shared memory
EXCLUSIVE = 1 << 56


@metal
def space_of(description: Description) -> tuple[Ptr[AddressSpace], i64]:
    """The memory that a file is about, with a reference. -ESRCH: there is none any more; -EACCES."""
    subject = Subject()
    if not subject.find(u32((description.object >> 16) & 0xFFFFFF), 0, False):
        subject.release()
        return None, -ESRCH
    space: Ptr[AddressSpace] = None
    error: i64 = -EACCES
    if may_reach_into(subject.process):
        space = hold_space(subject.process)
        error = 0 if space is not None else -ESRCH
    subject.release()
    return space, error


@metal
def move_memory(description: Description, transfer: Transfer, writing: bool) -> i64:
    """mem: the position is the address."""
    space, error = space_of(description)
    if space is None:
        return 0 if error == -ESRCH else error
    buffer = unsafe.uninitialized(Array[u8, CHUNK])
    done: i64 = 0
    while transfer.left != 0 and error == 0:
        count = min(transfer.left, CHUNK)
        moved: u64 = 0
        if writing:
            if transfer.take(buffer[0:count]) < count:
                error = -EFAULT
                break
            moved = poke(space, transfer.position, buffer[0:count])
        else:
            moved = peek(space, buffer[0:count], transfer.position)
            if transfer.put(buffer[0:moved]) < moved:
                error = -EFAULT
                break
        if moved < count:
            error = -EIO
        transfer.position += moved
        done += i64(moved)
    release(space)
    return done if done != 0 else error


@metal
def read_memory(description: Description, transfer: Transfer) -> i64:
    """mem."""
    return move_memory(description, transfer, False)


@metal
def write_memory(description: Description, transfer: Transfer) -> i64:
    """mem."""
    return move_memory(description, transfer, True)


@metal
def read_pages(description: Description, transfer: Transfer) -> i64:
    """pagemap: 8 bytes for each page of the address space."""
    if transfer.position % 8 != 0 or transfer.left % 8 != 0:
        return -EINVAL
    space, error = space_of(description)
    if space is None:
        return 0 if error == -ESRCH else error
    numbers = capable(CAP_SYS_ADMIN)
    done: i64 = 0
    word = Array[u64, 1]()
    while transfer.left != 0 and transfer.position // 8 < USER_TOP >> PAGE_SHIFT:
        word[0] = page_word(space, transfer.position // 8 << PAGE_SHIFT, numbers)
        if transfer.put(unsafe.slice(u8, unsafe.address(word), 8)) < 8:
            error = -EFAULT
            break
        transfer.position += 8
        done += 8
    release(space)
    return done if done != 0 else error


@metal
def page_word(space: AddressSpace, address: u64, numbers: bool) -> u64:
    """What pagemap says of a page."""
    with space.lock:
        entry = table_lookup(space.table, address)
        area = space.find(address)
        if entry == 0 or area is None:
            return 0
        physical = entry_physical(entry)
        if entry_huge(entry):
            physical += address & (HUGE_SIZE - 1) & ~(PAGE_SIZE - 1)
        word: u64 = PRESENT
        if area.source is not None and (area.shared() or not pages.exclusive(physical)):
            word |= SHARED
        if pages.exclusive(physical):
            word |= EXCLUSIVE
        return word | physical >> PAGE_SHIFT if numbers else word


@metal
def seek(description: Description, offset: i64, whence: u32) -> i64:
    """lseek: such a file has no end."""
    return seek_file(description.position, 0, offset, whence) if whence < 2 else -EINVAL


MEMORY = constant(
    Operations,
    {
        "positional": True,
        "read": read_memory,
        "write": write_memory,
        "seek": seek,
        "attributes": attributes_by_entry,
    },
)
PAGES = constant(Operations, {"positional": True, "read": read_pages, "seek": seek, "attributes": attributes_by_entry})

FILES = [
    Generated("/proc/{pid}/mem", 0o600, operations=MEMORY),
    Generated("/proc/{pid}/pagemap", 0o400, operations=PAGES),
]
