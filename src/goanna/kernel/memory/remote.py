"""Memory of an address space that need not be the running one: how a new program's first pages are written, and how one
process looks into another.

Pages are reached through the direct map, after the fault that the program itself would have taken.
"""

from goanna.kernel.arch import (
    HUGE_SIZE,
    PAGE_SIZE,
    READ,
    WRITE,
    entry_huge,
    entry_physical,
    entry_writable,
    table_lookup,
    virtual,
)
from goanna.kernel.base.errno import EFAULT
from goanna.kernel.memory.fault import handle_fault
from goanna.kernel.memory.space import AddressSpace
from goanna.metal import Array, Ptr, Slice, i64, metal, struct, u8, u32, u64, unsafe, wrapping

__all__ = ["Window", "peek", "poke"]

NOWHERE = 1  # no page starts there


@struct
class Window:
    """The page of an address space that was reached last. Nobody else may change the space while one is in use."""

    space: Ptr[AddressSpace]
    page: u64  # address in the space; NOWHERE at first
    place: u64  # address for the kernel
    writable: bool

    def start(self, space: AddressSpace) -> None:
        """Begin with no page."""
        self.space = space
        self.page = NOWHERE

    def reach(self, address: u64, writing: bool) -> u64:
        """The kernel's address for a byte of the space, good to the end of its page; 0 where it can't be reached."""
        page = address & ~(PAGE_SIZE - 1)
        if page != self.page or (writing and not self.writable):
            space: AddressSpace = self.space
            access: u32 = WRITE if writing else READ
            while True:
                with space.lock:
                    area = space.find(page)
                    allowed = area is not None and area.protection != 0
                    entry = table_lookup(space.table, page)
                if allowed and entry != 0 and (not writing or entry_writable(entry)):
                    break
                if handle_fault(space, address, access) != 0:
                    return 0
            physical = entry_physical(entry)
            if entry_huge(entry):
                physical += page & (HUGE_SIZE - 1)
            self.page = page
            self.place = virtual(physical)
            self.writable = entry_writable(entry)
        return self.place + (address - page)

    def write(self, address: u64, data: Slice[u8]) -> i64:
        """Write bytes. 0 or -EFAULT."""
        done: u64 = 0
        while done < len(data):
            here = wrapping(address + done)
            count = min(len(data) - done, PAGE_SIZE - here % PAGE_SIZE)
            place = self.reach(here, True)
            if place == 0:
                return -EFAULT
            unsafe.slice(u8, place, count)[0:count] = data[done : done + count]
            done += count
        return 0

    def read(self, destination: Slice[u8], address: u64) -> i64:
        """Read bytes. 0 or -EFAULT."""
        done: u64 = 0
        while done < len(destination):
            here = wrapping(address + done)
            count = min(len(destination) - done, PAGE_SIZE - here % PAGE_SIZE)
            place = self.reach(here, False)
            if place == 0:
                return -EFAULT
            destination[done : done + count] = unsafe.slice(u8, place, count)
            done += count
        return 0

    def put(self, address: u64, value: u64) -> i64:
        """Write a number of 8 bytes. 0 or -EFAULT."""
        if address % PAGE_SIZE <= PAGE_SIZE - 8:
            place = self.reach(address, True)
            if place == 0:
                return -EFAULT
            unsafe.store(u64, place, value, unaligned=True)
            return 0
        cell = Array[u64, 1]()
        cell[0] = value
        return self.write(address, unsafe.slice(u8, unsafe.address(cell), 8))


@metal
def peek(space: AddressSpace, destination: Slice[u8], address: u64) -> u64:
    """Read bytes of a space that others use and change meanwhile; how many could be. No lock is held."""
    done: u64 = 0
    while done < len(destination):
        here = wrapping(address + done)
        count = min(len(destination) - done, PAGE_SIZE - here % PAGE_SIZE)
        if not exchange(space, here, destination[done : done + count], READ):
            break
        done += count
    return done


@metal
def poke(space: AddressSpace, address: u64, source: Slice[u8]) -> u64:
    """Write bytes to a space that others use and change meanwhile; how many could be. No lock is held."""
    done: u64 = 0
    while done < len(source):
        here = wrapping(address + done)
        count = min(len(source) - done, PAGE_SIZE - here % PAGE_SIZE)
        if not exchange(space, here, source[done : done + count], WRITE):
            break
        done += count
    return done


@metal
def exchange(space: AddressSpace, address: u64, data: Slice[u8], access: u32) -> bool:
    """Copy within one page, from it (READ) or to it (WRITE), under the space's lock, so that the page can't go. Whether
    the program itself could."""
    while True:
        with space.lock:
            area = space.find(address)
            if area is None or area.protection & access == 0:
                return False
            entry = table_lookup(space.table, address)
            if entry != 0 and (access == READ or entry_writable(entry)):
                size = HUGE_SIZE if entry_huge(entry) else u64(PAGE_SIZE)
                place = unsafe.slice(u8, virtual(entry_physical(entry)) + (address & (size - 1)), len(data))
                if access == READ:
                    data[:] = place
                else:
                    place[:] = data
                return True
        if handle_fault(space, address, access) != 0:
            return False
