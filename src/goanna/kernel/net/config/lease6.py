"""DHCPv6 on one interface: the client's messages go out and come in, and what it is granted is put into force."""

from goanna.kernel.net.address import Address
from goanna.kernel.net.claim import claim
from goanna.kernel.net.config.autoconf import until
from goanna.kernel.net.config.dhcp import Event
from goanna.kernel.net.config.dhcp6 import Client6, State6
from goanna.kernel.net.config.dhcp6_message import CLIENT_PORT, LARGEST, SERVER_PORT, write6
from goanna.kernel.net.interface import Interface, interfaces_lock
from goanna.kernel.net.link import blank
from goanna.kernel.net.packet import drop
from goanna.kernel.net.udp import DEFAULT_LIMIT, Endpoint, bind, take
from goanna.kernel.net.udp import send as send_datagram
from goanna.kernel.time.timer import NEVER
from goanna.metal import Array, struct, u8, u32, u64, unsafe

__all__ = ["MANAGED", "OTHER", "Stateful"]

MANAGED, OTHER = 0x80, 0x40  # flags of a router advertisement (RFC 4861 4.2)
LARGEST_MESSAGE = 1500
ALONE = 128  # the length of an address that says nothing of its neighbours


@struct
class Stateful:
    """Of one interface. Zeroed memory is one that is off; `endpoint.notify` and `owner_object` are filled in by who
    runs it."""

    client: Client6
    endpoint: Endpoint
    applied: Address  # in force; ::: none

    def start(self, interface: Interface, flags: u8, now: u64) -> None:
        """A router says that there is a DHCPv6 server, by its flags."""
        if flags & (MANAGED | OTHER) == 0:
            return
        if self.client.mac == 0:
            self.client.mac = interface.mac
            self.endpoint.bound = interface.index
            self.endpoint.limit = DEFAULT_LIMIT
            bind(self.endpoint, CLIENT_PORT)
        self.client.start(flags & MANAGED != 0, now)

    def work(self, interface: Interface, now: u64) -> None:
        """Do what is due, and send it."""
        if self.client.state == State6.STOPPED:
            return
        data = unsafe.uninitialized(Array[u8, LARGEST_MESSAGE])
        packet = take(self.endpoint)
        while packet is not None:
            if packet.total <= LARGEST_MESSAGE:
                size = u64(packet.total)
                packet.copy_out(0, data[0:size])
                self.client.input(data[0:size], now)
                self.settle(interface, now)
            drop(packet)
            packet = take(self.endpoint)
        self.client.timer(now)
        self.settle(interface, now)

    def settle(self, interface: Interface, now: u64) -> None:
        """Do what the client says."""
        client = self.client
        kind = client.sending
        client.sending = 0
        if kind != 0:
            packet = blank(LARGEST)
            if packet is not None:
                spent = client.elapsed(now)
                size = write6(packet.bytes(), kind, client.transaction, spent, client.mac, client.wanted())
                packet.trim(u32(size))
                servers = Address()
                servers.set(0xFF02 << 48, 0x1_0002)
                send_datagram(self.endpoint, packet, servers, SERVER_PORT, now)
        event = client.event
        client.event = Event.NONE
        lost = event == Event.LOST or (event == Event.BOUND and not client.lease.address.equals(self.applied))
        if lost and not self.applied.unspecified():
            with interfaces_lock:
                interface.remove_address(self.applied)
            self.applied.set(0, 0)
        if event == Event.BOUND and not client.lease.address.unspecified():
            self.apply(interface, now)

    def apply(self, interface: Interface, now: u64) -> None:
        """Put the client's address into force, or give it more time."""
        lease = self.client.lease
        if self.applied.unspecified():
            claim(interface, lease.address, ALONE, True, now)
            self.applied = lease.address
        local = interface.find(lease.address)
        if local is not None:
            with interfaces_lock:
                local.valid_until = until(now, lease.valid)
                local.preferred_until = until(now, lease.preferred)

    def knows(self) -> bool:
        """Whether the lease's name servers are in force."""
        return self.client.state in (State6.BOUND, State6.RENEWING, State6.REBINDING, State6.INFORMED)

    def stop(self) -> None:
        """The link was lost. What is in force stays for its time."""
        self.client.stop()

    def deadline(self) -> u64:
        """When work must be called; NEVER if it need not."""
        return NEVER if self.client.state == State6.STOPPED else self.client.deadline
