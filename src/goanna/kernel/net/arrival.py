"""What the layers know of a packet that came in: filled in by IP, read by all above."""

from goanna.kernel.net.address import Address
from goanna.kernel.net.interface import Interface, Target
from goanna.kernel.net.packet import Packet
from goanna.metal import Atomic, Fn, Ptr, hook, static, struct, u8, u16, u32, u64

__all__ = [
    "Arrival", "Report", "on_echo_reply", "on_raw", "on_raw_error", "on_tcp_error", "on_udp_error", "raw_users",
]  # fmt: skip


@struct
class Arrival:
    """A packet's way in."""

    interface: Ptr[Interface]
    now: u64  # ns
    source: Address
    target: Address
    to: Target
    six: bool
    protocol: u8
    hops: u8  # TTL or hop limit that was left
    traffic: u8


@struct
class Report:
    """An ICMP error about a packet that we sent."""

    local: Address  # what it was sent from and to
    remote: Address
    local_port: u16
    remote_port: u16
    sequence: u32  # TCP: of the packet; of an echo: identifier and number
    reporter: Address
    now: u64
    six: bool
    kind: u8  # of ICMP or ICMPv6
    code: u8
    error: u32  # errno
    hard: bool  # it will not be better by waiting (RFC 1122 4.2.3.9); never believed of TCP connections (RFC 5927)
    mtu: u32  # of "packet too big"; 0: another error
    protocol: u8  # of the packet
    packet: Ptr[Packet]  # where the packet is quoted, and from which byte on its transport's header; None: nowhere
    quoted: u32
    hops: u8  # of the message's own header
    traffic: u8
    interface: u32  # index: by which it came


# Whoever has the socket that the packet was from takes the error. True: there is such a socket, and the packet may be
# its own; then a new path MTU is believed.
on_tcp_error = hook(Fn[[Report], bool])
on_udp_error = hook(Fn[[Report], bool])
on_raw_error = hook(Fn[[Report], bool])  # the same for raw and ping sockets, of any protocol

# How many raw and ping sockets there are: only if there are any, on_raw is asked whether one of them takes a packet,
# which begins with its transport's header and stays the caller's.
raw_users = static(Atomic[u32])
on_raw = hook(Fn[[Arrival, Packet], bool])
on_echo_reply = hook(Fn[[Arrival, Packet], None])  # an answer to a ping, from the ICMP header on; it stays the caller's
