"""What the tests of IP, ICMP and UDP share: a host with neighbours and routes, and packets of its peer."""

import struct

from goanna.kernel.net.wire.ethernet import BROADCAST
from goanna.metal import jit
from tests.kernel.net import host as hosts
from tests.kernel.net.host import Host, arp_bytes, ether, host_hooks, ip4, ip6, ones, raw, summed

with host_hooks():
    unit = jit(*hosts.HOST_ROOTS)

ME, PEER = 0x020000000001, 0x020000000002
A, B = "10.0.0.1", "10.0.0.2"
A6, B6 = "2001:db8::1", "2001:db8::2"
FAR, FAR6 = "198.51.100.7", "2001:db8:ffff::7"


def make_host(**options):
    made = Host(unit, ME, **options)
    made.add(A + "/24")
    made.add(A6 + "/64")
    made.route("0.0.0.0/0", B)
    made.route("::/0", B6)
    made.pass_time(5)
    made.put(ether(BROADCAST, PEER, 0x806, arp_bytes(1, PEER, B, 0, A)))
    body = bytes([135, 0, 0, 0, 0, 0, 0, 0]) + raw(A6) + b"\1\1" + PEER.to_bytes(6, "big")
    made.put(ether(ME, PEER, 0x86DD, ip6(B6, A6, 58, summed(B6, A6, 58, body, 2), 255)))
    made.frames()
    return made


def four(data, target=A, source=B, protocol=17, **options):
    return ether(ME, PEER, 0x800, ip4(source, target, protocol, data, **options))


def six(data, target=A6, source=B6, protocol=17, **options):
    return ether(ME, PEER, 0x86DD, ip6(source, target, protocol, data, **options))


def icmp4(kind, code, rest, data=b""):
    made = struct.pack(">BBHI", kind, code, 0, rest) + data
    return made[:2] + struct.pack(">H", ones(made)) + made[4:]


def icmp6(source, target, kind, code, rest, data=b""):
    return summed(source, target, 58, struct.pack(">BBHI", kind, code, 0, rest) + data, 2)


def check4(frame):
    """Source, target, protocol and payload of a sound IPv4 frame."""
    assert frame[12:14] == b"\x08\x00" and ones(frame[14:34]) == 0
    (length,) = struct.unpack(">H", frame[16:18])
    assert len(frame) == 14 + length
    return frame[26:30], frame[30:34], frame[23], frame[34:]


# RFC 791, RFC 1122 3.2.1


def fragments(data, size, identification=7, source=B, target=A, protocol=17, more_at_end=False):
    made = []
    for at in range(0, len(data), size):
        part = data[at : at + size]
        more = 0x2000 if at + size < len(data) or more_at_end else 0
        made.append(four(part, target, source, protocol, identification=identification, fragment=at // 8 | more))
    return made


def fragments6(data, size, identification=7, protocol=17):
    made = []
    for at in range(0, len(data), size):
        part, more = data[at : at + size], at + size < len(data)
        made.append(six(struct.pack(">BBHI", protocol, 0, at | more, identification) + part, protocol=44))
    return made
