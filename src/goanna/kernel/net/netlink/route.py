"""What rtnetlink tells: interfaces, their addresses, routes, each as a message of its own (rtnetlink(7))."""

from goanna.kernel.base.errno import ENODEV, EOPNOTSUPP
from goanna.kernel.net.address import Address
from goanna.kernel.net.interface import Interface, Kind, Local, Standing, interface_by_index, interfaces
from goanna.kernel.net.netlink.answer import HEADER, MULTI, Answer, MessageHeader
from goanna.kernel.net.route import Route, next_route
from goanna.kernel.net.socket.numbers import AF_INET, AF_INET6
from goanna.kernel.net.wire.bytes import put32
from goanna.metal import Array, Ptr, Slice, i64, metal, sizeof, struct, u8, u16, u32, u64, unsafe

ERROR, DONE = 2, 3  # NLMSG_
NEW_LINK, GET_LINK, NEW_ADDRESS, GET_ADDRESS, NEW_ROUTE, GET_ROUTE = 16, 18, 20, 22, 24, 26  # RTM_
FIRST = 16  # RTM_BASE: numbers below are netlink's own
ACKNOWLEDGE, DUMP = 4, 0x300  # NLM_F_

UP, BROADCAST, LOOPBACK, RUNNING, MULTICAST, LOWER_UP = 1, 2, 8, 0x40, 0x1000, 0x10000  # IFF_
TYPE_LOOPBACK, TYPE_ETHERNET = 772, 1  # ARPHRD_
OPERATING, UNKNOWN, DOWN = 6, 0, 2  # IF_OPER_
FOR_GOOD, TENTATIVE, DEPRECATED, DUPLICATE = 0x80, 0x40, 0x20, 8  # IFA_F_
SCOPE_LINK, SCOPE_HOST = 253, 254  # RT_SCOPE_
MAIN_TABLE = 254
BOOT = 3  # RTPROT_BOOT


@struct
class LinkMessage:
    """struct ifinfomsg."""

    family: u8
    padding: u8
    type: u16
    index: u32
    flags: u32
    change: u32


@struct
class AddressMessage:
    """struct ifaddrmsg."""

    family: u8
    length: u8
    flags: u8
    scope: u8
    index: u32


@struct
class RouteMessage:
    """struct rtmsg."""

    family: u8
    target_length: u8
    source_length: u8
    traffic: u8
    table: u8
    protocol: u8
    scope: u8
    type: u8
    flags: u32


@metal
def answer_request(answer: Answer, header: MessageHeader, body: Slice[u8]) -> None:
    """Answer one request."""
    dump = header.flags & DUMP == DUMP
    error: i64 = 0
    if header.type >= FIRST:
        error = -EOPNOTSUPP
        family: u32 = u32(body[0]) if len(body) != 0 else 0
        if header.type == GET_LINK:
            error = tell_links(answer, dump, body)
        elif dump and header.type == GET_ADDRESS:
            error = tell_addresses(answer, family)
        elif dump and header.type == GET_ROUTE:
            error = tell_routes(answer, family)
        if dump and error == 0:
            if answer.begin(DONE, MULTI):
                answer.number_alone(0)
            return
    if (error != 0 or header.flags & ACKNOWLEDGE != 0) and answer.begin(ERROR, 0):
        answer.number_alone(u32.wrap(error))
        answer.put(unsafe.slice(u8, unsafe.address(header), HEADER))


@metal
def tell_links(answer: Answer, dump: bool, body: Slice[u8]) -> i64:
    """All interfaces, or the one that is asked for. 0 or -ENODEV."""
    if dump:
        for interface in interfaces:
            if interface is not None:
                tell_link(answer, interface, MULTI)
        return 0
    index: u32 = 0
    if len(body) >= sizeof(LinkMessage):
        index = unsafe.load(u32, unsafe.address(body) + 4, unaligned=True)
    found: Ptr[Interface] = interface_by_index(index)
    if found is None:
        return -ENODEV
    tell_link(answer, found, 0)
    return 0


@metal
def flags_of(interface: Interface) -> u32:
    """IFF_ of an interface."""
    flags: u32 = LOOPBACK if interface.kind == Kind.LOOPBACK else BROADCAST | MULTICAST
    if interface.up:
        flags |= UP
        if interface.running:
            flags |= RUNNING | LOWER_UP
    return flags


@metal
def name_of(interface: Interface) -> Slice[u8]:
    """An interface's name."""
    size: u64 = 0
    while interface.name[size] != 0:
        size += 1
    return interface.name[0:size]


@metal
def tell_link(answer: Answer, interface: Interface, flags: u16) -> None:
    """One interface."""
    if not answer.begin(NEW_LINK, flags):
        return
    loops = interface.kind == Kind.LOOPBACK
    told = LinkMessage(index=interface.index, flags=flags_of(interface))
    told.type = TYPE_LOOPBACK if loops else TYPE_ETHERNET
    answer.put(unsafe.slice(u8, unsafe.address(told), sizeof(LinkMessage)))
    tell_name(answer, 3, interface)
    answer.number(13, 1000)
    state: u8 = UNKNOWN if loops else (OPERATING if interface.up and interface.running else DOWN)
    byte = Array[u8, 8]()
    byte[0] = state
    answer.attribute(16, byte[0:1])
    answer.number(4, interface.mtu)
    for place in range(u64(6)):
        byte[place] = u8.wrap(interface.mac >> u32(8 * (5 - place)))
    answer.attribute(1, byte[0:6])
    for place in range(u64(6)):
        byte[place] = 0 if loops else 0xFF
    answer.attribute(2, byte[0:6])


@metal
def tell_name(answer: Answer, type: u16, interface: Interface) -> None:
    """An attribute that is an interface's name with its zero byte."""
    name = name_of(interface)
    answer.attribute(type, interface.name[0 : len(name) + 1])


@metal
def tell_addresses(answer: Answer, family: u32) -> i64:
    """All addresses of a family, 0 for both, IPv4 first."""
    for six in range(u32(2)):
        if family in (0, u32(AF_INET6) if six != 0 else u32(AF_INET)):
            for interface in interfaces:
                if interface is not None:
                    for local in interface.addresses:
                        if local.standing != Standing.UNUSED and local.address.is4() == (six == 0):
                            tell_address(answer, interface, local)
    return 0


@metal
def tell_address(answer: Answer, interface: Interface, local: Local) -> None:
    """One address of an interface."""
    if not answer.begin(NEW_ADDRESS, MULTI):
        return
    four = local.address.is4()
    told = AddressMessage(index=interface.index)
    told.family = AF_INET if four else AF_INET6
    told.length = u8(local.length - (96 if four else 0))
    told.flags = FOR_GOOD
    if local.standing == Standing.TENTATIVE:
        told.flags |= TENTATIVE
    elif local.standing == Standing.DEPRECATED:
        told.flags |= DEPRECATED
    elif local.standing == Standing.DUPLICATE:
        told.flags |= TENTATIVE | DUPLICATE
    if local.address.loopback():
        told.scope = SCOPE_HOST
    elif local.address.link_local() and not four:
        told.scope = SCOPE_LINK
    answer.put(unsafe.slice(u8, unsafe.address(told), sizeof(AddressMessage)))
    tell_bytes(answer, 1, local.address)
    if four:
        tell_bytes(answer, 2, local.address)
        if local.length <= 126 and interface.kind != Kind.LOOPBACK:
            last = Address()
            last.set4(local.address.four() | u32((u64(1) << (128 - local.length)) - 1))
            tell_bytes(answer, 4, last)
        tell_name(answer, 3, interface)
    answer.number(8, u32(told.flags))


@metal
def tell_bytes(answer: Answer, type: u16, address: Address) -> None:
    """An attribute that is an address."""
    bytes = Array[u8, 16]()
    if address.is4():
        put32(bytes[:], 0, address.four())
        answer.attribute(type, bytes[0:4])
    else:
        address.store(bytes[:])
        answer.attribute(type, bytes[:])


@metal
def tell_routes(answer: Answer, family: u32) -> i64:
    """All routes of a family, 0 for both, IPv4 first."""
    for six in range(u32(2)):
        if family in (0, u32(AF_INET6) if six != 0 else u32(AF_INET)):
            route = Route()
            position: u64 = 0
            while next_route(position, route):
                position += 1
                if (route.length >= 96 and route.prefix.is4()) == (six == 0):
                    tell_route(answer, route, six == 0)
    return 0


@metal
def tell_route(answer: Answer, route: Route, four: bool) -> None:
    """One route."""
    if not answer.begin(NEW_ROUTE, MULTI):
        return
    told = RouteMessage(table=MAIN_TABLE, type=u8(route.kind))
    told.family = AF_INET if four else AF_INET6
    told.target_length = u8(route.length - (96 if four else 0))
    told.protocol = route.protocol if route.protocol != 0 else u8(BOOT)
    if four and route.direct():
        told.scope = SCOPE_LINK
    answer.put(unsafe.slice(u8, unsafe.address(told), sizeof(RouteMessage)))
    answer.number(15, MAIN_TABLE)
    if told.target_length != 0:
        tell_bytes(answer, 1, route.prefix)
    if route.metric != 0:
        answer.number(6, route.metric)
    if not route.source.unspecified():
        tell_bytes(answer, 7, route.source)
    if not route.direct():
        tell_bytes(answer, 5, route.gateway)
    if route.interface is not None:
        answer.number(4, route.interface.index)


__all__ = ["answer_request", "flags_of", "name_of"]
