"""Reading a directory: how a tree hands its entries to getdents64, as many as fit."""

from goanna.kernel.base.errno import EFAULT, EINVAL
from goanna.kernel.file.flags import NAME_MAX, S_IFMT
from goanna.kernel.memory import user
from goanna.metal import Array, Slice, fill, i64, metal, offsetof, struct, u8, u16, u32, u64, unsafe


@struct
class DirectoryEntry:
    """struct linux_dirent64, with room for the longest name."""

    d_ino: u64
    d_off: u64
    d_reclen: u16
    d_type: u8
    d_name: Array[u8, NAME_MAX + 6]  # and the final zero, and up to 7 bytes that round the record up


NAME_OFFSET = offsetof(DirectoryEntry, "d_name")


@metal
def entry_type(mode: u32) -> u8:
    """d_type: the type bits of a mode (IFTODT)."""
    return u8((mode & S_IFMT) >> 12)


@struct
class DirectoryWriter:
    """Entries on their way to the program's buffer."""

    address: u64  # user memory that the next record goes to
    room: u64  # bytes left there
    written: u64  # bytes of records so far
    error: i64  # what stopped it: -EINVAL for a buffer too small for one record, -EFAULT; 0 if it was full
    entry: DirectoryEntry  # the record that is being made: here, so that only what is used of it is written

    def add(self, name: Slice[u8], inode: u64, kind: u8, following: u64) -> bool:
        """Add one entry; `following` is the position of the next one. False: there was no room, add no more."""
        size = (NAME_OFFSET + len(name) + 1 + 7) // 8 * 8
        if size > self.room:
            self.error = -EINVAL
            return False
        entry = self.entry
        entry.d_ino = inode
        entry.d_off = following
        entry.d_reclen = u16(size)
        entry.d_type = kind
        entry.d_name[0 : len(name)] = name
        fill(entry.d_name[len(name) : size - NAME_OFFSET], 0)
        if user.copy_out(self.address, unsafe.slice(u8, unsafe.address(entry), size)) < 0:
            self.error = -EFAULT
            return False
        self.address += size
        self.room -= size
        self.written += size
        return True

    def result(self) -> i64:
        """What getdents64 answers: the bytes written, or why there were none."""
        return i64(self.written) if self.written != 0 else self.error


__all__ = ["DirectoryEntry", "DirectoryWriter", "entry_type", "u32"]
