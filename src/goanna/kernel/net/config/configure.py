"""What configures an interface: a setting, DHCP's client, what routers advertise.

All that takes time is done from one kernel timer for each interface. A configuration's lock comes before all others of
the network.
"""

from goanna.kernel.arch import now
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.net.address import Address
from goanna.kernel.net.config.autoconf import Autoconf, link_local
from goanna.kernel.net.config.dhcp import Client, Event, State
from goanna.kernel.net.config.dhcp_message import CLIENT_PORT, Lease
from goanna.kernel.net.config.lease import add_address, apply_lease, forget_lease, same_place, send_message
from goanna.kernel.net.config.lease6 import Stateful
from goanna.kernel.net.config.setting import Setting
from goanna.kernel.net.interface import MOST_INTERFACES, Interface
from goanna.kernel.net.neighbour import flush_interface
from goanna.kernel.net.neighbour_input import hear_routers
from goanna.kernel.net.packet import drop
from goanna.kernel.net.route import Route, RouteKind, add_route
from goanna.kernel.net.turn import end_turn
from goanna.kernel.net.udp import DEFAULT_LIMIT, Endpoint, bind, take
from goanna.kernel.net.wire.discovery import Router
from goanna.kernel.time.timer import Timer, timer_start
from goanna.metal import Array, Atomic, Fn, Ptr, Slice, copy, hook, metal, static, struct, u8, u64, unsafe

__all__ = ["Configuration", "configuration_of", "configurations", "configure", "link_changed", "on_configured"]

LARGEST_MESSAGE = 1500
BY_BOOT = 3  # rtnetlink's RTPROT_BOOT

# The client of an interface has an address, or never will have one that is better than none. The lock is held.
on_configured = hook(Fn[["Configuration"], None])


@struct
class Configuration:
    """Of one interface. Zeroed memory is empty."""

    interface: Ptr[Interface]
    lock: SpinLock  # protects all below but the last three
    setting: Setting
    hostname: Slice[u8]  # that DHCP servers are told; empty: none
    client: Client
    applied: Lease  # in force, if its address is not 0
    autoconf: Autoconf
    stateful: Stateful
    endpoint: Endpoint
    heard: Atomic[bool]  # a message waits in the endpoint
    timer_lock: SpinLock  # protects `timer` against being set twice at once
    timer: Timer

    def start(self, now: u64) -> None:
        """Begin, with `setting` filled in. With the lock."""
        interface: Interface = self.interface
        self.timer.callback = timer_fired
        if 0 < self.setting.mtu < interface.mtu:
            interface.mtu = self.setting.mtu
        self.set_addresses(interface, now)
        self.autoconf.interface = interface
        self.stateful.endpoint.notify = hear
        self.stateful.endpoint.owner_object = unsafe.address(self)
        if self.setting.dhcp:
            self.client.mac = interface.mac
            self.endpoint.local.set4(0)
            self.endpoint.bound = interface.index
            self.endpoint.limit = DEFAULT_LIMIT
            self.endpoint.notify = hear
            self.endpoint.owner_object = unsafe.address(self)
            bind(self.endpoint, CLIENT_PORT)
        if interface.running:
            self.link_up(now)

    def set_addresses(self, interface: Interface, now: u64) -> None:
        """Addresses and routes of the setting."""
        for index in range(self.setting.address_count):
            entry = self.setting.addresses[index]
            add_address(interface, entry.address, entry.length, BY_BOOT, now)
            if not entry.address.is4() and not self.setting.auto:
                link_local(interface, now)
        for index in range(self.setting.route_count):
            said = self.setting.routes[index]
            route = Route()
            route.prefix = said.address
            route.length = said.length
            route.gateway = said.gateway
            route.interface = interface
            route.kind = RouteKind.UNICAST
            route.protocol = BY_BOOT
            add_route(route)

    def link_up(self, now: u64) -> None:
        """The link is there. With the lock."""
        if self.setting.dhcp:
            self.client.start(now)
        if self.setting.auto:
            self.autoconf.start(now)

    def link_down(self) -> None:
        """The link was lost: what is in force stays for when it comes back. With the lock."""
        self.client.stop()
        self.autoconf.stop()
        self.stateful.stop()

    def work(self, now: u64) -> None:
        """Do what is due, and send it. With the lock."""
        self.heard.store(False)
        if self.client.state != State.STOPPED:
            data = unsafe.uninitialized(Array[u8, LARGEST_MESSAGE])
            packet = take(self.endpoint)
            while packet is not None:
                if packet.total <= LARGEST_MESSAGE:
                    size = u64(packet.total)
                    packet.copy_out(0, data[0:size])
                    self.client.input(data[0:size], now)
                    self.settle(now)
                drop(packet)
                packet = take(self.endpoint)
            self.client.timer(now)
            self.settle(now)
        self.autoconf.timer(now)
        self.stateful.work(self.interface, now)

    def settle(self, now: u64) -> None:
        """Do what the client says: send its message, change what is in force. With the lock."""
        interface: Interface = self.interface
        if self.client.sending:
            self.client.sending = False
            send_message(self.client, self.endpoint, interface, self.hostname, now)
        event = self.client.event
        self.client.event = Event.NONE
        if self.applied.address != 0 and event != Event.NONE:
            if event == Event.BOUND and same_place(self.applied, self.client.lease):
                copy(self.applied, self.client.lease)
                return
            forget_lease(interface, self.applied)
            self.applied.address = 0
        if event == Event.BOUND:
            copy(self.applied, self.client.lease)
            apply_lease(interface, self.applied, now)
            on_configured(self)

    def go_on(self) -> None:
        """Set the timer for what comes next. With the lock."""
        deadline = min(self.autoconf.deadline(), self.stateful.deadline())
        if self.client.state != State.STOPPED:
            deadline = min(deadline, self.client.deadline)
        with self.timer_lock:
            if self.heard.load():
                deadline = 0
            timer_start(self.timer, deadline)

    def waits(self) -> bool:
        """Whether its client will soon say more: it has no address yet."""
        return self.setting.dhcp and self.interface.running and self.applied.address == 0


configurations = static(Array[Ptr[Configuration], MOST_INTERFACES])  # by the interface's index - 1; set at start


@metal
def configuration_of(interface: Interface) -> Ptr[Configuration]:
    """The configuration of an interface, or None."""
    return None if interface.index == 0 else configurations[u64(interface.index) - 1]


@metal
def configure(configuration: Configuration, interface: Interface) -> None:
    """Begin to configure an interface that has been added. `setting` and `hostname` are filled in."""
    configuration.interface = interface
    configurations[u64(interface.index) - 1] = configuration
    hear_routers(router_advertised)
    with configuration.lock:
        configuration.start(now())
        configuration.work(now())
        configuration.go_on()
    end_turn()


@metal
def hear(endpoint: Endpoint) -> None:
    """Endpoint.notify: a message came; it is looked at from the timer."""
    configuration = unsafe.at(Configuration, endpoint.owner_object)
    configuration.heard.store(True)
    with configuration.timer_lock:
        timer_start(configuration.timer, 0)


@metal
def timer_fired(timer: Ptr[Timer]) -> None:
    """Something is due, or a message has come."""
    configuration = unsafe.container(Configuration, "timer", timer)
    with configuration.lock:
        configuration.work(now())
        configuration.go_on()
    end_turn()


@metal
def link_changed(interface: Interface, now: u64) -> None:
    """The link of an interface came or went: `running` says which. No lock is held."""
    if not interface.running:
        flush_interface(interface)
    configuration = configuration_of(interface)
    if configuration is None:
        return
    with configuration.lock:
        if interface.running:
            configuration.link_up(now)
        else:
            configuration.link_down()
        configuration.settle(now)
        configuration.go_on()
    end_turn()


@metal
def router_advertised(interface: Interface, source: Address, router: Router, now: u64) -> None:
    """A router advertisement came, and is sound."""
    configuration = configuration_of(interface)
    if configuration is None or not configuration.setting.auto:
        return
    with configuration.lock:
        configuration.autoconf.advertised(source, router, now)
        configuration.stateful.start(interface, router.flags, now)
        configuration.go_on()
