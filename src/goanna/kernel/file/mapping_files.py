"""/proc/PID: what of each mapping is in memory and whose it is (smaps, smaps_rollup), how a file is open (fdinfo)."""

from goanna.kernel.arch import (
    EXECUTE,
    HUGE_SIZE,
    PAGE_SIZE,
    READ,
    WRITE,
    entry_accessed,
    entry_dirty,
    entry_huge,
    entry_physical,
    table_lookup,
    table_next,
)
from goanna.kernel.base.errno import ENOENT
from goanna.kernel.base.text import Text
from goanna.kernel.file.attributes import Attributes
from goanna.kernel.file.declare import Generated
from goanna.kernel.file.descriptor_tree import descriptor_of
from goanna.kernel.file.flags import O_CLOEXEC
from goanna.kernel.file.process_files import write_area
from goanna.kernel.file.subject import Subject, hold_files_of, hold_space
from goanna.kernel.file.table import drop_table
from goanna.kernel.memory import pages
from goanna.kernel.memory.area import (
    ADVICE_HUGE,
    ADVICE_SMALL,
    AREA_DONTDUMP,
    AREA_DONTFORK,
    AREA_GROWSDOWN,
    AREA_LOCKED,
    AREA_NORESERVE,
    AREA_WIPEONFORK,
    Area,
)
from goanna.kernel.memory.space import AddressSpace, release
from goanna.metal import Slice, i32, i64, metal, struct, u8, u64

__all__ = ["FILES"]


@struct
class InMemory:
    """Bytes of mappings that are in memory."""

    resident: u64
    proportional: u64  # each page divided by how many have it
    shared_clean: u64
    shared_dirty: u64
    private_clean: u64
    private_dirty: u64
    referenced: u64
    anonymous: u64
    huge: u64
    locked: u64

    def add_page(self, area: Area, entry: u64) -> None:
        """Count a page by its entry in the page table."""
        physical = entry_physical(entry)
        if physical == pages.zero_page():
            return
        size: u64 = HUGE_SIZE if entry_huge(entry) else PAGE_SIZE
        holders = max(u64(pages.references(physical)), 1)
        self.resident += size
        self.proportional += size // holders
        own = area.source is None or (not area.shared() and pages.exclusive(physical))
        dirty = entry_dirty(entry) or own
        if holders == 1:
            self.private_dirty += size if dirty else u64(0)
            self.private_clean += u64(0) if dirty else size
        else:
            self.shared_dirty += size if dirty else u64(0)
            self.shared_clean += u64(0) if dirty else size
        if entry_accessed(entry):
            self.referenced += size
        if own:
            self.anonymous += size
            self.huge += size if entry_huge(entry) else u64(0)
        if (area.flags & AREA_LOCKED) != 0:
            self.locked += size

    def add_area(self, space: AddressSpace, area: Area) -> None:
        """Count a mapping. With the space's lock."""
        address = table_next(space.table, area.start, area.end)
        while address < area.end:
            entry = table_lookup(space.table, address)
            self.add_page(area, entry)
            step: u64 = HUGE_SIZE if entry_huge(entry) else PAGE_SIZE
            address = table_next(space.table, address + step, area.end)

    def write(self, text: Text) -> None:
        """The lines, in kB, that both files have."""
        line(text, b"Rss:            ", self.resident)
        line(text, b"Pss:            ", self.proportional)
        line(text, b"Shared_Clean:   ", self.shared_clean)
        line(text, b"Shared_Dirty:   ", self.shared_dirty)
        line(text, b"Private_Clean:  ", self.private_clean)
        line(text, b"Private_Dirty:  ", self.private_dirty)
        line(text, b"Referenced:     ", self.referenced)
        line(text, b"Anonymous:      ", self.anonymous)
        line(text, b"LazyFree:       ", 0)
        line(text, b"AnonHugePages:  ", self.huge)
        line(text, b"ShmemPmdMapped: ", 0)
        line(text, b"FilePmdMapped:  ", 0)
        line(text, b"Shared_Hugetlb: ", 0)
        line(text, b"Private_Hugetlb:", 0)
        line(text, b"Swap:           ", 0)
        line(text, b"SwapPss:        ", 0)
        line(text, b"Locked:         ", self.locked)


@metal
def line(text: Text, name: Slice[u8], size: u64) -> None:
    """A name and a number of bytes, in kB."""
    text.put(name)
    text.padded(size // 1024, 9)
    text.put(b" kB\n")


@metal
def write_mappings(text: Text, subject: Subject) -> i64:
    """smaps: maps, with what of each mapping is in memory."""
    space = hold_space(subject.process)
    if space is None:
        return 0
    with space.lock:
        area = space.areas.first()
        while area is not None:
            write_area(text, space, area)
            line(text, b"Size:           ", area.end - area.start)
            line(text, b"KernelPageSize: ", PAGE_SIZE)
            line(text, b"MMUPageSize:    ", PAGE_SIZE)
            counted = InMemory()
            counted.add_area(space, area)
            counted.write(text)
            write_flags(text, area)
            area = space.areas.after(area)
    release(space)
    return 0


@metal
def write_flags(text: Text, area: Area) -> None:
    """VmFlags: what may be done, and what was advised."""
    text.put(b"VmFlags: ")
    text.put(b"rd " if (area.protection & READ) != 0 else b"")
    text.put(b"wr " if (area.protection & WRITE) != 0 else b"")
    text.put(b"ex " if (area.protection & EXECUTE) != 0 else b"")
    text.put(b"sh " if area.shared() else b"")
    text.put(b"mr mw me ")
    text.put(b"gd " if (area.flags & AREA_GROWSDOWN) != 0 else b"")
    text.put(b"lo " if (area.flags & AREA_LOCKED) != 0 else b"")
    text.put(b"dc " if (area.flags & AREA_DONTFORK) != 0 else b"")
    text.put(b"nr " if (area.flags & AREA_NORESERVE) != 0 else b"")
    text.put(b"wf " if (area.flags & AREA_WIPEONFORK) != 0 else b"")
    text.put(b"dd " if (area.flags & AREA_DONTDUMP) != 0 else b"")
    text.put(b"hg " if (area.flags & ADVICE_HUGE) != 0 else b"")
    text.put(b"nh " if (area.flags & ADVICE_SMALL) != 0 else b"")
    text.byte(0x0A)


@metal
def write_mappings_together(text: Text, subject: Subject) -> i64:
    """smaps_rollup: the sums over all mappings."""
    space = hold_space(subject.process)
    if space is None:
        return 0
    with space.lock:
        counted = InMemory()
        first = space.areas.first()
        last = space.areas.last()
        if first is not None and last is not None:
            text.hexadecimal(first.start, 8)
            text.byte(0x2D)
            text.hexadecimal(last.end, 8)
            text.put(b" ---p 00000000 00:00 0                          [rollup]\n")
        area = first
        while area is not None:
            counted.add_area(space, area)
            area = space.areas.after(area)
        counted.write(text)
    release(space)
    return 0


@metal
def write_descriptor(text: Text, subject: Subject) -> i64:
    """fdinfo: position, flags, mount and inode of an open file."""
    description = descriptor_of(subject)
    if description is None:
        return -ENOENT
    attributes = Attributes()
    description.operations.attributes(description, attributes)
    flags = description.status.load()
    if closes_on_exec(subject):
        flags |= O_CLOEXEC
    text.put(b"pos:\t")
    text.number(description.position)
    text.put(b"\nflags:\t0")
    text.octal(u64(flags), 1)
    text.put(b"\n")
    text.line(b"mnt_id:\t", attributes.mount)
    text.line(b"ino:\t", attributes.inode)
    description.drop()
    return 0


@metal
def closes_on_exec(subject: Subject) -> bool:
    """Whether execve closes the subject's descriptor."""
    files = hold_files_of(subject.thread)
    if files is None:
        return False
    closes = files.closes_on_exec(i32.wrap(subject.item))
    drop_table(files)
    return closes


@metal
def write_groups(text: Text, subject: Subject) -> i64:
    """/proc/PID/cgroup: no line, as on Linux while no hierarchy of control groups is mounted (kernel/cgroup/cgroup.c,
    cgrp_dfl_visible). The Go runtime looks no further then."""
    return 0


FILES = [
    Generated("/proc/{pid}/smaps", 0o444, text=write_mappings),
    Generated("/proc/{pid}/smaps_rollup", 0o444, text=write_mappings_together),
    Generated("/proc/{pid}/cgroup", 0o444, text=write_groups),
    Generated("/proc/{pid}/task/{tid}/cgroup", 0o444, text=write_groups),
    Generated("/proc/{pid}/fdinfo", 0o555),
    Generated("/proc/{pid}/fdinfo/{fd}", 0o444, text=write_descriptor),
    Generated("/proc/{pid}/task/{tid}/fdinfo", 0o555),
    Generated("/proc/{pid}/task/{tid}/fdinfo/{fd}", 0o444, text=write_descriptor),
]
