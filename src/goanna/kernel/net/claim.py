"""Claiming an address: is it free, has somebody else taken it, and who keeps it (RFC 5227, RFC 4862 5.4).

IPv4 addresses are probed by ARP, IPv6 ones by neighbour solicitations from ::. Until nobody has answered an address is
tentative. The same machine announces an address (RFC 5227 2.3, RFC 4861 7.2.6), and defends it later.
"""

from goanna.kernel.memory.placement import random_u64
from goanna.kernel.net.address import Address
from goanna.kernel.net.interface import Interface, Kind, Local, Standing, interfaces, interfaces_lock
from goanna.kernel.net.link import group_mac
from goanna.kernel.net.membership import report_address
from goanna.kernel.net.network import SECOND, changed, look_by
from goanna.kernel.net.solicitation import send_arp, send_discovery, solicited_node
from goanna.kernel.net.wire import arp, discovery, ethernet
from goanna.kernel.time.timer import NEVER
from goanna.metal import Fn, Ptr, hook, metal, u32, u64

__all__ = ["begin_claim", "claim_deadline", "claim_timer", "conflict", "on_lost_address"]

PROBES4, PROBE_WAIT, PROBE_LEAST, PROBE_SPAN = 3, SECOND, SECOND, SECOND  # RFC 5227 1.1
ANNOUNCE_WAIT, ANNOUNCEMENTS, ANNOUNCE_INTERVAL = 2 * SECOND, 2, 2 * SECOND
DEFEND_INTERVAL = 10 * SECOND
PROBES6, SOLICITATION_WAIT = 1, SECOND  # RFC 4862 5.1; the wait is RetransTimer

# An address is not ours any more: somebody else has it. Whoever set it (DHCP) may choose another.
on_lost_address = hook(Fn[[Interface, Address, u64], None])


@metal
def begin_claim(interface: Interface, local: Local, probe: bool, now: u64) -> None:
    """Start with an address just added: probe it first, or only announce it. With interfaces_lock."""
    local.announcements = ANNOUNCEMENTS if local.address.is4() else 1
    local.probes = 0
    local.next = now
    if probe and interface.kind == Kind.ETHERNET:
        local.standing = Standing.TENTATIVE
        local.probes = PROBES4 if local.address.is4() else PROBES6
        local.next = now + random_u64() % PROBE_WAIT
    elif interface.kind != Kind.ETHERNET:
        local.announcements = 0
        local.next = NEVER
    look_by(local.next)


@metal
def claim_deadline(interface: Interface) -> u64:
    """When claim_timer must be called next for an interface, NEVER if it need not."""
    earliest: u64 = NEVER
    for local in interface.addresses:
        if local.standing != Standing.UNUSED:
            earliest = min(earliest, local.next)
    return earliest


@metal
def claim_timer(interface: Interface, now: u64) -> None:
    """Send the probes and announcements that are due."""
    for local in interface.addresses:
        if local.standing != Standing.UNUSED and local.next <= now:
            step(interface, local, now)


@metal
def step(interface: Interface, local: Local, now: u64) -> None:
    """One probe, the end of probing, or one announcement."""
    four = local.address.is4()
    if local.probes != 0:
        send_probe(interface, local.address, now)
        local.probes -= 1
        if not four:
            local.next = now + SOLICITATION_WAIT
        else:
            local.next = now + (ANNOUNCE_WAIT if local.probes == 0 else PROBE_LEAST + random_u64() % PROBE_SPAN)
        return
    if local.standing == Standing.TENTATIVE:
        local.standing = Standing.PREFERRED
        changed()
    if local.announcements != 0:
        announce(interface, local.address)
        local.announcements -= 1
    local.next = now + ANNOUNCE_INTERVAL if local.announcements != 0 else u64(NEVER)


@metal
def send_probe(interface: Interface, address: Address, now: u64) -> None:
    """Ask whether anybody has an address that we would like to have."""
    if address.is4():
        send_arp(interface, arp.REQUEST, 0, address.four(), 0, ethernet.BROADCAST)
        return
    nobody = Address()
    group = Address()
    solicited_node(address, group)
    report_address(interface, address, now)
    send_discovery(interface, discovery.SOLICITATION, 0, address, nobody, group, group_mac(group))


@metal
def announce(interface: Interface, address: Address) -> None:
    """Tell everybody on the link that we have an address."""
    if address.is4():
        send_arp(interface, arp.REQUEST, address.four(), address.four(), 0, ethernet.BROADCAST)
        return
    everybody = Address()
    everybody.set(0xFF02 << 48, 1)
    send_discovery(
        interface, discovery.ADVERTISEMENT, discovery.OVERRIDE, address, address, everybody, group_mac(everybody)
    )


@metal
def conflict(interface: Interface, local: Local, now: u64) -> None:
    """Somebody else uses, or probes for, an address of ours.

    A tentative one is given up. One in use is defended once in DEFEND_INTERVAL; a second conflict within that time is
    let pass, since a machine that serves keeps its address (RFC 5227 2.4 (c)).
    """
    if local.standing == Standing.TENTATIVE:
        local.standing = Standing.DUPLICATE
        local.next = NEVER
        changed()
        on_lost_address(interface, local.address, now)
    elif local.usable() and (local.defended == 0 or local.defended + DEFEND_INTERVAL <= now):
        local.defended = now
        announce(interface, local.address)


@metal
def claim(interface: Interface, address: Address, length: u32, probe: bool, now: u64) -> bool:
    """Add an address and claim it. False: it is there already, or there is no room."""
    made: Ptr[Local] = None
    with interfaces_lock:
        made = interface.add_address(address, length, Standing.TENTATIVE if probe else Standing.PREFERRED)
        if made is not None:
            begin_claim(interface, made, probe, now)
    return made is not None


@metal
def next_claim() -> u64:
    """The earliest claim_deadline of all interfaces."""
    earliest: u64 = NEVER
    for interface in interfaces:
        if interface is not None:
            earliest = min(earliest, claim_deadline(interface))
    return earliest
