"""ARP for IPv4 over Ethernet (RFC 826, RFC 5227)."""

from goanna.kernel.net.wire.bytes import get16, get32, put16, put32
from goanna.kernel.net.wire.ethernet import load_mac, store_mac
from goanna.metal import Slice, metal, struct, u8, u16, u32, u64

__all__ = ["REPLY", "REQUEST", "SIZE", "Arp", "parse", "write"]

SIZE = 28  # bytes
REQUEST, REPLY = 1, 2
ETHERNET, IP4 = 1, 0x0800


@struct
class Arp:
    """One message."""

    operation: u16
    sender_mac: u64
    sender: u32
    target_mac: u64
    target: u32


@metal
def parse(data: Slice[u8], message: Arp) -> bool:
    """Read a message. False: it is short, or not about IPv4 over Ethernet, or neither request nor reply."""
    if len(data) < SIZE or get16(data, 0) != ETHERNET or get16(data, 2) != IP4 or data[4] != 6 or data[5] != 4:
        return False
    message.operation = get16(data, 6)
    message.sender_mac = load_mac(data, 8)
    message.sender = get32(data, 14)
    message.target_mac = load_mac(data, 18)
    message.target = get32(data, 24)
    return message.operation in (REQUEST, REPLY)


@metal
def write(data: Slice[u8], message: Arp) -> None:
    """Write a message of SIZE bytes."""
    put16(data, 0, ETHERNET)
    put16(data, 2, IP4)
    data[4] = 6
    data[5] = 4
    put16(data, 6, message.operation)
    store_mac(data, 8, message.sender_mac)
    put32(data, 14, message.sender)
    store_mac(data, 18, message.target_mac)
    put32(data, 24, message.target)
