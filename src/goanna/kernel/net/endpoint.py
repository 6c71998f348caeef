"""Endpoints of datagram sockets: bound to a port, found by it, each with a queue of packets and a pending error.

UDP, ping and raw sockets have one. Each of these spaces has ports of its own; a raw socket's is its protocol's number.
The socket calls own an Endpoint and say by `notify` who wants to know. A datagram on the queue keeps its headers, from
which it is read later whom it came from and what control messages tell.
"""

from goanna.kernel.base.errno import EADDRINUSE
from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory.placement import random_u64
from goanna.kernel.net.address import Address
from goanna.kernel.net.arrival import Arrival
from goanna.kernel.net.network import counters
from goanna.kernel.net.packet import Packet, Packets, drop, views
from goanna.kernel.net.path import Discover, Path
from goanna.kernel.net.wire.bytes import get16
from goanna.metal import Array, Fn, Ptr, i64, metal, static, struct, u8, u16, u32, u64, unsafe

__all__ = [
    "DEFAULT_LIMIT", "FIRST_PORT", "LAST_PORT", "PING", "RAW", "UDP", "Endpoint", "Way", "aim", "bind", "concerns",
    "connect", "disconnect", "drop_queue", "leave", "note", "ports_of", "put", "read_address", "share", "take",
    "take_error", "unbind",
]  # fmt: skip

UDP = 17
PING, RAW = 1, 2  # spaces of ports; 0 is UDP's
BUCKETS = 256
FIRST_PORT, LAST_PORT = 32768, 60999  # Linux's net.ipv4.ip_local_port_range
DEFAULT_LIMIT = 212992  # bytes of memory in a queue


@struct
class Way:
    """What is one datagram's own: where it leaves and what its header says. Zeroed memory is nothing."""

    interface: u32  # index; 0: the endpoint's
    source: Address  # unspecified: the endpoint's
    hops: u8  # 0: the endpoint's
    has_traffic: bool
    traffic: u8


@struct
class Endpoint:
    """One socket's end. Zeroed memory with `local` set to the any-address of its family is one that is not bound."""

    link: Link  # of its bucket
    lock: SpinLock  # protects all below but what a bucket's lock protects
    local: Address  # 0.0.0.0 or ::, each of its family: any. The bucket's lock, and so are the next six
    local_port: u16  # 0: not bound
    remote: Address  # unspecified: not connected
    remote_port: u16
    connected: bool
    space: u8  # of ports: 0, PING or RAW
    protocol: u8  # of what is sent, where the space is not UDP's
    bound: u32  # index of the only interface to use; 0: any
    only6: bool  # an IPv6 endpoint that takes no IPv4
    reuse_address: bool
    reuse_port: bool
    owner: u32  # user ID: endpoints that share a port by reuse_port belong to one
    queue: Packets
    queued: u32  # bytes of memory
    limit: u32
    dropped: u64  # datagrams that did not fit
    errors: Packets  # what is to be read of errors (error_queue.py); its memory counts with the other's
    wants_errors: u8  # 1: those of IPv4, 2: of IPv6
    error: u32  # errno that the next call reports; 0: none
    path: Path  # to where the last datagram went
    chosen: bool  # its source was chosen for that datagram
    hops: u8  # of what is sent; 0: the default
    group_hops: u8  # the same for multicast
    traffic: u8
    discover: Discover
    quiet: bool  # what is sent to a group is not for this machine itself
    blocked: Array[u32, 8]  # a raw socket's: bit n: messages of ICMP type n are not wanted
    summed: bool  # a raw socket's: what comes has a checksum, which must be right
    # Called when there is something to read, or an error. With the bucket's lock: it wakes who waits, and no more.
    notify: Fn[["Endpoint"], None]
    owner_object: u64  # whatever `notify` wants to find

    def takes(self, arrival: Arrival, source_port: u16) -> u32:
        """How well a datagram fits, 0: not at all. With the bucket's lock."""
        score: u32 = 1
        if not self.local.unspecified():
            if not self.local.equals(arrival.target):
                return 0
            score += 4
        elif self.local.is4():
            if arrival.six:
                return 0
            score += 1  # an IPv4 socket rather than a dual-stack one
        elif not arrival.six and self.only6:
            return 0
        if self.connected:
            if not self.remote.equals(arrival.source):
                return 0
            score += 4
            if self.remote_port != 0:  # connected to no port is connected to all of the address's, as on Linux
                if self.remote_port != source_port:
                    return 0
                score += 4
        if self.bound != 0:
            if self.bound != arrival.interface.index:
                return 0
            score += 2
        return score

    def overlaps(self, other: "Endpoint") -> bool:
        """Whether both could get one datagram, both being unconnected."""
        if self.bound != 0 and other.bound != 0 and self.bound != other.bound:
            return False
        if not self.local.unspecified() and not other.local.unspecified():
            return self.local.equals(other.local)
        return (self.takes4() and other.takes4()) or (not self.local.is4() and not other.local.is4())

    def takes4(self) -> bool:
        """Whether IPv4 datagrams come here."""
        return self.local.is4() or (self.local.unspecified() and not self.only6)


Bucket = List(Endpoint, "link")


@struct
class Ports:
    """The endpoints of some ports."""

    lock: SpinLock
    endpoints: Bucket


table = static(Array[Ports, BUCKETS])


@metal
def ports_of(port: u16) -> Ports:
    """Where the endpoints of a port are."""
    return table[u64(port) % BUCKETS]


@metal
def bind(endpoint: Endpoint, port: u16) -> i64:
    """Take a port for an endpoint whose address and options are set; 0: any that is free (RFC 6056). 0, or
    -EADDRINUSE."""
    if port != 0:
        return bind_to(endpoint, port)
    span: u64 = LAST_PORT - FIRST_PORT + 1
    start = random_u64() % span
    for step in range(span):
        if bind_to(endpoint, u16(FIRST_PORT + (start + step) % span)) == 0:
            return 0
    return -EADDRINUSE


@metal
def bind_to(endpoint: Endpoint, port: u16) -> i64:
    """Take this port."""
    ports = ports_of(port)
    with ports.lock:
        each = ports.endpoints.head()
        while each is not None:
            same = each.local_port == port and each.space == endpoint.space
            if same and each.overlaps(endpoint) and not may_share(each, endpoint):
                return -EADDRINUSE
            each = ports.endpoints.after(each)
        endpoint.local_port = port
        ports.endpoints.append(endpoint)
    return 0


@metal
def may_share(a: Endpoint, b: Endpoint) -> bool:
    """Whether two endpoints may have one port (Linux's udp_lib_lport_inuse)."""
    if a.space == RAW:
        return True
    if a.reuse_address and b.reuse_address:
        return True
    return a.reuse_port and b.reuse_port and a.owner == b.owner


@metal
def unbind(endpoint: Endpoint) -> None:
    """Give the port back and drop what is queued. Afterwards nothing comes to the endpoint any more."""
    leave(endpoint)
    drop_queue(endpoint, endpoint.queue)
    drop_queue(endpoint, endpoint.errors)
    endpoint.queued = 0


@metal
def drop_queue(endpoint: Endpoint, queue: Packets) -> None:
    """Drop what is on a queue of an endpoint."""
    lost = Packets()
    with endpoint.lock:
        while not queue.empty():
            packet: Packet = queue.pop()
            endpoint.queued -= min(packet.base, endpoint.queued)
            lost.append(packet)
    while not lost.empty():
        drop(lost.pop())


@metal
def leave(endpoint: Endpoint) -> None:
    """Give the port back."""
    if endpoint.local_port != 0:
        ports = ports_of(endpoint.local_port)
        with ports.lock:
            ports.endpoints.remove(endpoint)
            endpoint.local_port = 0


@metal
def connect(endpoint: Endpoint, remote: Address, port: u16, now: u64) -> i64:
    """Fix the other side of a bound endpoint. 0, or what Path.open says."""
    path = Path()
    way = Way()
    prepare(endpoint, path, remote, way)
    if has_source(endpoint):
        path.source = endpoint.local
    result = path.open(now)
    if result != 0:
        return result
    with ports_of(endpoint.local_port).lock, endpoint.lock:
        endpoint.remote = remote
        endpoint.remote_port = port
        endpoint.connected = True
        if endpoint.local.unspecified():
            endpoint.local = path.source
        endpoint.path = path
    return 0


@metal
def disconnect(endpoint: Endpoint, local: Address) -> None:
    """Take datagrams from everybody again, at the address that the endpoint was bound to by hand."""
    with ports_of(endpoint.local_port).lock:
        endpoint.remote.set(0, 0)
        endpoint.remote_port = 0
        endpoint.connected = False
        endpoint.local = local


@metal
def prepare(endpoint: Endpoint, path: Path, target: Address, way: Way) -> None:
    """Set what the endpoint's options, or the datagram's own, say of a way."""
    path.target = target
    path.bound = way.interface if way.interface != 0 else endpoint.bound
    path.source = way.source
    path.protocol = UDP if endpoint.space == 0 else endpoint.protocol
    path.traffic = way.traffic if way.has_traffic else endpoint.traffic
    path.discover = endpoint.discover
    path.quiet = endpoint.quiet
    path.hops = hops_to(endpoint, target, way)


@metal
def has_source(endpoint: Endpoint) -> bool:
    """Whether what is sent is from the address that the endpoint is bound to: a group sends nothing."""
    local = endpoint.local
    return not local.unspecified() and not local.multicast() and not local.broadcast()


@metal
def hops_to(endpoint: Endpoint, target: Address, way: Way) -> u8:
    """The TTL or hop limit of a datagram; 0: the default."""
    if way.hops != 0:
        return way.hops
    return endpoint.group_hops if target.multicast() else endpoint.hops


@metal
def aim(endpoint: Endpoint, target: Address, way: Way, now: u64) -> i64:
    """Have the endpoint's path lead to a target. With the endpoint's lock. 0 or what Path.open says."""
    path = endpoint.path
    bound = way.interface if way.interface != 0 else endpoint.bound
    chosen = not way.source.unspecified()
    same = path.bound == bound and (path.source.equals(way.source) if chosen else not endpoint.chosen)
    same = same and path.traffic == (way.traffic if way.has_traffic else endpoint.traffic)
    same = same and path.hops == hops_to(endpoint, target, way) and path.target.equals(target)
    if not same or path.generation == 0:
        path.generation = 0
        prepare(endpoint, path, target, way)
        endpoint.chosen = chosen
        if not chosen and has_source(endpoint):
            path.source = endpoint.local
    if not path.current(now):
        result = path.open(now)
        if result != 0:
            path.generation = 0
            return result
    return 0


@metal
def note(packet: Packet, arrival: Arrival) -> None:
    """Write down what control messages may tell of a packet's way."""
    packet.hops = arrival.hops
    packet.traffic = arrival.traffic
    packet.time = arrival.now


@metal
def put(endpoint: Endpoint, packet: Packet) -> None:
    """Queue a datagram, or drop it if the queue is full. With the bucket's lock, so that the endpoint stays."""
    cost = packet.footprint()
    packet.base = cost
    full = False
    with endpoint.lock:
        if endpoint.queued >= endpoint.limit:  # an empty queue takes any datagram, as on Linux
            full = True
            endpoint.dropped += 1
        else:
            endpoint.queue.append(packet)
            endpoint.queued += cost
    if full:
        counters.udp_full += u64(endpoint.space == 0)
        drop(packet)
        return
    counters.udp_received += u64(endpoint.space == 0)
    if endpoint.notify is not None:
        endpoint.notify(endpoint)


@metal
def share(packet: Packet) -> Ptr[Packet]:
    """Another packet with the same bytes and headers. None: memory is out."""
    back = packet.start - u32(packet.network)  # an empty datagram has headers to look at all the same
    packet.push(back)
    shared = views(packet, 0, packet.total)
    packet.pull(back)
    if shared is not None:
        shared.pull(back)
        shared.network = packet.network
        shared.transport = packet.transport
        shared.six = packet.six
        shared.hops = packet.hops
        shared.traffic = packet.traffic
        shared.interface = packet.interface
        shared.time = packet.time
        shared.flags = packet.flags
    return shared


@metal
def take(endpoint: Endpoint) -> Ptr[Packet]:
    """Take the oldest datagram, which begins with its payload, or None."""
    with endpoint.lock:
        packet = endpoint.queue.pop()
        if packet is not None:
            endpoint.queued -= packet.base
        return packet


@metal
def take_error(endpoint: Endpoint) -> u32:
    """The pending errno, once; 0: there is none."""
    with endpoint.lock:
        error = endpoint.error
        endpoint.error = 0
        return error


@metal
def read_address(packet: Packet, address: Address, source: bool) -> None:
    """An address of a packet's IP header."""
    at = packet.at(u32(packet.network))
    if packet.six:
        address.load(unsafe.slice(u8, at + (8 if source else 24), 16))
    else:
        bytes = unsafe.slice(u8, at + (12 if source else 16), 4)
        address.set4(u32(get16(bytes, 0)) << 16 | u32(get16(bytes, 2)))


@metal
def concerns(endpoint: Endpoint, local: Address, remote: Address, remote_port: u16) -> bool:
    """Whether an endpoint may have sent a packet that was from here to there."""
    if not endpoint.local.unspecified() and not endpoint.local.equals(local):
        return False
    if not endpoint.connected:
        return True
    same = endpoint.remote_port == remote_port or endpoint.remote_port == 0 or endpoint.space != 0
    return same and endpoint.remote.equals(remote)
