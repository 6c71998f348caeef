"""A 9P2000.L server of a folder of this computer, as the protocol's description has it: the twin of QEMU's in tests."""

from __future__ import annotations

import errno
import os
import stat
import struct
from dataclasses import dataclass, field

MSIZE = 65536 + 4096
NONE = 0xFFFFFFFF
UNKNOWN = errno.EOPNOTSUPP


@dataclass
class Fid:
    """What a client's number stands for: a path, maybe open, or an extended attribute."""

    path: str
    descriptor: int | None = None
    listing: list[tuple[str, int, int, int]] | None = None
    value: bytearray | None = None
    attribute: tuple[str, int, int] | None = None  # name, size, flags of one to be set


class Fields:
    """Takes a request apart."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, size: int) -> int:
        value = int.from_bytes(self.data[self.at : self.at + size], "little")
        self.at += size
        return value

    def text(self) -> str:
        length = self.number(2)
        self.at += length
        return os.fsdecode(self.data[self.at - length : self.at])


def text(data: str | bytes) -> bytes:
    raw = os.fsencode(data)
    return struct.pack("<H", len(raw)) + raw


@dataclass
class Server:
    """Serves one folder. `handle` takes a message and gives the reply."""

    root: str
    read_only: bool = False
    fids: dict[int, Fid] = field(default_factory=dict)
    seen: list[int] = field(default_factory=list)  # types of requests

    def handle(self, message: bytes) -> bytes:
        size, kind, tag = struct.unpack_from("<IBH", message)
        assert size == len(message), (size, len(message))
        self.seen.append(kind)
        fields = Fields(message[7:])
        try:
            body = REQUESTS[kind](self, fields)
            kind += 1
        except KeyError:
            kind, body = 7, struct.pack("<I", UNKNOWN)
        except OSError as error:
            kind, body = 7, struct.pack("<I", error.errno or errno.EIO)
        return struct.pack("<IBH", 7 + len(body), kind, tag) + body

    def close(self) -> None:
        for each in self.fids.values():
            if each.descriptor is not None:
                os.close(each.descriptor)
        self.fids.clear()

    def fid(self, number: int) -> Fid:
        if number not in self.fids:
            raise OSError(errno.EBADF, "")
        return self.fids[number]

    def below(self, fields: Fields) -> str:
        fid = self.fid(fields.number(4))
        return os.path.join(fid.path, name_of(fields.text()))

    def qid(self, path: str) -> bytes:
        status = os.lstat(path)
        kind = {stat.S_IFDIR: 0x80, stat.S_IFLNK: 2}.get(stat.S_IFMT(status.st_mode), 0)
        return struct.pack("<BIQ", kind, int(status.st_mtime) & NONE, status.st_ino)

    def version(self, fields: Fields) -> bytes:
        wanted, version = fields.number(4), fields.text()
        self.fids.clear()
        return struct.pack("<I", min(wanted, MSIZE)) + text(version if version == "9P2000.L" else "unknown")

    def attach(self, fields: Fields) -> bytes:
        number, _, _, _, user = fields.number(4), fields.number(4), fields.text(), fields.text(), fields.number(4)
        assert user == NONE
        self.fids[number] = Fid(self.root)
        return self.qid(self.root)

    def walk(self, fields: Fields) -> bytes:
        fid, made, count = self.fid(fields.number(4)), fields.number(4), fields.number(2)
        assert made not in self.fids, "a fid is given twice"
        assert fid.descriptor is None and count <= 16
        path, found = fid.path, b""
        for index in range(count):
            path = os.path.join(path, name_of(fields.text()))
            try:
                found += self.qid(path)
            except OSError:
                if index == 0:
                    raise
                return struct.pack("<H", index) + found
        os.lstat(path)
        self.fids[made] = Fid(path)
        return struct.pack("<H", count) + found

    def clunk(self, fields: Fields) -> bytes:
        number = fields.number(4)
        fid = self.fid(number)
        del self.fids[number]
        if fid.descriptor is not None:
            os.close(fid.descriptor)
        if fid.attribute is not None:
            name, size, flags = fid.attribute
            value = bytes(fid.value or b"")
            if len(value) != size:
                raise OSError(errno.EINVAL, "")
            if size == 0:
                os.removexattr(fid.path, name, follow_symlinks=False)
            else:
                os.setxattr(fid.path, name, value, flags, follow_symlinks=False)
        return b""

    def getattr(self, fields: Fields) -> bytes:
        fid, _ = self.fid(fields.number(4)), fields.number(8)
        s = os.lstat(fid.path)
        times = [part for each in (s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns) for part in divmod(each, 10**9)]
        return struct.pack("<Q", 0x7FF) + self.qid(fid.path) + struct.pack(
            "<IIIQQQQQqQqQqQQQQQ", s.st_mode, s.st_uid, s.st_gid, s.st_nlink, s.st_rdev, s.st_size, s.st_blksize,
            s.st_blocks, *times, 0, 0, 0, 0,
        )  # fmt: skip

    def setattr(self, fields: Fields) -> bytes:
        path, valid = self.fid(fields.number(4)).path, fields.number(4)
        mode, user, group, size = (fields.number(each) for each in (4, 4, 4, 8))
        seconds = [(int.from_bytes(fields.number(8).to_bytes(8, "little"), "little", signed=True), fields.number(8))
                   for _ in range(2)]  # fmt: skip
        if valid & 1:
            os.chmod(path, mode)
        if valid & 6:
            os.lchown(path, user if valid & 2 else -1, group if valid & 4 else -1)
        if valid & 8:
            os.truncate(path, size)
        if valid & 0x30:
            status = os.lstat(path)
            times = [status.st_atime_ns, status.st_mtime_ns]
            for index, bit in enumerate((0x80, 0x100)):
                if valid & bit:
                    times[index] = seconds[index][0] * 10**9 + seconds[index][1]
            os.utime(path, ns=(times[0], times[1]), follow_symlinks=False)
        return b""

    def lopen(self, fields: Fields) -> bytes:
        fid, flags = self.fid(fields.number(4)), fields.number(4)
        assert fid.descriptor is None and fid.listing is None, "a fid is opened twice"
        if self.read_only and flags & 3:
            raise OSError(errno.EROFS, "")
        if flags & 0o200000:
            if not os.path.isdir(fid.path):
                raise OSError(errno.ENOTDIR, "")
            fid.listing = []
        else:
            fid.descriptor = os.open(fid.path, (flags & (3 | os.O_APPEND | os.O_SYNC)) | os.O_NOFOLLOW)
        return self.qid(fid.path) + struct.pack("<I", 0)

    def lcreate(self, fields: Fields) -> bytes:
        fid = self.fid(fields.number(4))
        path = os.path.join(fid.path, name_of(fields.text()))
        flags, mode, _ = fields.number(4), fields.number(4), fields.number(4)
        fid.descriptor = os.open(path, (flags & (3 | os.O_EXCL | os.O_APPEND)) | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.fchmod(fid.descriptor, mode)
        fid.path = path
        return self.qid(path) + struct.pack("<I", 0)

    def mkdir(self, fields: Fields) -> bytes:
        path, mode, _ = self.below(fields), fields.number(4), fields.number(4)
        inherits = os.stat(os.path.dirname(path)).st_mode & stat.S_ISGID
        os.mkdir(path, 0o700)
        os.chmod(path, mode | inherits)
        return self.qid(path)

    def symlink(self, fields: Fields) -> bytes:
        path = self.below(fields)
        os.symlink(fields.text(), path)
        return self.qid(path)

    def mknod(self, fields: Fields) -> bytes:
        path, mode, major, minor = self.below(fields), *(fields.number(4) for _ in range(3))
        os.mknod(path, mode, os.makedev(major, minor))
        os.chmod(path, stat.S_IMODE(mode))
        return self.qid(path)

    def readlink(self, fields: Fields) -> bytes:
        return text(os.readlink(self.fid(fields.number(4)).path))

    def link(self, fields: Fields) -> bytes:
        folder, fid = self.fid(fields.number(4)), self.fid(fields.number(4))
        os.link(fid.path, os.path.join(folder.path, name_of(fields.text())), follow_symlinks=False)
        return b""

    def renameat(self, fields: Fields) -> bytes:
        old, new = self.below(fields), self.below(fields)
        os.rename(old, new)
        for each in self.fids.values():  # as QEMU does, whose fids are paths
            if each.path == old or each.path.startswith(old + "/"):
                each.path = new + each.path[len(old) :]
        return b""

    def unlinkat(self, fields: Fields) -> bytes:
        path, flags = self.below(fields), fields.number(4)
        (os.rmdir if flags & 0x200 else os.unlink)(path)
        return b""

    def statfs(self, fields: Fields) -> bytes:
        s = os.statvfs(self.fid(fields.number(4)).path)
        return struct.pack("<IIQQQQQQI", 0x01021997, s.f_bsize, s.f_blocks, s.f_bfree, s.f_bavail, s.f_files, s.f_ffree,
                           0, s.f_namemax)  # fmt: skip

    def fsync(self, fields: Fields) -> bytes:
        fid = self.fid(fields.number(4))
        if fid.descriptor is not None:
            os.fsync(fid.descriptor)
        return b""

    def read(self, fields: Fields) -> bytes:
        fid, offset, count = self.fid(fields.number(4)), fields.number(8), fields.number(4)
        if fid.value is not None:
            data = bytes(fid.value[offset : offset + count])
        else:
            data = os.pread(self.open(fid), count, offset)
        return struct.pack("<I", len(data)) + data

    def write(self, fields: Fields) -> bytes:
        fid, offset, count = self.fid(fields.number(4)), fields.number(8), fields.number(4)
        data = fields.data[fields.at :]
        assert len(data) == count
        if fid.value is not None:
            fid.value[offset : offset + count] = data
            return struct.pack("<I", count)
        return struct.pack("<I", os.pwrite(self.open(fid), data, offset))

    def open(self, fid: Fid) -> int:
        if fid.descriptor is None:
            raise OSError(errno.EBADF, "")
        return fid.descriptor

    def readdir(self, fields: Fields) -> bytes:
        fid, offset, count = self.fid(fields.number(4)), fields.number(8), fields.number(4)
        if fid.listing is None:
            raise OSError(errno.EBADF, "")
        if offset == 0:
            names = [".", "..", *sorted(os.listdir(fid.path))]
            fid.listing = []
            for each in names:
                status = os.lstat(self.root if each == ".." else os.path.join(fid.path, each))
                kind = {stat.S_IFDIR: 0x80, stat.S_IFLNK: 2}.get(stat.S_IFMT(status.st_mode), 0)
                fid.listing.append((each, kind, status.st_ino, status.st_mode >> 12))
        data = b""
        for index, (name, kind, inode, type_) in enumerate(fid.listing[offset:], offset + 1):
            entry = struct.pack("<BIQQB", kind, 0, inode, index, type_) + text(name)
            if len(data) + len(entry) > count:
                break
            data += entry
        return struct.pack("<I", len(data)) + data

    def xattrwalk(self, fields: Fields) -> bytes:
        fid, made, name = self.fid(fields.number(4)), fields.number(4), fields.text()
        assert made not in self.fids
        if name:
            value = os.getxattr(fid.path, name, follow_symlinks=False)
        else:
            value = b"".join(os.fsencode(each) + b"\0" for each in os.listxattr(fid.path, follow_symlinks=False))
        self.fids[made] = Fid(fid.path, value=bytearray(value))
        return struct.pack("<Q", len(value))

    def xattrcreate(self, fields: Fields) -> bytes:
        fid, name, size, flags = self.fid(fields.number(4)), fields.text(), fields.number(8), fields.number(4)
        fid.attribute, fid.value = (name, size, flags), bytearray()
        return b""

    def flush(self, fields: Fields) -> bytes:
        return b""


def name_of(name: str) -> str:
    if "/" in name or name in ("", ".", ".."):
        raise OSError(errno.EINVAL if name in (".", "..") else errno.ENOENT, "")
    return name


REQUESTS = {
    8: Server.statfs, 12: Server.lopen, 14: Server.lcreate, 16: Server.symlink, 18: Server.mknod, 22: Server.readlink,
    24: Server.getattr, 26: Server.setattr, 30: Server.xattrwalk, 32: Server.xattrcreate, 40: Server.readdir,
    50: Server.fsync, 70: Server.link, 72: Server.mkdir, 74: Server.renameat, 76: Server.unlinkat, 100: Server.version,
    104: Server.attach, 108: Server.flush, 110: Server.walk, 116: Server.read, 118: Server.write, 120: Server.clunk,
}  # fmt: skip
