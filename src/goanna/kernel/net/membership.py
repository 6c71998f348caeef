"""Groups told to routers: IGMPv3 and v2 (RFC 3376, RFC 2236), MLDv2 and v1 (RFC 9777, RFC 2710), a host's part.

A join or leave is reported at once and once more a little later; queries are answered at a random time before the one
that they ask for. Where a querier of the older version was heard, its version is spoken (RFC 3376 7, RFC 9777 8). Every
group is joined for all sources, so reports have no lists of sources.
"""

from goanna.kernel.memory.placement import random_u64
from goanna.kernel.net.address import Address
from goanna.kernel.net.checksum import finish, joined, pseudo_header, summed
from goanna.kernel.net.interface import Group, Interface, Kind, Standing, interfaces, interfaces_lock
from goanna.kernel.net.link import blank, group_mac, link_send
from goanna.kernel.net.network import MILLISECOND, SECOND, look_by
from goanna.kernel.net.packet import Packet
from goanna.kernel.net.solicitation import solicited_node
from goanna.kernel.net.wire import ethernet, ip6
from goanna.kernel.net.wire.bytes import get16, get32, put16, put32, raw16
from goanna.kernel.time.timer import NEVER
from goanna.metal import Array, Slice, metal, u8, u16, u32, u64

__all__ = [
    "join_group", "leave_group", "membership_deadline", "membership_timer", "receive_igmp", "receive_mld",
    "report_address",
]  # fmt: skip

IGMP, ICMP6 = 2, 58
QUERY4, REPORT4_V2, LEAVE4, REPORT4_V3 = 0x11, 0x16, 0x17, 0x22
QUERY6, REPORT6_V1, DONE6, REPORT6_V2 = 130, 131, 132, 143
IS_EXCLUDE, TO_INCLUDE, TO_EXCLUDE = 2, 3, 4  # kinds of record; 0: nothing is to be reported
REPEAT_WITHIN = 1000 * MILLISECOND  # the unsolicited report interval (RFC 3376 8.11, RFC 9777 9.11)
OLDER_FOR = 260 * SECOND  # how long a querier of the older version is remembered (RFC 3376 8.12: 2 * 125 s + 10 s)
INTERNETWORK_CONTROL = 0xC0
ALL_HOSTS4, ALL_ROUTERS4, REPORTS4 = 0xE000_0001, 0xE000_0002, 0xE000_0016
LINK_GROUPS = 0xFF02 << 48  # the upper half of ff02::
RECORD4, RECORD6 = 8, 20  # bytes of a record without sources
MOST_RECORDS = 48  # in one report: all that an interface can have


@metal
def told_of(group: Address) -> bool:
    """Whether routers want to hear of a group: not of those that every node is in, nor of what stays within a node."""
    if group.is4():
        return group.four() != ALL_HOSTS4
    scope = group.high >> 48 & 0xF
    return scope > 1 and not (group.high == LINK_GROUPS and group.low == 1)


@metal
def join_group(interface: Interface, group: Address, now: u64) -> bool:
    """Join a group once more, and report it if that is the first time. False: there is no room."""
    with interfaces_lock:
        if not interface.join(group):
            return False
        entry: Group = interface.find_group(group)
        if entry.users == 1:
            report_change(interface, entry, TO_EXCLUDE, now)
    return True


@metal
def leave_group(interface: Interface, group: Address, now: u64) -> None:
    """Leave a group, and report it if nobody is left in it."""
    with interfaces_lock:
        entry = interface.find_group(group)
        if entry is not None and interface.leave(group) and entry.users == 0:
            report_change(interface, entry, TO_INCLUDE, now)


@metal
def report_change(interface: Interface, entry: Group, kind: u8, now: u64) -> None:
    """Report what changed, now and once more. With the lock."""
    if interface.kind != Kind.ETHERNET or not told_of(entry.address):
        return
    tell(interface, entry.address, kind, now)
    schedule(entry, kind, now + random_u64() % REPEAT_WITHIN)


@metal
def schedule(entry: Group, kind: u8, at: u64) -> None:
    """Report a group at a time. With the lock."""
    entry.report = kind
    entry.report_at = at
    look_by(at)


@metal
def report_address(interface: Interface, address: Address, now: u64) -> None:
    """An address of IPv6 is new: report its solicited-node group (RFC 4861 7.2.1)."""
    if interface.kind == Kind.ETHERNET and not address.is4():
        group = Address()
        solicited_node(address, group)
        tell(interface, group, TO_EXCLUDE, now)


@metal
def tell(interface: Interface, group: Address, kind: u8, now: u64) -> None:
    """Report one group, in the version that is spoken."""
    if not interface.up:
        return
    if group.is4():
        if now < interface.igmp2_until:
            body = Array[u8, 8]()
            body[0] = LEAVE4 if kind == TO_INCLUDE else REPORT4_V2
            put32(body[:], 4, group.four())
            send4(interface, ALL_ROUTERS4 if kind == TO_INCLUDE else group.four(), body[:])
            return
    elif now < interface.mld1_until:
        body6 = Array[u8, 24]()
        body6[0] = DONE6 if kind == TO_INCLUDE else REPORT6_V1
        group.store(body6[8:24])
        routers = Address()
        routers.set(LINK_GROUPS, 2)
        send6(interface, routers if kind == TO_INCLUDE else group, body6[:])
        return
    record = Array[u8, 8 + RECORD6]()
    size = put_record(record[:], 8, group, kind)
    send_report(interface, record[0:size], not group.is4(), 1)


@metal
def put_record(data: Slice[u8], at: u64, group: Address, kind: u8) -> u64:
    """Write a group's record: where it ends."""
    data[at] = kind
    data[at + 1] = 0
    put16(data, at + 2, 0)
    if group.is4():
        put32(data, at + 4, group.four())
        return at + RECORD4
    group.store(data[at + 4 : at + RECORD6])
    return at + RECORD6


@metal
def send_report(interface: Interface, body: Slice[u8], six: bool, count: u16) -> None:
    """Send a report of the newer version, whose records are in it."""
    put16(body, 6, count)
    if six:
        body[0] = REPORT6_V2
        routers = Address()
        routers.set(LINK_GROUPS, 0x16)
        send6(interface, routers, body)
    else:
        body[0] = REPORT4_V3
        send4(interface, REPORTS4, body)


@metal
def send4(interface: Interface, target: u32, body: Slice[u8]) -> None:
    """Send a message of IGMP, with the router alert option (RFC 2113)."""
    packet = blank(24)
    if packet is None:
        return
    raw16(body, 2, finish(summed(body)))
    head = packet.bytes()
    head[0] = 0x46
    head[1] = INTERNETWORK_CONTROL
    put16(head, 2, u16(24 + len(body)))
    put16(head, 6, 0x4000)
    head[8] = 1
    head[9] = IGMP
    for local in interface.addresses:
        if local.usable() and local.address.is4() and get32(head, 12) == 0:
            put32(head, 12, local.address.four())
    put32(head, 16, target)
    put32(head, 20, 0x9404_0000)
    raw16(head, 10, finish(summed(head)))
    packet.extend(u32(len(body)))[:] = body
    group = Address()
    group.set4(target)
    link_send(interface, packet, group_mac(group), ethernet.IP4)


@metal
def send6(interface: Interface, target: Address, body: Slice[u8]) -> None:
    """Send a message of MLD, with the router alert option (RFC 2711), from a link-local address or from none."""
    packet = blank(48)
    if packet is None:
        return
    source = Address()
    for local in interface.addresses:
        if local.usable() and not local.address.is4() and local.address.link_local():
            source = local.address
    pseudo = pseudo_header(source.high, source.low, target.high, target.low, ICMP6, u32(len(body)))
    raw16(body, 2, finish(joined(summed(body), pseudo, 0)))
    header = ip6.Header(source=source, target=target, hops=1)
    place = packet.bytes()
    ip6.write(place[0 : u64(ip6.HEADER)], header)
    put16(place, 4, u16(8 + len(body)))
    place[40] = ICMP6
    put32(place, 42, 0x0502_0000)
    put16(place, 46, 0x0100)
    packet.extend(u32(len(body)))[:] = body
    link_send(interface, packet, group_mac(target), ethernet.IP6)


@metal
def receive_igmp(interface: Interface, packet: Packet, now: u64) -> None:
    """A message of IGMP, from its header on; it stays the caller's."""
    if packet.total < 8 or not packet.pullable(min(packet.total, u32(12))) or finish(packet.summed(0)) != 0:
        return
    data = packet.bytes()
    group = Address()
    group.set4(get32(data, 4))
    if data[0] == REPORT4_V2:
        heard(interface, group)
    if data[0] != QUERY4:
        return
    code = u64(data[1])
    if packet.total < 12:
        interface.igmp2_until = now + OLDER_FOR
        code = code if code != 0 else 100  # of version 1, which means 10 s
    elif code >= 128:
        code = (code & 15 | 16) << ((code >> 4 & 7) + 3)
    queried(interface, group, code * 100 * MILLISECOND, now)


@metal
def receive_mld(interface: Interface, packet: Packet, now: u64) -> None:
    """A query or report of MLD, from its ICMPv6 header on, whose checksum is right; it stays the caller's."""
    if packet.total < 24 or not packet.pullable(24):
        return
    data = packet.bytes()
    group = Address()
    group.load(data[8:24])
    if data[0] == REPORT6_V1:
        heard(interface, group)
        return
    code = u64(get16(data, 4))
    if packet.total < 28:
        interface.mld1_until = now + OLDER_FOR
    elif code >= 32768:
        code = (code & 0xFFF | 0x1000) << ((code >> 12 & 7) + 3)
    queried(interface, group, code * MILLISECOND, now)


@metal
def heard(interface: Interface, group: Address) -> None:
    """Somebody else reported a group: in the older version one report is enough (RFC 2236 3, RFC 2710 4)."""
    with interfaces_lock:
        entry = interface.find_group(group)
        if entry is not None and entry.report == IS_EXCLUDE:
            entry.report = 0


@metal
def queried(interface: Interface, group: Address, within: u64, now: u64) -> None:
    """A querier asks for a group, or for all if it is unspecified, to be answered within a time."""
    at = now + random_u64() % max(within, u64(MILLISECOND))
    with interfaces_lock:
        for entry in interface.groups:
            asked = group.unspecified() and group.is4() == entry.address.is4()
            asked = entry.users != 0 and (asked or entry.address.equals(group)) and told_of(entry.address)
            if asked and (entry.report == 0 or at < entry.report_at):
                schedule(entry, IS_EXCLUDE, at)
        if group.unspecified() and not group.is4():
            interface.report6_at = at
            look_by(at)


@metal
def membership_deadline() -> u64:
    """When membership_timer must be called next, NEVER if it need not."""
    deadline: u64 = NEVER
    for interface in interfaces:
        if interface is not None:
            if interface.report6_at != 0:
                deadline = min(deadline, interface.report6_at)
            for entry in interface.groups:
                if entry.report != 0:
                    deadline = min(deadline, entry.report_at)
    return deadline


@metal
def membership_timer(now: u64) -> None:
    """Send the reports that are due."""
    for interface in interfaces:
        if interface is not None:
            with interfaces_lock:
                report_due(interface, False, now)
                report_due(interface, True, now)


@metal
def report_due(interface: Interface, six: bool, now: u64) -> None:
    """Report what is due of one version of IP, in one message if the protocol's version has such. With the lock."""
    data = Array[u8, 8 + MOST_RECORDS * RECORD6]()
    size: u64 = 8
    count: u16 = 0
    older = now < (interface.mld1_until if six else interface.igmp2_until)
    for entry in interface.groups:
        if entry.report != 0 and entry.report_at <= now and entry.address.is4() != six:
            if older:
                tell(interface, entry.address, entry.report, now)
            else:
                size = put_record(data[:], size, entry.address, entry.report)
                count += 1
            entry.report = 0
    if six and interface.report6_at != 0 and interface.report6_at <= now:
        interface.report6_at = 0
        for local in interface.addresses:
            if local.standing != Standing.UNUSED and not local.address.is4():
                solicited = Address()
                solicited_node(local.address, solicited)
                if older:
                    tell(interface, solicited, IS_EXCLUDE, now)
                else:
                    size = put_record(data[:], size, solicited, IS_EXCLUDE)
                    count += 1
    if count != 0 and interface.up:
        send_report(interface, data[0:size], six, count)
