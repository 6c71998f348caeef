"""All TCP connections by addresses and ports, and the ports that programs have bound.

One lock protects the table; a packet's way in takes it for a look, and takes the connection's lock before it lets go.
"""

from goanna.kernel.arch import PAGE_SIZE, virtual
from goanna.kernel.base.errno import EADDRINUSE, EADDRNOTAVAIL
from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory import pages
from goanna.kernel.memory.placement import random_u64
from goanna.kernel.net.address import Address
from goanna.kernel.net.keyed_hash import quick_hash
from goanna.kernel.net.tcp.connection import Connection, Entry, EntryKind
from goanna.kernel.net.tcp.secret import pair_hash
from goanna.metal import Array, Ptr, fill, i64, metal, sizeof, static, struct, u8, u16, u32, u64, unsafe

__all__ = [
    "Binding", "bind", "choose_port", "enter", "entry_of", "find", "leave", "start_table", "table_lock", "unbind",
]  # fmt: skip

FIRST_PORT, LAST_PORT = 32768, 60999  # Linux's net.ipv4.ip_local_port_range
PORT_BUCKETS = 64
PORT = 0x706F7274  # purpose of the hash

Bucket = List(Entry, "link")

table_lock = static(SpinLock)  # protects all below, half-open connections and TIME-WAIT entries
buckets = static(u64)  # address of the array
bucket_mask = static(u64)
port_steps = static(Array[u16, 256])  # RFC 6056 3.3.4


@metal
def start_table(order: u32) -> bool:
    """Make the table, of 2**order pages. Once, at start. False: there is no memory."""
    global buckets, bucket_mask
    memory = pages.allocate_order(order)
    if memory == 0:
        return False
    size = u64(PAGE_SIZE) << order
    fill(unsafe.slice(u8, virtual(memory), size), 0)
    buckets = virtual(memory)
    bucket_mask = size // sizeof(Bucket) - 1
    return True


@metal
def bucket_of(local: Address, remote: Address, local_port: u16, remote_port: u16) -> Bucket:
    """Where an entry of these ends is."""
    ports = u64(local_port) << 16 | u64(remote_port)
    hashed = quick_hash(remote.low ^ ports, local.low)
    if remote.high != 0:
        hashed = quick_hash(hashed ^ remote.high, local.high)
    return unsafe.at(Bucket, buckets + (hashed & bucket_mask) * sizeof(Bucket))


@metal
def find(local: Address, remote: Address, local_port: u16, remote_port: u16) -> Ptr[Entry]:
    """The entry of these ends, or None. With the lock."""
    bucket = bucket_of(local, remote, local_port, remote_port)
    each = bucket.head()
    while each is not None:
        ports = each.remote_port == remote_port and each.local_port == local_port
        if ports and each.remote.equals(remote) and each.local.equals(local):
            return each
        each = bucket.after(each)
    return None


@metal
def enter(entry: Entry, kind: EntryKind) -> None:
    """Put an entry whose ends are set into the table. With the lock."""
    entry.kind = kind
    bucket_of(entry.local, entry.remote, entry.local_port, entry.remote_port).append(entry)


@metal
def leave(entry: Entry) -> None:
    """Take an entry out, if it is in. With the lock."""
    if entry.link.linked():
        bucket_of(entry.local, entry.remote, entry.local_port, entry.remote_port).remove(entry)


@metal
def entry_of(c: Connection) -> Entry:
    """A connection's entry, its ends set from the connection's own."""
    entry = c.entry
    entry.local = c.local
    entry.remote = c.remote
    entry.local_port = c.local_port
    entry.remote_port = c.remote_port
    return entry


@struct
class Binding:
    """A port that a program has bound, or listens at. Embedded in the socket; the table's lock."""

    link: Link
    local: Address  # 0.0.0.0 or ::: any of its family
    port: u16  # 0: none
    bound: u32  # index of the only interface; 0: any
    only6: bool
    reuse_address: bool
    reuse_port: bool
    listening: bool
    owner: u32  # user ID

    def takes4(self) -> bool:
        """Whether IPv4 comes here."""
        return self.local.is4() or (self.local.unspecified() and not self.only6)

    def overlaps(self, other: "Binding") -> bool:
        """Whether both could get one connection."""
        if self.bound != 0 and other.bound != 0 and self.bound != other.bound:
            return False
        if not self.local.unspecified() and not other.local.unspecified():
            return self.local.equals(other.local)
        return (self.takes4() and other.takes4()) or (not self.local.is4() and not other.local.is4())

    def meets(self, local: Address) -> bool:
        """Whether a connection from an address could be one of this binding."""
        if self.local.unspecified():
            return self.takes4() if local.is4() else not self.local.is4()
        return self.local.equals(local)

    def may_share_with(self, entry: Entry) -> bool:
        """Whether it may have the port of a connection."""
        return (self.reuse_address and entry.reuse_address) or (self.reuse_port and entry.reuse_port)

    def may_share(self, other: "Binding") -> bool:
        """Whether both may have one port all the same (socket(7), SO_REUSEADDR and SO_REUSEPORT)."""
        if self.reuse_address and other.reuse_address and not self.listening and not other.listening:
            return True
        return self.reuse_port and other.reuse_port and self.owner == other.owner


Bindings = List(Binding, "link")
bindings = static(Array[Bindings, PORT_BUCKETS])


@metal
def bindings_of(port: u16) -> Bindings:
    """Where the bindings of a port are."""
    return bindings[u64(port) % PORT_BUCKETS]


@metal
def conflict(binding: Binding, port: u16) -> bool:
    """Whether another binding is in the way. With the lock."""
    bucket = bindings_of(port)
    each = bucket.head()
    while each is not None:
        if each is not binding and each.port == port and each.overlaps(binding) and not each.may_share(binding):
            return True
        each = bucket.after(each)
    return False


@metal
def connected(binding: Binding, port: u16) -> bool:
    """Whether a connection, or what is left of one, is in the way: each has its port as if it were bound (Linux's
    inet_csk_bind_conflict). With the lock. It looks at all of them: programs bind seldom, and connect often."""
    for index in range(bucket_mask + 1):
        bucket = unsafe.at(Bucket, buckets + index * sizeof(Bucket))
        each = bucket.head()
        while each is not None:
            mine = each.local_port == port and each.kind != EntryKind.HALF_OPEN
            if mine and binding.meets(each.local) and not binding.may_share_with(each):
                return True
            each = bucket.after(each)
    return False


@metal
def bind(binding: Binding, port: u16) -> i64:
    """Bind a port, 0 for any that is free. 0 or -EADDRINUSE."""
    span: u64 = LAST_PORT - FIRST_PORT + 1
    start: u64 = random_u64() % span if port == 0 else 0
    with table_lock:
        for step in range(span if port == 0 else u64(1)):
            wanted = port if port != 0 else u16(FIRST_PORT + (start + step) % span)
            if not conflict(binding, wanted) and not connected(binding, wanted):
                binding.port = wanted
                bindings_of(wanted).append(binding)
                return 0
    return -EADDRINUSE


@metal
def listen(binding: Binding) -> i64:
    """Have a bound port listened at. 0, or -EADDRINUSE: another one listens there."""
    with table_lock:
        binding.listening = True
        if conflict(binding, binding.port) or connected(binding, binding.port):
            binding.listening = False
            return -EADDRINUSE
    return 0


@metal
def unbind(binding: Binding) -> None:
    """Give the port back."""
    if binding.port != 0:
        with table_lock:
            bindings_of(binding.port).remove(binding)
            binding.port = 0


@metal
def taken(port: u16) -> bool:
    """Whether any program has bound a port. With the lock."""
    bucket = bindings_of(port)
    each = bucket.head()
    while each is not None:
        if each.port == port:
            return True
        each = bucket.after(each)
    return False


@metal
def choose_port(c: Connection) -> i64:
    """Choose the local port of a connection that is about to be opened, and put it into the table (RFC 6056 3.3.4). If
    it has a port already, that one. With the lock. 0 or -EADDRNOTAVAIL."""
    if c.local_port != 0:
        if find(c.local, c.remote, c.local_port, c.remote_port) is not None:
            return -EADDRNOTAVAIL
        enter(entry_of(c), EntryKind.CONNECTION)
        return 0
    span: u64 = LAST_PORT - FIRST_PORT + 1
    hashed = pair_hash(PORT, c.local, c.remote, u64(c.remote_port), 0)
    step = port_steps[hashed >> 56]
    for turn in range(span):
        port = u16(FIRST_PORT + ((hashed & 0xFFFF_FFFF) + u64(step) + turn) % span)
        if not taken(port) and find(c.local, c.remote, port, c.remote_port) is None:
            port_steps[hashed >> 56] = u16.wrap(u64(step) + turn + 1 + random_u64() % 4)
            c.local_port = port
            enter(entry_of(c), EntryKind.CONNECTION)
            return 0
    return -EADDRNOTAVAIL
