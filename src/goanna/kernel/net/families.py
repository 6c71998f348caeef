"""From a family and a type to a socket (socket(2), address_families(7))."""

from goanna.kernel.base.errno import EAFNOSUPPORT, EINVAL, EOPNOTSUPP
from goanna.kernel.net import packet_socket
from goanna.kernel.net.inet import protocols as inet
from goanna.kernel.net.netlink import socket as netlink
from goanna.kernel.net.socket.numbers import AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX
from goanna.kernel.net.socket.socket import Socket
from goanna.kernel.net.unix import join, protocols
from goanna.kernel.variant import NETWORK
from goanna.metal import Ptr, i32, i64, metal, u32

MOST_FAMILIES = 46  # AF_MAX
MOST_TYPES = 11  # SOCK_MAX


@metal
def create(family: u32, kind: u32, number: i32) -> tuple[Ptr[Socket], i64]:
    """A new socket, or None and -EAFNOSUPPORT, -EINVAL, -ESOCKTNOSUPPORT, -EPROTONOSUPPORT, -ENOMEM."""
    if family >= MOST_FAMILIES:
        return None, -EAFNOSUPPORT
    if kind >= MOST_TYPES:
        return None, -EINVAL
    if family == AF_UNIX:
        return protocols.create_socket(kind, number)
    if NETWORK:
        if family in (AF_INET, AF_INET6):
            return inet.create_socket(family, kind, number)
        if family == AF_PACKET:
            return packet_socket.create_socket(kind, number)
        if family == AF_NETLINK:
            return netlink.create_socket(kind, number)
    return None, -EAFNOSUPPORT


@metal
def create_pair(family: u32, kind: u32, number: i32) -> tuple[Ptr[Socket], Ptr[Socket], i64]:
    """Two sockets that are connected to each other, or an errno."""
    one, error = create(family, kind, number)
    if one is None:
        return None, None, error
    if family != AF_UNIX:
        one.protocol.release(one)
        return None, None, -EOPNOTSUPP
    other, error = create(family, kind, number)
    if other is None:
        one.protocol.release(one)
        return None, None, error
    join.pair(one, other)
    return one, other, 0
