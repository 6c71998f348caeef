"""/proc/net: interfaces, their addresses and groups, and the routes of IPv4 (proc_pid_net(5))."""

from goanna.kernel.base.text import Text
from goanna.kernel.file.declare import Generated
from goanna.kernel.file.subject import Subject
from goanna.kernel.net.address import Address
from goanna.kernel.net.interface import Group, Interface, Local, Standing, interfaces
from goanna.kernel.net.route import Route, next_route
from goanna.kernel.net.start import start_network
from goanna.metal import byte_swap, i64, metal, u32, u64

__all__ = ["FILES"]

ROUTE_WIDTH = 127  # characters of a line of /proc/net/route
ROUTE_UP, ROUTE_GATEWAY, ROUTE_HOST = 1, 2, 4  # RTF_
PERMANENT, TENTATIVE, DEPRECATED = 0x80, 0x40, 0x20  # IFA_F_
HOST, LINK = 0x10, 0x20  # scopes of if_inet6
DIGITS = b"0123456789ABCDEF"


@metal
def upper(text: Text, value: u64, width: u64) -> None:
    """Write a number in capital hexadecimal digits."""
    for place in range(width):
        text.byte(DIGITS[value >> 4 * (width - 1 - place) & 15])


@metal
def name_to(text: Text, interface: Interface, width: u64, before: bool) -> None:
    """Write an interface's name in a column, with the spaces before or behind it."""
    length: u64 = 0
    while interface.name[length] != 0:
        length += 1
    begun = text.position
    if before and length < width:
        text.pad_to(width - length, begun)
    text.put(interface.name[0:length])
    text.pad_to(width, begun)


@metal
def write_devices(text: Text, subject: Subject) -> i64:
    """/proc/net/dev."""
    start_network()
    text.put(b"Inter-|   Receive                                                |  Transmit\n")
    text.put(b" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls")
    text.put(b" carrier compressed\n")
    for interface in interfaces:
        if interface is not None:
            name_to(text, interface, 6, True)
            text.put(b": ")
            write_counts(text, interface.received_bytes, interface.received_packets, interface.received_dropped)
            text.put(b"   0     0          0         0 ")
            text.padded(interface.sent_bytes, 8)
            text.byte(0x20)
            write_rest(text, interface.sent_packets, interface.sent_dropped)
            text.put(b"   0     0       0          0\n")
    return 0


@metal
def write_counts(text: Text, bytes: u64, packets: u64, dropped: u64) -> None:
    """The first columns of one direction."""
    text.padded(bytes, 7)
    text.byte(0x20)
    write_rest(text, packets, dropped)


@metal
def write_rest(text: Text, packets: u64, dropped: u64) -> None:
    """Packets, errors and what was dropped."""
    text.padded(packets, 7)
    text.put(b"    0 ")
    text.padded(dropped, 4)
    text.byte(0x20)


@metal
def write_addresses6(text: Text, subject: Subject) -> i64:
    """/proc/net/if_inet6."""
    start_network()
    for interface in interfaces:
        if interface is not None:
            for local in interface.addresses:
                if local.standing != Standing.UNUSED and not local.address.is4():
                    write_address6(text, interface, local)
    return 0


@metal
def write_address6(text: Text, interface: Interface, local: Local) -> None:
    """One line of it."""
    text.hexadecimal(local.address.high, 16)
    text.hexadecimal(local.address.low, 16)
    scope: u64 = HOST if local.address.loopback() else (LINK if local.address.link_local() else 0)
    flags: u64 = PERMANENT
    if local.standing in (Standing.TENTATIVE, Standing.DUPLICATE):
        flags |= TENTATIVE
    elif local.standing == Standing.DEPRECATED:
        flags |= DEPRECATED
    text.byte(0x20)
    text.hexadecimal(u64(interface.index), 2)
    text.byte(0x20)
    text.hexadecimal(u64(local.length), 2)
    text.byte(0x20)
    text.hexadecimal(scope, 2)
    text.byte(0x20)
    text.hexadecimal(flags, 2)
    text.byte(0x20)
    name_to(text, interface, 8, True)
    text.byte(0x0A)


@metal
def write_groups4(text: Text, subject: Subject) -> i64:
    """/proc/net/igmp."""
    start_network()
    text.put(b"Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n")
    for interface in interfaces:
        if interface is None:
            continue
        count: u64 = 1  # all hosts
        for group in interface.groups:
            if group.users != 0 and group.address.is4():
                count += 1
        text.number(u64(interface.index))
        text.byte(0x09)
        name_to(text, interface, 10, False)
        text.put(b": ")
        text.padded(count, 5)
        text.put(b"      V3\n")
        for group in interface.groups:
            if group.users != 0 and group.address.is4():
                write_group4(text, group.address.four(), group.users)
        write_group4(text, 0xE000_0001, 1)
    return 0


@metal
def write_group4(text: Text, group: u32, users: u32) -> None:
    """One group of IPv4."""
    text.put(b"\t\t\t\t")
    upper(text, u64(byte_swap(group)), 8)
    text.byte(0x20)
    text.padded(u64(users), 5)
    text.put(b" 0:00000000\t\t0\n")


@metal
def write_groups6(text: Text, subject: Subject) -> i64:
    """/proc/net/igmp6."""
    start_network()
    for interface in interfaces:
        if interface is not None:
            for group in interface.groups:
                if group.users != 0 and not group.address.is4():
                    write_group6(text, interface, group)
            everybody = Group(users=1)
            everybody.address.set(0xFF02 << 48, 1)
            write_group6(text, interface, everybody)
            everybody.address.set(0xFF01 << 48, 1)
            write_group6(text, interface, everybody)
    return 0


@metal
def write_group6(text: Text, interface: Interface, group: Group) -> None:
    """One group of IPv6."""
    begun = text.position
    text.number(u64(interface.index))
    text.pad_to(5, begun)
    name_to(text, interface, 15, False)
    text.byte(0x20)
    text.hexadecimal(group.address.high, 16)
    text.hexadecimal(group.address.low, 16)
    text.byte(0x20)
    text.padded(u64(group.users), 5)
    text.put(b" 0000000C 0\n" if group.address.high >> 48 == 0xFF02 else b" 00000008 0\n")


@metal
def write_routes(text: Text, subject: Subject) -> i64:
    """/proc/net/route."""
    start_network()
    begun = text.position
    text.put(b"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT")
    text.pad_to(ROUTE_WIDTH, begun)
    text.byte(0x0A)
    route = Route()
    position: u64 = 0
    while next_route(position, route):
        position += 1
        if route.length >= 96 and route.prefix.is4() and route.interface is not None:
            write_route(text, route)
    return 0


@metal
def write_route(text: Text, route: Route) -> None:
    """One route of IPv4."""
    begun = text.position
    interface: Interface = route.interface
    name_to(text, interface, 0, False)
    text.byte(0x09)
    upper(text, u64(byte_swap(route.prefix.four())), 8)
    text.byte(0x09)
    upper(text, 0 if route.direct() else u64(byte_swap(route.gateway.four())), 8)
    text.byte(0x09)
    flags: u64 = ROUTE_UP | (0 if route.direct() else ROUTE_GATEWAY) | (ROUTE_HOST if route.length == 128 else 0)
    upper(text, flags, 4)
    text.put(b"\t0\t0\t")
    text.number(u64(route.metric))
    text.byte(0x09)
    mask = Address()
    mask.set4(0xFFFF_FFFF)
    mask.mask(route.length)
    upper(text, u64(byte_swap(mask.four())), 8)
    text.byte(0x09)
    text.number(u64(route.mtu))
    text.put(b"\t0\t0")
    text.pad_to(ROUTE_WIDTH, begun)
    text.byte(0x0A)


FILES = [
    Generated("/proc/{pid}/net/dev", 0o444, text=write_devices),
    Generated("/proc/{pid}/net/if_inet6", 0o444, text=write_addresses6),
    Generated("/proc/{pid}/net/igmp", 0o444, text=write_groups4),
    Generated("/proc/{pid}/net/igmp6", 0o444, text=write_groups6),
    Generated("/proc/{pid}/net/route", 0o444, text=write_routes),
]
