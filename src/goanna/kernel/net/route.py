"""The routing table: where packets for an address go. Longest prefix first, then the least metric, then the oldest."""

from goanna.kernel.base.errno import EEXIST, ENOMEM, ESRCH
from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory.objects import Cache
from goanna.kernel.net.address import Address
from goanna.kernel.net.interface import Interface
from goanna.kernel.net.network import changed
from goanna.metal import Ptr, copy, enumeration, i64, metal, static, struct, u8, u32, u64

__all__ = ["Route", "RouteKind", "add_route", "find_route", "next_route", "remove_interface_routes", "remove_route"]

MOST_ROUTES = 4096


@enumeration(u8)
class RouteKind:
    """What is done with a packet; the numbers are rtnetlink's RTN_."""

    UNICAST = 1
    BLACKHOLE = 6
    UNREACHABLE = 7
    PROHIBIT = 8


@struct
class Route:
    """One route."""

    link: Link
    prefix: Address
    length: u32  # bits of 128; all of IPv4 is 96
    metric: u32
    gateway: Address  # unspecified: the target itself is on the link
    source: Address  # preferred; unspecified: none
    interface: Ptr[Interface]  # None only if the kind needs none
    mtu: u32  # 0: the interface's
    kind: RouteKind
    protocol: u8  # who made it: rtnetlink's RTPROT_

    def direct(self) -> bool:
        """Whether its targets are on the link."""
        return self.gateway.unspecified()


Routes = List(Route, "link")
routes = static(Routes)  # in order of preference
routes_lock = static(SpinLock)  # protects the list
entries = Cache(Route)


@metal
def same_route(a: Route, b: Route) -> bool:
    """Whether one of them can't be there beside the other."""
    return a.length == b.length and a.metric == b.metric and a.prefix.equals(b.prefix) and a.gateway.equals(
        b.gateway
    ) and a.interface is b.interface  # fmt: skip


@metal
def add_route(wanted: Route) -> i64:
    """Add a copy of a route. 0, -EEXIST or -ENOMEM."""
    made = entries.allocate()
    if made is None:
        return -ENOMEM
    copy(made, wanted)
    made.link.next = None
    made.link.previous = None
    made.prefix.mask(made.length)
    with routes_lock:
        count: u64 = 0
        place: Ptr[Route] = None  # the last one that is preferred to the new one
        each = routes.head()
        while each is not None:
            count += 1
            if same_route(each, made):
                entries.free(made)
                return -EEXIST
            if each.length > made.length or (each.length == made.length and each.metric <= made.metric):
                place = each
            each = routes.after(each)
        if count >= MOST_ROUTES:
            entries.free(made)
            return -ENOMEM
        insert(made, place)
    changed()
    return 0


@metal
def insert(made: Route, place: Ptr[Route]) -> None:
    """Put a route behind another, or in front of all."""
    if place is None:
        routes.prepend(made)
        return
    behind: Ptr[Route] = routes.after(place)
    if behind is None:
        routes.append(made)
        return
    made.link.previous = place.link
    made.link.next = behind.link
    place.link.next = made.link
    behind.link.previous = made.link


@metal
def remove_route(wanted: Route) -> i64:
    """Remove the route that a prefix, length, metric, gateway and interface name. 0 or -ESRCH."""
    with routes_lock:
        each = routes.head()
        while each is not None:
            if same_route(each, wanted):
                routes.remove(each)
                entries.free(each)
                changed()
                return 0
            each = routes.after(each)
    return -ESRCH


@metal
def remove_interface_routes(interface: Interface) -> None:
    """Remove all routes by an interface."""
    with routes_lock:
        each = routes.head()
        while each is not None:
            following = routes.after(each)
            if each.interface is interface:
                routes.remove(each)
                entries.free(each)
            each = following
    changed()


@metal
def find_route(target: Address, interface: Ptr[Interface], found: Route) -> bool:
    """Copy the best route for a target into `found`, only such by `interface` if that isn't None. False: there is none.

    Routes of an interface that is down are passed over.
    """
    with routes_lock:
        each = routes.head()
        while each is not None:
            usable = each.interface is None or (each.interface.up and each.interface.running)
            wanted = interface is None or each.interface is interface
            if usable and wanted and target.within(each.prefix, each.length) and covers(each, target):
                copy(found, each)
                return True
            each = routes.after(each)
    return False


@metal
def covers(route: Route, target: Address) -> bool:
    """Whether a route is of the target's family: ::/0 is not a way to IPv4 addresses."""
    return route.length >= 96 or not target.is4()


@metal
def next_route(position: u64, found: Route) -> bool:
    """Copy the route at a position of the table, for who lists them all. False: there is none."""
    with routes_lock:
        each = routes.head()
        while each is not None and position != 0:
            position -= 1
            each = routes.after(each)
        if each is None:
            return False
        copy(found, each)
    return True
