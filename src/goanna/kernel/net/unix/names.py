"""Where a Unix socket is found: under a path, or under a name that no file has (unix(7), "abstract")."""

from goanna.kernel.base.errno import (
    EACCES,
    EADDRINUSE,
    ECONNREFUSED,
    EEXIST,
    EINVAL,
    ENOENT,
    ENOSPC,
    EPERM,
    EPROTOTYPE,
)
from goanna.kernel.base.list import List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.flags import AT_FDCWD, S_IFSOCK
from goanna.kernel.file.name_calls import with_umask
from goanna.kernel.file.names import make_name, remove_name
from goanna.kernel.file.permission import WRITE, entry_permitted
from goanna.kernel.file.place import walk_from
from goanna.kernel.file.tree import Entry
from goanna.kernel.file.walk import Path
from goanna.kernel.net.socket.numbers import AF_UNIX, SO_PASSCRED
from goanna.kernel.net.socket.socket import Socket
from goanna.kernel.net.unix.endpoint import HEAD, PATH_SIZE, Endpoint, of
from goanna.kernel.random.pool import random_number
from goanna.metal import Array, Ptr, Slice, i64, metal, static, u8, u32, u64, unsafe, wrapping

BUCKETS = 64
Named = List(Endpoint, "name_link")
names_lock = static(SpinLock)  # protects the buckets, everybody, and Node.attached of sockets
buckets = static(Array[Named, BUCKETS])
All = List(Endpoint, "all_link")
everybody = static(All)


@metal
def enter(self: Endpoint) -> None:
    """There is one endpoint more."""
    with names_lock:
        everybody.append(self)


@metal
def check_address(address: Slice[u8]) -> i64:
    """Whether a sockaddr is one of this family with a name. 0 or -EINVAL."""
    if len(address) <= HEAD or len(address) > HEAD + PATH_SIZE:
        return -EINVAL
    return 0 if family_of(address) == AF_UNIX else -EINVAL


@metal
def family_of(address: Slice[u8]) -> u32:
    """The family that a sockaddr says it is of; 0 if it is too short."""
    return 0 if len(address) < HEAD else u32(address[0]) | (u32(address[1]) << 8)


@metal
def path_of(address: Slice[u8]) -> Slice[u8]:
    """The path in a sockaddr: up to a zero byte, if there is one."""
    end: u64 = HEAD
    while end < len(address) and address[end] != 0:
        end += 1
    return address[HEAD:end]


@metal
def bucket_of(name: Slice[u8], kind: u32) -> Named:
    """Where sockets of an abstract name are."""
    value = u64(kind)
    for byte in name:
        value = wrapping((value ^ u64(byte)) * 0x9E3779B97F4A7C15)
        value ^= value >> 32
    return buckets[value % BUCKETS]


@metal
def find_abstract(name: Slice[u8], kind: u32) -> Ptr[Endpoint]:
    """The socket of a name and kind, or None. With names_lock."""
    bucket = bucket_of(name, kind)
    each = bucket.head()
    while each is not None:
        if each.socket.kind == kind and each.address() == name:
            return each
        each = bucket.after(each)
    return None


@metal
def find(address: Slice[u8], kind: u32) -> tuple[Ptr[Endpoint], i64]:
    """The socket that an address means, with a reference; or None and an errno. `kind`: what it has to be."""
    error = check_address(address)
    if error < 0:
        return None, error
    if address[HEAD] != 0:
        return find_path(path_of(address), kind)
    with names_lock:
        found = find_abstract(address[HEAD:], kind)
        if found is None:
            return None, -ECONNREFUSED
        found.hold()
        return found, 0


@metal
def find_path(text: Slice[u8], kind: u32) -> tuple[Ptr[Endpoint], i64]:
    """The same of a path."""
    path = Path()
    error = path.set(text)
    found: Ptr[Endpoint] = None
    if error == 0:
        entry, error = walk_from(AT_FDCWD, path, True)
        if entry is not None:
            found, error = at_entry(entry, kind)
            entry.drop()
    path.release()
    return found, error


@metal
def at_entry(entry: Entry, kind: u32) -> tuple[Ptr[Endpoint], i64]:
    """The socket at an entry, if the running process may write to it."""
    if not entry_permitted(entry, WRITE):
        return None, -EACCES
    if entry.kind() != S_IFSOCK or entry.node is None:
        return None, -ECONNREFUSED
    with names_lock:
        if entry.node.attached == 0:
            return None, -ECONNREFUSED
        found = unsafe.pointer(Endpoint, entry.node.attached)
        if found.socket.kind != kind:
            return None, -EPROTOTYPE
        found.hold()
        return found, 0


@metal
def bind(socket: Socket, address: Slice[u8]) -> i64:
    """bind: make a path, or take an abstract name. 0 or an errno."""
    self = of(socket)
    if len(address) == HEAD and family_of(address) == AF_UNIX:
        return bind_anywhere(self)
    error = check_address(address)
    if error < 0:
        return error
    if address[HEAD] != 0:
        return bind_path(self, path_of(address))
    with names_lock:
        if self.name_size != 0:
            return -EINVAL
        if find_abstract(address[HEAD:], socket.kind) is not None:
            return -EADDRINUSE
        take_name(self, address[HEAD:])
        return 0


@metal
def take_name(self: Endpoint, name: Slice[u8]) -> None:
    """Give a socket an abstract name. With names_lock."""
    self.name[0 : len(name)] = name
    self.name_size = u32(len(name))
    bucket_of(name, self.socket.kind).append(self)


@metal
def bind_anywhere(self: Endpoint) -> i64:
    """Take an abstract name of five digits that nobody has. 0 or -ENOSPC."""
    name = Array[u8, 6]()
    number = random_number()
    for _ in range(1 << 20):
        for index in range(u64(5)):
            digit = u8((number >> (16 - 4 * index)) & 0xF)
            name[index + 1] = digit + (0x30 if digit < 10 else 0x57)
        with names_lock:
            if self.name_size != 0:
                return 0
            if find_abstract(name[:], self.socket.kind) is None:
                take_name(self, name[:])
                return 0
        number = wrapping(number + 1)
    return -ENOSPC


@metal
def bind_path(self: Endpoint, text: Slice[u8]) -> i64:
    """Make a socket file. 0 or an errno."""
    path = Path()
    error = path.set(text)
    if error == 0:
        path.to_parent = True
        parent, error = walk_from(AT_FDCWD, path, False)
        if parent is not None:
            error = bind_in(self, parent, path, text)
            parent.drop()
    path.release()
    return -EADDRINUSE if error == -EEXIST else error


@metal
def bind_in(self: Endpoint, parent: Entry, path: Path, text: Slice[u8]) -> i64:
    """The same in a directory."""
    if not path.last_is_name():
        return -EEXIST
    if path.to_directory:
        return -ENOENT
    made, error = make_name(parent, path.last(), S_IFSOCK | with_umask(0o777), 0, b"", -EPERM)
    if made is None:
        return error
    with names_lock:
        if self.name_size == 0:
            self.name[0 : len(text)] = text
            self.name[len(text)] = 0
            self.name_size = u32(len(text)) + 1
            self.entry = made
            made.node.attached = unsafe.address(self)
            return 0
    made.drop()
    remove_name(parent, path.last(), False, False)
    return -EINVAL


@metal
def leave_name(self: Endpoint) -> None:
    """Nobody finds this socket any more, and no list has it. A path stays, and leads to nothing."""
    entry: Ptr[Entry] = None
    with names_lock:
        if self.all_link.linked():
            everybody.remove(self)
        if self.name_link.linked():
            bucket_of(self.address(), self.socket.kind).remove(self)
        if self.entry is not None:
            entry = self.entry
            self.entry = None
            entry.node.attached = 0
    if entry is not None:
        entry.drop()


@metal
def put_name(self: Endpoint, target: Slice[u8]) -> u64:
    """Write a socket's sockaddr: its length, that of the family alone if it has no name."""
    target[0] = AF_UNIX
    target[1] = 0
    name = self.address()
    target[HEAD : HEAD + len(name)] = name
    return HEAD + len(name)


@metal
def find_partner(self: Endpoint, address: Slice[u8]) -> tuple[Ptr[Endpoint], i64]:
    """Whom a socket is to be connected to, with a reference; or None and an errno. One that tells who it is
    (SO_PASSCRED) gets a name first, if it has none."""
    error = check_address(address)
    if error == 0 and self.socket.has(SO_PASSCRED) and self.name_size == 0:
        error = bind_anywhere(self)
    if error < 0:
        return None, error
    return find(address, self.socket.kind)
