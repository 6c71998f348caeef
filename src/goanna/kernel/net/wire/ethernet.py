"""Ethernet II frames with VLAN tags (IEEE 802.3, 802.1Q)."""

from goanna.kernel.net.wire.bytes import get16, get32, put16
from goanna.metal import Slice, metal, struct, u8, u16, u32, u64, unlikely

__all__ = [
    "ARP", "BROADCAST", "GROUP_BIT", "HEADER", "IP4", "IP6", "LEAST_TYPE", "TAG", "Frame", "load_mac", "parse",
    "store_mac", "write",
]  # fmt: skip

HEADER = 14  # bytes
TAG = 4  # bytes more for each VLAN tag
IP4, ARP, IP6 = 0x0800, 0x0806, 0x86DD  # EtherTypes
CUSTOMER_TAG, SERVICE_TAG = 0x8100, 0x88A8
LEAST_TYPE = 0x0600  # below, the field is an 802.3 length
BROADCAST = 0xFFFF_FFFF_FFFF  # a link address is a 48-bit number
GROUP_BIT = 1 << 40


@struct
class Frame:
    """The header of a frame."""

    target: u64  # 48-bit link addresses
    source: u64
    kind: u16  # EtherType behind all tags
    tag: u16  # of the outer VLAN tag: priority, drop eligibility, VLAN; 0: no tag, or a priority tag for VLAN 0
    length: u32  # bytes of the header

    def vlan(self) -> u16:
        """The VLAN, 0 for none."""
        return self.tag & 0xFFF

    def group(self) -> bool:
        """Whether it was sent to a multicast or broadcast address."""
        return self.target & GROUP_BIT != 0


@metal
def load_mac(data: Slice[u8], offset: u64) -> u64:
    """A link address of six bytes, as a number."""
    return u64(get16(data, offset)) << 32 | u64(get32(data, offset + 2))


@metal
def store_mac(data: Slice[u8], offset: u64, mac: u64) -> None:
    """A link address, as six bytes."""
    put16(data, offset, u16(mac >> 32))
    put16(data, offset + 2, u16.wrap(mac >> 16))
    put16(data, offset + 4, u16.wrap(mac))


@metal
def parse(data: Slice[u8], frame: Frame) -> bool:
    """Read a header with up to two tags. False: it is cut short, or an 802.3 frame with a length."""
    if unlikely(len(data) < HEADER):
        return False
    frame.target = load_mac(data, 0)
    frame.source = load_mac(data, 6)
    frame.kind = get16(data, 12)
    frame.tag = 0
    frame.length = HEADER
    for depth in range(2):
        if frame.kind != CUSTOMER_TAG and frame.kind != SERVICE_TAG:
            break
        if len(data) < u64(frame.length) + TAG:
            return False
        if depth == 0:
            frame.tag = get16(data, u64(frame.length))
        frame.kind = get16(data, u64(frame.length) + 2)
        frame.length += TAG
    return frame.kind >= LEAST_TYPE and frame.kind != CUSTOMER_TAG and frame.kind != SERVICE_TAG


@metal
def write(data: Slice[u8], target: u64, source: u64, kind: u16, vlan: u16) -> None:
    """Write a header of HEADER bytes, or HEADER + TAG if `vlan` is not 0."""
    store_mac(data, 0, target)
    store_mac(data, 6, source)
    if vlan != 0:
        put16(data, 12, CUSTOMER_TAG)
        put16(data, 14, vlan)
        put16(data, 16, kind)
    else:
        put16(data, 12, kind)
