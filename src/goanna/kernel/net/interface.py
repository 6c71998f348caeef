"""Interfaces: what a machine is connected by, the addresses it has there, and how a packet leaves.

An interface on a device is embedded in the driver's structure, which fills in `transmit`. Changes are made under
`interfaces_lock`; who only looks takes no lock: an entry of the tables is valid at all times, and a look during a
change may find the state before or after it.
"""

from goanna.kernel.arch import MAXIMUM_PROCESSORS, processor_index
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.net.address import Address
from goanna.kernel.net.network import changed
from goanna.kernel.net.offload import fill_checksum
from goanna.kernel.net.packet import CHECKSUM_WANTED, Packet
from goanna.kernel.time.timer import NEVER
from goanna.metal import (
    Array,
    Atomic,
    Fn,
    Ptr,
    Slice,
    enumeration,
    hook,
    metal,
    static,
    struct,
    u8,
    u16,
    u32,
    u64,
    unlikely,
)

__all__ = [
    "CHECKSUM", "FRAME", "MOST_INTERFACES", "Group", "Interface", "Kind", "Local", "Standing", "Target",
    "add_interface", "flushes", "interface_by_index", "interface_by_name", "interfaces", "interfaces_lock",
    "local_interface", "on_frame", "remove_interface", "sending_taps", "taps_open", "target_of",
]  # fmt: skip

MOST_INTERFACES = 64
MOST_ADDRESSES = 16
MOST_GROUPS = 32
NAME_SIZE = 16  # bytes, the last one zero

FRAME = 8  # a flag of packets on loopback: a program made it, link header and all
CHECKSUM, SEGMENT4, SEGMENT6 = 1, 2, 4  # what a device can do with what is sent


@enumeration(u8)
class Kind:
    """How packets are framed."""

    LOOPBACK = 0  # not at all
    ETHERNET = 1


@enumeration(u8)
class Standing:
    """How far an address is ours (RFC 4862 2, RFC 5227)."""

    UNUSED = 0
    TENTATIVE = 1  # being probed: neither answers for it nor a source
    PREFERRED = 2
    DEPRECATED = 3  # works, but no new connection is made from it
    DUPLICATE = 4  # somebody else has it


@enumeration(u8)
class Target:
    """Whom a packet was sent to."""

    OTHER = 0
    UNICAST = 1  # us
    BROADCAST = 2
    MULTICAST = 3  # to a group that the interface is in


@struct
class Local:
    """An address of an interface."""

    address: Address
    length: u32  # of the network's prefix, of 128 bits: an IPv4 /24 is 120
    standing: Standing
    probes: u32  # still to be sent; the claim machine (claim.py)
    announcements: u32
    next: u64  # when the claim machine acts next; NEVER: it rests
    defended: u64  # when we last defended it
    valid_until: u64  # ns; NEVER: for good
    preferred_until: u64

    def usable(self) -> bool:
        """Whether packets to it are for us."""
        return self.standing in (Standing.PREFERRED, Standing.DEPRECATED)

    def broadcast(self, target: Address) -> bool:
        """Whether a target is the broadcast address of this IPv4 network (RFC 919); /31 and /32 have none."""
        if self.length > 126 or self.length < 96 or not self.address.is4():
            return False
        host = (u64(1) << (128 - self.length)) - 1
        return target.high == 0 and target.low == self.address.low | host


@struct
class Group:
    """A multicast group that an interface is in."""

    address: Address
    users: u32  # how many joined; 0: the entry is free
    report: u8  # what routers are to be told (membership.py); 0: nothing
    report_at: u64  # ns: when


@struct
class Interface:
    """An interface. Zeroed memory with a name, kind and transmit is one without addresses, down."""

    index: u32  # from 1 on; 0: not added
    name: Array[u8, NAME_SIZE]
    kind: Kind
    up: bool
    running: bool  # the link is there
    vlan: u16  # tag of what is sent; 0: none
    below: Ptr["Interface"]  # of a VLAN: whose device it uses
    mac: u64
    mtu: u32  # bytes of an IP packet
    features: u32  # CHECKSUM, SEGMENT4, SEGMENT6
    segment_limit: u32  # bytes of TCP payload that the device cuts up
    # Takes a packet that begins with its link header. The packet is the device's from here on. Locks above the device's
    # queue may be held. The device need not be told yet: `flush` comes at the end of the turn (turn.py).
    transmit: Fn[["Interface", Packet], None]
    flush: Fn[["Interface"], None]  # shows the device what was transmitted since; no lock is held. None: no need
    device: u64  # whatever transmit wants to find
    hop_limit: u8
    reachable_time: u64  # ns, of neighbours (RFC 4861 6.3.2)
    retransmit_time: u64  # ns, between solicitations
    addresses: Array[Local, MOST_ADDRESSES]
    groups: Array[Group, MOST_GROUPS]
    igmp2_until: u64  # ns: until then a router is there that knows IGMPv2 only (membership.py)
    mld1_until: u64  # the same for MLDv1
    report6_at: u64  # ns: when the groups of our IPv6 addresses are to be reported; 0: not
    received_packets: u64
    received_bytes: u64
    received_dropped: u64
    sent_packets: u64
    sent_bytes: u64
    sent_dropped: u64

    def send(self, packet: Packet) -> None:
        """Hand a packet to the device, link header and all."""
        if packet.flags & CHECKSUM_WANTED != 0 and self.features & CHECKSUM == 0:
            fill_checksum(packet)
        if unlikely(taps_open.load() != 0):
            on_frame(self, packet, True, sending_taps[u64(processor_index())].tap)
        self.sent_packets += 1
        self.sent_bytes += u64(packet.total)
        self.transmit(self, packet)
        if self.flush is not None:
            flushes[u64(processor_index())].interfaces |= u64(1) << (self.index - 1)

    def find(self, address: Address) -> Ptr[Local]:
        """The entry of an address, or None."""
        for local in self.addresses:
            if local.standing != Standing.UNUSED and local.address.equals(address):
                return local
        return None

    def has(self, address: Address) -> bool:
        """Whether packets to an address are for this interface's machine."""
        for local in self.addresses:
            if local.usable() and local.address.equals(address):
                return True
        return False

    def add_address(self, address: Address, length: u32, standing: Standing) -> Ptr[Local]:
        """Add an address for good; None: it is there already, or there is no room. With interfaces_lock."""
        if self.find(address) is not None:
            return None
        for local in self.addresses:
            if local.standing == Standing.UNUSED:
                local.address = address
                local.length = length
                local.probes = 0
                local.announcements = 0
                local.next = NEVER
                local.defended = 0
                local.valid_until = NEVER
                local.preferred_until = NEVER
                local.standing = standing
                changed()
                return local
        return None

    def remove_address(self, address: Address) -> bool:
        """Remove an address; whether it was there. With interfaces_lock."""
        local = self.find(address)
        if local is None:
            return False
        local.standing = Standing.UNUSED
        changed()
        return True

    def join(self, group: Address) -> bool:
        """Join a multicast group, once more if we are in it; False: there is no room. With interfaces_lock."""
        unused: Ptr[Group] = None
        for entry in self.groups:
            if entry.users == 0:
                unused = entry
            elif entry.address.equals(group):
                entry.users += 1
                return True
        if unused is None:
            return False
        unused.address = group
        unused.users = 1
        unused.report = 0
        return True

    def find_group(self, group: Address) -> Ptr[Group]:
        """The entry of a group that was joined, or None."""
        for entry in self.groups:
            if entry.users != 0 and entry.address.equals(group):
                return entry
        return None

    def leave(self, group: Address) -> bool:
        """Leave a group; False: we are not in it. With interfaces_lock."""
        for entry in self.groups:
            if entry.users != 0 and entry.address.equals(group):
                entry.users -= 1
                return True
        return False

    def member(self, group: Address) -> bool:
        """Whether packets to a group are for us: joined, or one that every node is in (RFC 1112 7.2, RFC 4291 2.8)."""
        if group.is4():
            if group.four() == 0xE000_0001:
                return True
        elif group.low == 1 and group.high in (0xFF01 << 48, 0xFF02 << 48):
            return True
        for entry in self.groups:
            if entry.users != 0 and entry.address.equals(group):
                return True
        if group.high != 0xFF02 << 48 or group.low >> 24 != 0x1FF:
            return False
        for local in self.addresses:  # the solicited-node groups of our addresses, tentative ones too (RFC 4862 5.4.2)
            six = local.standing != Standing.UNUSED and not local.address.is4()
            if six and local.address.low & 0xFF_FFFF == group.low & 0xFF_FFFF:
                return True
        return False


# Only while there are taps (tap.py), each frame that comes or is sent is shown to them: whether it is sent, and by
# which of them. Locks of the network may be held; the packet stays the caller's.
taps_open = static(Atomic[u32])
on_frame = hook(Fn[[Interface, Packet, bool, u64], None])


@struct(align=64)
class SendingTap:
    """The tap whose frame one processor is sending; 0: none's."""

    tap: u64


sending_taps = static(Array[SendingTap, MAXIMUM_PROCESSORS])  # each touched by its own processor alone


@struct(align=64)
class Flushes:
    """The interfaces by which one processor has sent in this turn."""

    interfaces: u64  # bit index - 1


flushes = static(Array[Flushes, MAXIMUM_PROCESSORS])  # each touched by its own processor alone
interfaces_lock = static(SpinLock)  # protects the table, and each interface's addresses and groups, against changes
interfaces = static(Array[Ptr[Interface], MOST_INTERFACES])  # by index - 1


@metal
def add_interface(interface: Interface) -> bool:
    """Put an interface into the table and give it its index. False: the table is full."""
    with interfaces_lock:
        for position in range(u64(MOST_INTERFACES)):
            if interfaces[position] is None:
                interface.index = u32(position) + 1
                interfaces[position] = interface
                changed()
                return True
    return False


@metal
def remove_interface(interface: Interface) -> None:
    """Take an interface out of the table. Its routes and neighbours are gone already."""
    with interfaces_lock:
        interfaces[u64(interface.index) - 1] = None
        interface.index = 0
        changed()


@metal
def interface_by_index(index: u32) -> Ptr[Interface]:
    """The interface with an index, or None."""
    if index == 0 or index > MOST_INTERFACES:
        return None
    return interfaces[u64(index) - 1]


@metal
def interface_by_name(name: Slice[u8]) -> Ptr[Interface]:
    """The interface of a name, or None."""
    if len(name) >= NAME_SIZE:
        return None
    for interface in interfaces:
        if interface is not None and interface.name[0 : len(name)] == name and interface.name[len(name)] == 0:
            return interface
    return None


@metal
def local_interface(address: Address) -> Ptr[Interface]:
    """The interface that has an address, or None."""
    for interface in interfaces:
        if interface is not None and interface.has(address):
            return interface
    return None


@metal
def target_of(interface: Interface, address: Address) -> Target:
    """Whom a packet that came by an interface was sent to. Any address of the machine will do (RFC 1122 3.3.4.2)."""
    for local in interface.addresses:
        if local.address.low == address.low and local.address.high == address.high and local.usable():
            return Target.UNICAST
    if address.multicast():
        return Target.MULTICAST if interface.member(address) else Target.OTHER
    if interface.kind == Kind.LOOPBACK and address.loopback():
        return Target.UNICAST
    if address.is4():
        if address.broadcast():
            return Target.BROADCAST
        for local in interface.addresses:
            if local.usable() and local.broadcast(address):
                return Target.BROADCAST
    if address.loopback() or local_interface(address) is None:
        return Target.OTHER
    return Target.UNICAST
