"""UDP endpoints: found by port and address, each with a queue of datagrams and a pending error (RFC 768, RFC 1122 4.1).

The socket calls own an Endpoint and say by `notify` who wants to know. A datagram on the queue keeps its headers, so
that `datagram_source` and what control messages tell (TTL, interface, target) are read from them later.
"""

from goanna.kernel.base.errno import EADDRINUSE, EMSGSIZE
from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory.placement import random_u64
from goanna.kernel.net.address import Address
from goanna.kernel.net.arrival import Arrival, Report, on_udp_error
from goanna.kernel.net.checksum import finish, joined, pseudo_header
from goanna.kernel.net.icmp_error import send_error
from goanna.kernel.net.interface import Target
from goanna.kernel.net.ip_input import on_datagram
from goanna.kernel.net.keyed_hash import hash_words
from goanna.kernel.net.network import counters
from goanna.kernel.net.offload import want_checksum
from goanna.kernel.net.packet import CHECKSUM_GOOD, Packet, Packets, drop, views
from goanna.kernel.net.path import Discover, Path
from goanna.kernel.net.wire import icmp, udp
from goanna.kernel.net.wire.bytes import get16
from goanna.metal import Array, Fn, Ptr, i64, metal, static, struct, u8, u16, u32, u64, unsafe

__all__ = [
    "DEFAULT_LIMIT", "FIRST_PORT", "LAST_PORT", "Endpoint", "bind", "connect", "datagram_source", "datagram_target",
    "disconnect", "send", "send_by", "take", "take_error", "unbind",
]  # fmt: skip

UDP = 17
BUCKETS = 256
FIRST_PORT, LAST_PORT = 32768, 60999  # Linux's net.ipv4.ip_local_port_range
DEFAULT_LIMIT = 212992  # bytes of memory in a queue
LARGEST = 65535 - udp.HEADER
PURPOSE = 0x756470  # of the hash that spreads datagrams over endpoints of one port


@struct
class Endpoint:
    """One socket's end. Zeroed memory with `local` set to the any-address of its family is one that is not bound."""

    link: Link  # of its bucket
    lock: SpinLock  # protects all below but what a bucket's lock protects
    local: Address  # 0.0.0.0 or ::, each of its family: any. The bucket's lock, and so are the next six
    local_port: u16  # 0: not bound
    remote: Address  # unspecified: not connected
    remote_port: u16
    bound: u32  # index of the only interface to use; 0: any
    only6: bool  # an IPv6 endpoint that takes no IPv4
    reuse_address: bool
    reuse_port: bool
    owner: u32  # user ID: endpoints that share a port by reuse_port belong to one
    queue: Packets
    queued: u32  # bytes of memory
    limit: u32
    dropped: u64  # datagrams that did not fit
    error: u32  # errno that the next call reports; 0: none
    path: Path  # to where the last datagram went
    chosen: bool  # its source was chosen for that datagram
    hops: u8  # of what is sent; 0: the default
    group_hops: u8  # the same for multicast
    traffic: u8
    discover: Discover
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
        if self.remote_port != 0:
            if self.remote_port != source_port or not self.remote.equals(arrival.source):
                return 0
            score += 8
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
            if each.local_port == port and each.overlaps(endpoint) and not may_share(each, endpoint):
                return -EADDRINUSE
            each = ports.endpoints.after(each)
        endpoint.local_port = port
        ports.endpoints.append(endpoint)
    return 0


@metal
def may_share(a: Endpoint, b: Endpoint) -> bool:
    """Whether two endpoints may have one port (Linux's udp_lib_lport_inuse)."""
    if a.reuse_address and b.reuse_address:
        return True
    return a.reuse_port and b.reuse_port and a.owner == b.owner


@metal
def unbind(endpoint: Endpoint) -> None:
    """Give the port back and drop what is queued. Afterwards nothing comes to the endpoint any more."""
    if endpoint.local_port != 0:
        ports = ports_of(endpoint.local_port)
        with ports.lock:
            ports.endpoints.remove(endpoint)
            endpoint.local_port = 0
    lost = Packets()
    with endpoint.lock:
        while not endpoint.queue.empty():
            lost.append(endpoint.queue.pop())
        endpoint.queued = 0
    while not lost.empty():
        drop(lost.pop())


@metal
def connect(endpoint: Endpoint, remote: Address, port: u16, now: u64) -> i64:
    """Fix the other side of a bound endpoint. 0, or what Path.open says."""
    path = Path()
    prepare(endpoint, path, remote)
    if not endpoint.local.unspecified():
        path.source = endpoint.local
    result = path.open(now)
    if result != 0:
        return result
    with ports_of(endpoint.local_port).lock, endpoint.lock:
        endpoint.remote = remote
        endpoint.remote_port = port
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
        endpoint.local = local


@metal
def prepare(endpoint: Endpoint, path: Path, target: Address) -> None:
    """Set what the endpoint's options say of its ways."""
    path.target = target
    path.bound = endpoint.bound
    path.protocol = UDP
    path.traffic = endpoint.traffic
    path.discover = endpoint.discover
    path.hops = endpoint.group_hops if target.multicast() else endpoint.hops


@metal
def send(endpoint: Endpoint, packet: Packet, target: Address, port: u16, now: u64) -> i64:
    """Send a datagram, whose bytes are a packet with HEADROOM in front. It is gone, whatever the result: 0, -EMSGSIZE
    or what Path.send says. The endpoint is bound."""
    nowhere = Address()
    return send_by(endpoint, packet, target, port, 0, nowhere, now)


@metal
def send_by(
    endpoint: Endpoint, packet: Packet, target: Address, port: u16, by: u32, source: Address, now: u64
) -> i64:
    """The same by an interface and from an address that are this datagram's own, unless 0 and unspecified."""
    if packet.total > LARGEST:
        drop(packet)
        return -EMSGSIZE
    with endpoint.lock:
        path = endpoint.path
        bound = by if by != 0 else endpoint.bound
        chosen = not source.unspecified()
        same = path.bound == bound and (path.source.equals(source) if chosen else not endpoint.chosen)
        if not path.target.equals(target) or path.generation == 0 or not same:
            path.generation = 0
            prepare(endpoint, path, target)
            path.bound = bound
            path.source = source
            endpoint.chosen = chosen
            if not chosen and not endpoint.local.unspecified():
                path.source = endpoint.local
        if not path.current(now):
            result = path.open(now)
            if result != 0:
                path.generation = 0
                drop(packet)
                return result
        total = packet.total + udp.HEADER
        udp.write(packet.push(udp.HEADER), endpoint.local_port, port, u16(total))
        a, b = path.source, path.target
        if path.six:
            want_checksum(packet, 6, pseudo_header(a.high, a.low, b.high, b.low, UDP, total))
        else:
            want_checksum(packet, 6, pseudo_header(0, u64(a.four()), 0, u64(b.four()), UDP, total))
        counters.udp_sent += 1
        return path.send(packet, now)


@on_datagram.set
@metal
def receive(arrival: Arrival, packet: Packet) -> None:
    """A datagram came, from its header on."""
    datagram = udp.Datagram()
    good = packet.pullable(udp.HEADER) and udp.parse(packet.bytes(), packet.total, datagram)
    if not good or not checked(arrival, packet, datagram):
        counters.udp_malformed += 1
        drop(packet)
        return
    packet.trim(datagram.length)
    packet.pull(udp.HEADER)
    packet.hops = arrival.hops
    packet.traffic = arrival.traffic
    packet.time = arrival.now
    if arrival.to != Target.UNICAST:
        to_all(arrival, packet, datagram)
        return
    found: Ptr[Endpoint] = None
    ports = ports_of(datagram.target)
    ports.lock.acquire()
    found = choose(ports, arrival, datagram)
    if found is None:
        ports.lock.release()
        counters.udp_no_port += 1
        packet.push(udp.HEADER)
        code: u8 = icmp.PORT6 if arrival.six else icmp.PORT4
        send_error(arrival, packet, icmp.UNREACHABLE6 if arrival.six else icmp.UNREACHABLE4, code, 0)
        drop(packet)
        return
    put(found, packet)
    ports.lock.release()


@metal
def checked(arrival: Arrival, packet: Packet, datagram: udp.Datagram) -> bool:
    """Whether the checksum is right; IPv4 may do without (RFC 768), IPv6 not (RFC 8200 8.1)."""
    if packet.flags & CHECKSUM_GOOD != 0:
        return True
    if not datagram.summed:
        return not arrival.six
    packet.trim(datagram.length)
    a, b = arrival.source, arrival.target
    total = packet.summed(0)
    if arrival.six:
        return finish(joined(pseudo_header(a.high, a.low, b.high, b.low, UDP, packet.total), total, 0)) == 0
    return finish(joined(pseudo_header(0, u64(a.four()), 0, u64(b.four()), UDP, packet.total), total, 0)) == 0


@metal
def choose(ports: Ports, arrival: Arrival, datagram: udp.Datagram) -> Ptr[Endpoint]:
    """The endpoint that fits best. Of several that share a port, senders are spread over them. With the lock."""
    best: Ptr[Endpoint] = None
    score: u32 = 0
    equal: u64 = 0
    each = ports.endpoints.head()
    while each is not None:
        if each.local_port == datagram.target:
            own = each.takes(arrival, datagram.source)
            if own > score:
                best = each
                score = own
                equal = 1
            elif own != 0 and own == score and each.reuse_port and best.reuse_port:
                equal += 1
                if spread(arrival, datagram) % equal == 0:
                    best = each
            elif own != 0 and own == score:
                best = each  # the youngest of those that share an address, as on Linux
        each = ports.endpoints.after(each)
    return best


@metal
def spread(arrival: Arrival, datagram: udp.Datagram) -> u64:
    """A number that is always the same for one sender and receiver."""
    words = Array[u64, 4]()
    words[0] = arrival.source.high
    words[1] = arrival.source.low
    words[2] = arrival.target.high ^ arrival.target.low
    words[3] = u64(datagram.source) << 16 | u64(datagram.target)
    return hash_words(PURPOSE, words) >> 8


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
        counters.udp_full += 1
        drop(packet)
        return
    counters.udp_received += 1
    if endpoint.notify is not None:
        endpoint.notify(endpoint)


@metal
def to_all(arrival: Arrival, packet: Packet, datagram: udp.Datagram) -> None:
    """A datagram for a group: each endpoint that it fits gets one (RFC 1122 4.1.3.3 says nothing; Linux does so)."""
    ports = ports_of(datagram.target)
    with ports.lock:
        each = ports.endpoints.head()
        while each is not None:
            if each.local_port == datagram.target and each.takes(arrival, datagram.source) != 0:
                shared = share(packet)
                if shared is not None:
                    put(each, shared)
            each = ports.endpoints.after(each)
    drop(packet)


@metal
def share(packet: Packet) -> Ptr[Packet]:
    """Another packet with the same bytes and headers. None: memory is out."""
    back = packet.start - u32(packet.transport)  # an empty datagram has a header to look at all the same
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
def datagram_source(packet: Packet, address: Address) -> u16:
    """Whom a queued datagram is from: address and port."""
    read_address(packet, address, True)
    return get16(unsafe.slice(u8, packet.at(u32(packet.transport)), udp.HEADER), 0)


@metal
def datagram_target(packet: Packet, address: Address) -> u16:
    """Whom a queued datagram was sent to: address and port."""
    read_address(packet, address, False)
    return get16(unsafe.slice(u8, packet.at(u32(packet.transport)), udp.HEADER), 2)


@metal
def read_address(packet: Packet, address: Address, source: bool) -> None:
    """An address of a packet's IP header."""
    at = packet.at(u32(packet.network))
    if packet.six:
        address.load(unsafe.slice(u8, at + (8 if source else 24), 16))
    else:
        bytes = unsafe.slice(u8, at + (12 if source else 16), 4)
        address.set4(u32(get16(bytes, 0)) << 16 | u32(get16(bytes, 2)))


@on_udp_error.set
@metal
def receive_error(report: Report) -> bool:
    """An ICMP error about a datagram of ours. A connected endpoint hears of hard ones (RFC 1122 4.1.3.3)."""
    ports = ports_of(report.local_port)
    found: Ptr[Endpoint] = None
    with ports.lock:
        each = ports.endpoints.head()
        while each is not None and found is None:
            if each.local_port == report.local_port and concerns(each, report):
                found = each
            each = ports.endpoints.after(each)
        if found is None:
            return False
        told = report.hard or (report.mtu != 0 and found.discover != Discover.DONT)
        if found.remote_port != 0 and told:
            with found.lock:
                found.error = report.error
            if found.notify is not None:
                found.notify(found)
    return True


@metal
def concerns(endpoint: Endpoint, report: Report) -> bool:
    """Whether an endpoint may have sent the packet."""
    if not endpoint.local.unspecified() and not endpoint.local.equals(report.local):
        return False
    if endpoint.remote_port == 0:
        return True
    return endpoint.remote_port == report.remote_port and endpoint.remote.equals(report.remote)
