"""Addresses as programs write them: struct sockaddr_in and sockaddr_in6 (ip(7), ipv6(7))."""

from goanna.kernel.base.errno import EACCES, EADDRNOTAVAIL, EAFNOSUPPORT, EINVAL
from goanna.kernel.identity.credentials import CAP_NET_BIND_SERVICE, capable
from goanna.kernel.net.address import Address
from goanna.kernel.net.interface import Interface, interface_by_index, local_interface
from goanna.kernel.net.socket.numbers import AF_INET, AF_INET6
from goanna.kernel.net.wire.bytes import get16, get32, put16, put32
from goanna.metal import Ptr, Slice, fill, i64, metal, struct, u8, u16, u32, u64

AF_UNSPEC = 0
SIZE4, SIZE6 = 16, 28  # bytes of the structures
LEAST6 = 24  # without the scope, which older programs leave out (RFC 2133)
FIRST_FREE_PORT = 1024  # those below are for who may have them


@struct
class Name:
    """An address with a port."""

    address: Address
    port: u16
    scope: u32  # index of the interface that a link-local address is on; 0: not said


@metal
def family_of(data: Slice[u8]) -> u32:
    """The family that a sockaddr says, which has two bytes at least."""
    return u32(data[0]) | u32(data[1]) << 8


@metal
def read_name(family: u32, data: Slice[u8], name: Name) -> i64:
    """Read a sockaddr of a family. 0, -EINVAL or -EAFNOSUPPORT."""
    if len(data) < u64(SIZE4 if family == AF_INET else LEAST6):
        return -EINVAL
    if family_of(data) != family:
        return -EAFNOSUPPORT
    name.port = get16(data, 2)
    name.scope = 0
    if family == AF_INET:
        name.address.set4(get32(data, 4))
        return 0
    name.address.load(data[8:24])
    if len(data) >= SIZE6:
        name.scope = u32(data[24]) | u32(data[25]) << 8 | u32(data[26]) << 16 | u32(data[27]) << 24
    return 0


@metal
def read_own(family: u32, data: Slice[u8], name: Name) -> i64:
    """The same for bind, where some programs leave out the family of 0.0.0.0."""
    error = read_name(family, data, name)
    if error == -EAFNOSUPPORT and family == AF_INET and family_of(data) == AF_UNSPEC and get32(data, 4) == 0:
        any_address(family, name.address)
        return 0
    return error


@metal
def write_name(family: u32, address: Address, port: u16, scope: u32, data: Slice[u8]) -> i64:
    """Write a sockaddr of a family: its length."""
    size = u64(SIZE4 if family == AF_INET else SIZE6)
    fill(data[0:size], 0)
    data[0] = u8(family)
    put16(data, 2, port)
    if family == AF_INET:
        put32(data, 4, 0 if address.unspecified() else address.four())
        return SIZE4
    address.store(data[8:24])
    if not address.is4() and address.link_local():
        for place in range(u64(4)):
            data[24 + place] = u8.wrap(scope >> u32(8 * place))
    return SIZE6


@metal
def any_address(family: u32, address: Address) -> None:
    """Become the address that stands for all of a family's."""
    if family == AF_INET:
        address.set4(0)
    else:
        address.set(0, 0)


@metal
def only_six(address: Address) -> bool:
    """Whether who binds to it hears of IPv6 alone."""
    return not address.is4() and not address.unspecified()


@metal
def to_ourselves(name: Name) -> None:
    """What is sent to the any-address goes to this machine, as on Linux."""
    if name.address.unspecified():
        if name.address.is4():
            name.address.set4(0x7F00_0001)
        else:
            name.address.set(0, 1)


@metal
def may_bind(name: Name, only6: bool, bound: u32, guarded: bool) -> i64:
    """Whether a socket may take an address and port for its own; `guarded`: the first ports are for who may have them.
    0 or an errno; a group is left to the caller."""
    address = name.address
    if guarded and name.port != 0 and name.port < FIRST_FREE_PORT and not capable(CAP_NET_BIND_SERVICE):
        return -EACCES
    if address.is4() and only6 and not address.unspecified():
        return -EINVAL
    if address.unspecified() or address.multicast() or address.broadcast():
        return 0
    if address.is4() and address.loopback():
        return 0
    if not address.is4() and address.link_local():
        wanted = name.scope if name.scope != 0 else bound
        if wanted == 0:
            return -EINVAL
        interface: Ptr[Interface] = interface_by_index(wanted)
        return 0 if interface is not None and interface.has(address) else i64(-EADDRNOTAVAIL)
    return 0 if local_interface(address) is not None else i64(-EADDRNOTAVAIL)


__all__ = [
    "AF_INET", "AF_INET6", "AF_UNSPEC", "Name", "any_address", "family_of", "may_bind", "only_six", "read_name",
    "read_own", "to_ourselves", "write_name",
]  # fmt: skip
