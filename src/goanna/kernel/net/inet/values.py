"""Values of options, as setsockopt is given them."""

from goanna.kernel.base.errno import EINVAL
from goanna.kernel.net.socket import numbers as so
from goanna.metal import Slice, i32, i64, metal, u8, unsafe

SIX = 1000  # added to the numbers of IPPROTO_IPV6, so that both levels are one table
SIX_TCLASS = SIX + so.IPV6_TCLASS
SIX_HOPS = SIX + so.IPV6_UNICAST_HOPS
SIX_GROUP_HOPS = SIX + so.IPV6_MULTICAST_HOPS
SIX_LOOP = SIX + so.IPV6_MULTICAST_LOOP
SIX_DISCOVER = SIX + so.IPV6_MTU_DISCOVER
SIX_PACKET_INFORMATION = SIX + so.IPV6_RECVPKTINFO
SIX_RECEIVE_HOPS = SIX + so.IPV6_RECVHOPLIMIT
SIX_RECEIVE_CLASS = SIX + so.IPV6_RECVTCLASS
SIX_MTU = SIX + so.IPV6_MTU
SIX_GROUP_INTERFACE = SIX + so.IPV6_MULTICAST_IF
SIX_ERRORS = SIX + so.IPV6_RECVERR
SIX_ONLY = SIX + so.IPV6_V6ONLY


@metal
def number_of(data: Slice[u8]) -> tuple[i64, i64]:
    """An int, and 0 or -EINVAL."""
    if len(data) < 4:
        return 0, -EINVAL
    return i64(unsafe.load(i32, unsafe.address(data), unaligned=True)), 0


@metal
def small_number_of(data: Slice[u8]) -> tuple[i64, i64]:
    """An int, or a byte where there is room for no more, as options of IP are given by older programs; and 0, or
    -EINVAL if there is nothing."""
    if len(data) == 0:
        return 0, -EINVAL
    if len(data) < 4:
        return i64(data[0]), 0
    return number_of(data)


__all__ = ["number_of", "small_number_of"]
