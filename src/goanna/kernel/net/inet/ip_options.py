"""Options of the levels IPPROTO_IP and IPPROTO_IPV6, the same for all protocols (ip(7), ipv6(7))."""

from goanna.kernel.arch import now
from goanna.kernel.base.errno import (
    EADDRINUSE,
    EADDRNOTAVAIL,
    EINVAL,
    ENOBUFS,
    ENODEV,
    ENOPROTOOPT,
    ENOTCONN,
    EOPNOTSUPP,
    EPROTO,
)
from goanna.kernel.net.address import Address
from goanna.kernel.net.inet import values
from goanna.kernel.net.inet.values import number_of, small_number_of
from goanna.kernel.net.interface import (
    Interface,
    interface_by_index,
    interface_by_name,
    local_interface,
)
from goanna.kernel.net.loopback import loopback
from goanna.kernel.net.membership import join_group, leave_group
from goanna.kernel.net.path import DEFAULT_HOPS, Discover, Path, first_link
from goanna.kernel.net.route import Route, find_route
from goanna.kernel.net.socket import numbers as so
from goanna.kernel.net.socket.options import put_number
from goanna.kernel.net.turn import end_turn
from goanna.kernel.net.wire.bytes import get32
from goanna.metal import Array, Ptr, Slice, i64, metal, struct, u8, u32, u64

MOST_MEMBERSHIPS = 20  # net.ipv4.igmp_max_memberships
NAME_SIZE = 16  # bytes of an interface's name with its end

KNOWN6 = (
    so.IPV6_UNICAST_HOPS, so.IPV6_MULTICAST_HOPS, so.IPV6_MULTICAST_LOOP, so.IPV6_MULTICAST_IF, so.IPV6_MTU_DISCOVER,
    so.IPV6_TCLASS, so.IPV6_RECVERR, so.IPV6_RECVPKTINFO, so.IPV6_RECVHOPLIMIT, so.IPV6_RECVTCLASS,
)  # fmt: skip

# Bits of Wishes.told: what a receiver wants to know of each datagram.
PACKET_INFORMATION, HOPS, TRAFFIC = 1, 2, 4


@struct
class Membership:
    """A group that a socket has joined."""

    group: Address
    interface: u32  # index; 0: unused


@struct
class Wishes:
    """What a socket's options say. Zeroed memory is all defaults, but for `discover`."""

    hops: u8  # 0: the default
    group_hops: u8  # 0: 1
    traffic: u8
    discover: Discover
    told: u8  # PACKET_INFORMATION...
    errors: u8  # Endpoint.wants_errors
    only6: bool
    stream: bool  # a stream's: nothing of groups
    quiet: bool  # what is sent to a group does not come back
    bound: u32  # SO_BINDTODEVICE: index; 0: none
    group_interface: u32
    memberships: Array[Membership, MOST_MEMBERSHIPS]

    def tell(self, bit: u8, value: i64) -> None:
        """Switch what a receiver is told."""
        self.told = self.told | bit if value != 0 else self.told & ~bit


@metal
def own_bits(wishes: Wishes) -> u8:
    """Which bits of a traffic class are the program's: the lowest two, of congestion, are TCP's (RFC 3168)."""
    return ~u8(3) if wishes.stream else u8(0xFF)


@metal
def set_ip_option(wishes: Wishes, family: u32, level: u32, name: u32, data: Slice[u8]) -> i64:
    """setsockopt of IPPROTO_IP or IPPROTO_IPV6. 0 or an errno."""
    if level == so.IPPROTO_IP:
        return set4(wishes, name, data)
    if level == so.IPPROTO_IPV6 and family == so.AF_INET6:
        return set6(wishes, name, data)
    return -ENOPROTOOPT


@metal
def set4(wishes: Wishes, name: u32, data: Slice[u8]) -> i64:
    """The level IPPROTO_IP."""
    if name in (so.IP_ADD_MEMBERSHIP, so.IP_DROP_MEMBERSHIP):
        return set_member4(wishes, name == so.IP_ADD_MEMBERSHIP, data)
    if name == so.IP_MULTICAST_IF and len(data) >= 8:
        index, error = interface_of(data)
        wishes.group_interface = index
        return error
    value, error = small_number_of(data)
    if error < 0 and name in (so.IP_TTL, so.IP_MULTICAST_TTL, so.IP_MULTICAST_LOOP):
        return error
    match name:
        case so.IP_TOS:
            wishes.traffic = u8.wrap(value) & own_bits(wishes)
        case so.IP_TTL:
            return set_hops(wishes, value, 1)
        case so.IP_MULTICAST_TTL:
            return set_group_hops(wishes, value) if not wishes.stream else i64(-EINVAL)
        case so.IP_MULTICAST_LOOP:
            wishes.quiet = value == 0
        case so.IP_MTU_DISCOVER:
            return set_discover(wishes, value)
        case so.IP_PKTINFO:
            wishes.tell(PACKET_INFORMATION, value)
        case so.IP_RECVERR if not wishes.stream:
            wishes.errors = wishes.errors & 2 | u8(value != 0)
        case so.IP_RECVTTL:
            wishes.tell(HOPS, value)
        case so.IP_RECVTOS:
            wishes.tell(TRAFFIC, value)
        case _:
            return -ENOPROTOOPT
    return 0


@metal
def set6(wishes: Wishes, name: u32, data: Slice[u8]) -> i64:
    """The level IPPROTO_IPV6; IPV6_V6ONLY is the caller's."""
    if name in (so.IPV6_JOIN_GROUP, so.IPV6_LEAVE_GROUP):
        return set_member6(wishes, name == so.IPV6_JOIN_GROUP, data)
    value, error = number_of(data)
    if error < 0 and name in KNOWN6:
        return error
    match name:
        case so.IPV6_UNICAST_HOPS:
            return set_hops(wishes, value, 0)
        case so.IPV6_MULTICAST_HOPS | so.IPV6_MULTICAST_IF if wishes.stream:
            return -ENOPROTOOPT
        case so.IPV6_MULTICAST_HOPS:
            return set_group_hops(wishes, value)
        case so.IPV6_MULTICAST_LOOP:
            if value not in (0, 1):
                return -EINVAL
            wishes.quiet = value == 0
        case so.IPV6_MULTICAST_IF:
            if value != 0 and (value < 0 or interface_by_index(u32.wrap(value)) is None):
                return -ENODEV
            wishes.group_interface = u32(value)
        case so.IPV6_MTU_DISCOVER:
            return set_discover(wishes, value)
        case so.IPV6_TCLASS:
            if value < -1 or value > 255:
                return -EINVAL
            wishes.traffic = 0 if value < 0 else u8(value) & own_bits(wishes)
        case so.IPV6_RECVPKTINFO:
            wishes.tell(PACKET_INFORMATION, value)
        case so.IPV6_RECVERR if not wishes.stream:
            wishes.errors = wishes.errors & 1 | u8(value != 0) * 2
        case so.IPV6_RECVHOPLIMIT:
            wishes.tell(HOPS, value)
        case so.IPV6_RECVTCLASS:
            wishes.tell(TRAFFIC, value)
        case _:
            return -ENOPROTOOPT
    return 0


@metal
def set_hops(wishes: Wishes, value: i64, least: i64) -> i64:
    """The TTL or hop limit, -1 for the default."""
    if value != -1 and (value < least or value > 255):
        return -EINVAL
    wishes.hops = 0 if value < 0 else u8(value)
    return 0


@metal
def set_group_hops(wishes: Wishes, value: i64) -> i64:
    """The same for what is sent to groups."""
    if value < -1 or value > 255:
        return -EINVAL
    wishes.group_hops = 0 if value < 0 else u8(value)
    return 0


@metal
def set_discover(wishes: Wishes, value: i64) -> i64:
    """Path MTU discovery."""
    if value < 0 or value > i64(Discover.PROBE):
        return -EINVAL
    wishes.discover = Discover(u8(value))
    return 0


@metal
def get_ip_option(wishes: Wishes, path: Path, family: u32, level: u32, name: u32, data: Slice[u8]) -> i64:
    """getsockopt of both levels: the value's length, or an errno. `path`: the socket's way to its peer."""
    value: u64 = 0
    if level != so.IPPROTO_IP and (level != so.IPPROTO_IPV6 or family != so.AF_INET6):
        return -ENOPROTOOPT if family == so.AF_INET6 else i64(-EOPNOTSUPP)
    wanted = name + (values.SIX if level == so.IPPROTO_IPV6 else 0)
    match wanted:
        case so.IP_TOS | values.SIX_TCLASS:
            value = u64(wishes.traffic)
        case so.IP_TTL | values.SIX_HOPS:
            value = u64(wishes.hops) if wishes.hops != 0 else u64(DEFAULT_HOPS)
        case so.IP_MULTICAST_TTL | values.SIX_GROUP_HOPS:
            value = u64(wishes.group_hops) if wishes.group_hops != 0 else u64(1)
        case so.IP_MULTICAST_LOOP | values.SIX_LOOP:
            value = u64(not wishes.quiet)
        case so.IP_MTU_DISCOVER | values.SIX_DISCOVER:
            value = u64(wishes.discover)
        case so.IP_HDRINCL:  # of a raw socket alone it can be anything else
            value = 0
        case so.IP_PKTINFO | values.SIX_PACKET_INFORMATION:
            value = u64(wishes.told & PACKET_INFORMATION != 0)
        case so.IP_RECVERR if not wishes.stream:
            value = u64(wishes.errors & 1)
        case values.SIX_ERRORS if not wishes.stream:
            value = u64(wishes.errors >> 1)
        case so.IP_RECVTTL | values.SIX_RECEIVE_HOPS:
            value = u64(wishes.told & HOPS != 0)
        case so.IP_RECVTOS | values.SIX_RECEIVE_CLASS:
            value = u64(wishes.told & TRAFFIC != 0)
        case so.IP_MTU | values.SIX_MTU:
            if path.generation == 0:
                return -ENOTCONN
            value = u64(path.mtu)
        case values.SIX_GROUP_INTERFACE:
            value = u64(wishes.group_interface)
        case values.SIX_ONLY:
            value = u64(wishes.only6)
        case _:
            return -ENOPROTOOPT
    put_number(data, value)
    return 4


@metal
def bind_to_device(data: Slice[u8]) -> tuple[u32, i64]:
    """SO_BINDTODEVICE: the index of the interface of a name, 0 for none; and 0 or -ENODEV."""
    size: u64 = 0
    while size < len(data) and size < NAME_SIZE - 1 and data[size] != 0:
        size += 1
    if size == 0:
        return 0, 0
    interface = interface_by_name(data[0:size])
    if interface is None:
        return 0, -ENODEV
    return interface.index, 0


@metal
def interface_of(data: Slice[u8]) -> tuple[u32, i64]:
    """The interface that a struct ip_mreqn or ip_mreq names by index or by an address of it; 0: none is named."""
    if len(data) >= 12:
        index = u32(data[8]) | u32(data[9]) << 8
        if index != 0:
            return index, 0 if interface_by_index(index) is not None else i64(-ENODEV)
    address = Address()
    address.set4(get32(data, 4))
    if address.unspecified():
        return 0, 0
    found = loopback_or(address)
    return (found.index, 0) if found is not None else (u32(0), -ENODEV)


@metal
def loopback_or(address: Address) -> Ptr[Interface]:
    """The interface of an address of ours, or None."""
    if address.loopback():
        return loopback
    return local_interface(address)


@metal
def set_member4(wishes: Wishes, joins: bool, data: Slice[u8]) -> i64:
    """IP_ADD_MEMBERSHIP and IP_DROP_MEMBERSHIP."""
    if len(data) < 8:
        return -EINVAL
    group = Address()
    group.set4(get32(data, 0))
    index, error = interface_of(data)
    if error < 0:
        return error
    return set_member(wishes, joins, group, index)


@metal
def set_member6(wishes: Wishes, joins: bool, data: Slice[u8]) -> i64:
    """IPV6_JOIN_GROUP and IPV6_LEAVE_GROUP: struct ipv6_mreq."""
    if len(data) < 20:
        return -EINVAL
    group = Address()
    group.load(data[0:16])
    index = u32(data[16]) | u32(data[17]) << 8
    if index != 0 and interface_by_index(index) is None:
        return -ENODEV
    return set_member(wishes, joins, group, index)


@metal
def set_member(wishes: Wishes, joins: bool, group: Address, index: u32) -> i64:
    """Join or leave a group on an interface, 0 for the one that a route or the first link gives."""
    if not group.multicast():
        return -EINVAL
    if wishes.stream:
        return -EPROTO
    if joins and index == 0:
        route = Route()
        chosen: Ptr[Interface] = first_link()
        if find_route(group, None, route) and route.interface is not None:
            chosen = route.interface
        if chosen is None:
            return -ENODEV
        index = chosen.index
    place: Ptr[Membership] = None
    for each in wishes.memberships:
        same = each.interface != 0 and (each.interface == index or index == 0) and each.group.equals(group)
        if same and joins:
            return -EADDRINUSE
        if same or (joins and each.interface == 0 and place is None):
            place = each
    if place is None:
        return -ENOBUFS if joins else i64(-EADDRNOTAVAIL)
    interface = interface_by_index(index if joins else place.interface)
    if joins:
        if interface is None or not join_group(interface, group, now()):
            return -ENOBUFS
        place.group = group
        place.interface = index
    else:
        place.interface = 0
        if interface is not None:
            leave_group(interface, group, now())
    end_turn()
    return 0


@metal
def leave_all(wishes: Wishes) -> None:
    """The socket goes: leave what it joined."""
    for each in wishes.memberships:
        if each.interface != 0:
            interface = interface_by_index(each.interface)
            if interface is not None:
                leave_group(interface, each.group, now())
            each.interface = 0
    end_turn()


__all__ = [
    "HOPS", "PACKET_INFORMATION", "TRAFFIC", "Wishes", "bind_to_device", "get_ip_option", "leave_all", "set_ip_option",
]  # fmt: skip
