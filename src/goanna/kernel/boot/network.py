"""The machine's interfaces: each network device found becomes one, and is configured as the settings say.

The program starts when the interfaces that ask DHCP have an address, or after a while without.
"""

from goanna.kernel.arch import PAGE_SIZE, now, processor_count, virtual
from goanna.kernel.base import log
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.base.log import Line, say, warn
from goanna.kernel.base.panic import fail
from goanna.kernel.base.text import Text
from goanna.kernel.boot.settings import settings
from goanna.kernel.device.control import on_host
from goanna.kernel.device.e1000 import Card, on_card_link
from goanna.kernel.device.virtio.device import EVENT_INDEX
from goanna.kernel.device.virtio.net import CUTS4, LARGE_RECEIVED4, MERGES, SUMS_SENT, NetworkDevice, on_link
from goanna.kernel.file.system_files import use_network_texts
from goanna.kernel.identity.names import NAME_SIZE, host_name, names_lock
from goanna.kernel.memory import pages
from goanna.kernel.net.config.configure import Configuration, configure, link_changed, on_configured
from goanna.kernel.net.config.hosts import take_host
from goanna.kernel.net.config.notation import put_address
from goanna.kernel.net.config.resolver import write_hosts, write_resolver
from goanna.kernel.net.config.setting import Setting, parse_setting
from goanna.kernel.net.interface import Interface, add_interface
from goanna.kernel.net.network import SECOND
from goanna.kernel.net.start import start_network
from goanna.kernel.thread.queue import make_ready
from goanna.kernel.thread.thread import Thread
from goanna.kernel.time.timer import NEVER, Timer, timer_start
from goanna.metal import Array, Ptr, Slice, constant, fill, metal, pointer, sizeof, static, struct, u8, u32, u64, unsafe

__all__ = ["add_card", "add_network", "cards_interrupted", "next_card", "next_network", "start_program"]

MOST_NETWORKS = 16
PATIENCE = 10 * SECOND  # that the program waits for DHCP


@struct
class Network:
    """One device, and how its interface is configured."""

    device: NetworkDevice
    card: Card  # one of both
    configuration: Configuration


@struct
class Feature:
    """Of a virtio network device, in words."""

    bit: u64
    name: Array[u8, 20]


FEATURES = constant(Array[Feature, 5], [
    {"bit": SUMS_SENT, "name": b"checksums"}, {"bit": CUTS4, "name": b"segmentation"},
    {"bit": LARGE_RECEIVED4, "name": b"large receive"}, {"bit": MERGES, "name": b"merged buffers"},
    {"bit": EVENT_INDEX, "name": b"event index"},
])  # fmt: skip

networks = static(Array[Ptr[Network], MOST_NETWORKS])  # filled at boot, constant afterwards
network_count = static(u64)
said = static(u32)  # the settings that an interface was found for, a bit each
waiting_lock = static(SpinLock)  # protects `waiting`
waiting = static(Ptr[Thread])  # the program's first thread, until its network is there
patience = static(Timer)

on_link.set(link_changed)
on_card_link.set(link_changed)


@on_host.set
@metal
def host_said(text: Slice[u8]) -> None:
    """The runner knows a machine, or has lost one."""
    take_host(text)


@metal
def next_network() -> Ptr[NetworkDevice]:
    """Where the driver of the next device keeps what it knows; None: there are enough, or memory is out."""
    if network_count == MOST_NETWORKS:
        return None
    if networks[network_count] is None:
        order: u32 = 0
        while (u64(PAGE_SIZE) << u64(order)) < sizeof(Network):
            order += 1
        memory = pages.allocate_order(order)
        if memory == 0 or not start_network():
            return None
        fill(unsafe.slice(u8, virtual(memory), u64(PAGE_SIZE) << u64(order)), 0)
        networks[network_count] = unsafe.pointer(Network, virtual(memory))
    return networks[network_count].device


@metal
def add_network() -> bool:
    """Start the device that was found, and its interface. False: it can't be driven."""
    network: Network = networks[network_count]
    network.device.processors = processor_count()
    return network.device.start() >= 0 and join(network, network.device.interface)


@metal
def next_card() -> Ptr[Card]:
    """The same for a device that is not virtio's."""
    return None if next_network() is None else pointer(networks[network_count].card)


@metal
def add_card() -> bool:
    """The same for a device that is not virtio's."""
    network: Network = networks[network_count]
    return network.card.start() >= 0 and join(network, network.card.interface)


@metal
def cards_interrupted(argument: u64) -> None:
    """A line that any of them may have."""
    for network in networks:
        if network is not None and network.card.registers != 0:
            network.card.interrupted()


@metal
def join(network: Network, interface: Interface) -> bool:
    """Name a device's interface, and have it configured. False: there are enough."""
    global network_count
    choose_setting(network.configuration.setting, interface)
    name_interface(interface, network.configuration.setting.name)
    if not add_interface(interface):
        return False
    network_count += 1
    if log.verbose and interface.index == network.device.interface.index:
        describe(network.device)
    use_network_texts(write_resolver, write_hosts)
    network.configuration.hostname = settings.hostname
    configure(network.configuration, interface)
    return True


@metal
def describe(device: NetworkDevice) -> None:
    """Say what was found, and what it does for us."""
    line = Line()
    text = line.start()
    text.put(b"goanna: ")
    text.string(device.interface.name[:])
    text.put(b": virtio, ")
    text.number(u64(device.pair_count))
    text.put(b" queue pairs")
    for feature in FEATURES:
        if device.device.has(feature.bit):
            text.put(b", ")
            text.string(feature.name[:])
    say(line.bytes())


@metal
def choose_setting(setting: Setting, interface: Interface) -> None:
    """The setting that names the interface's link address, else the next that names none, else what is done unasked."""
    chosen: u32 = 32
    number: u32 = 0
    position: u64 = 0
    while position < len(settings.networks) and number < 32:
        end = position
        while settings.networks[end] != 0:
            end += 1
        fill(unsafe.slice(u8, unsafe.address(setting), sizeof(Setting)), 0)
        if not parse_setting(settings.networks[position:end], setting):
            refuse(settings.networks[position:end])
        if said >> number & 1 == 0:
            if setting.mac == interface.mac:
                take_setting(number)
                return
            if setting.mac == 0 and chosen == 32:
                chosen = number
        number += 1
        position = end + 1
    fill(unsafe.slice(u8, unsafe.address(setting), sizeof(Setting)), 0)
    if chosen == 32:
        setting.dhcp = True
        setting.auto = True
        return
    take_setting(chosen)
    parse_setting(text_of(chosen), setting)


@metal
def take_setting(number: u32) -> None:
    """A setting has its interface."""
    global said
    said |= u32(1) << number


@metal
def text_of(number: u32) -> Slice[u8]:
    """The setting of a number, which is there."""
    position: u64 = 0
    while True:
        end = position
        while settings.networks[end] != 0:
            end += 1
        if number == 0:
            return settings.networks[position:end]
        number -= 1
        position = end + 1


@metal
def name_interface(interface: Interface, name: Slice[u8]) -> None:
    """Call it as its setting says, else eth0, eth1, ..."""
    if len(name) != 0:
        interface.name[0 : len(name)] = name
        return
    text = Text(window=interface.name[:])
    text.put(b"eth")
    text.number(network_count)


@metal
def refuse(setting: Slice[u8]) -> None:
    """Say which setting can't be understood, and stop the machine."""
    line = Line()
    text = line.start()
    text.put(b"a network's setting can't be understood: ")
    text.put(setting)
    fail(line.bytes())


@metal
def start_program(thread: Thread) -> None:
    """Let the program's first thread run, as soon as its network is there."""
    global waiting
    if network_count == 0:
        make_ready(thread)
        return
    with waiting_lock:
        waiting = thread
    patience.callback = without_network
    timer_start(patience, now() + PATIENCE)
    go_on()


@metal
def go_on() -> None:
    """Start the program if nothing is to be waited for any more."""
    global waiting
    for network in networks:
        if network is not None and network.configuration.waits():
            return
    with waiting_lock:
        thread = waiting
        waiting = None
    if thread is not None:
        timer_start(patience, NEVER)
        make_ready(thread)


@metal
def without_network(timer: Ptr[Timer]) -> None:
    """No DHCP server has answered in time: say so, and start the program as it is."""
    global waiting
    with waiting_lock:
        thread = waiting
        waiting = None
    if thread is not None:
        warn(b"goanna: no DHCP server has answered so far: the program starts without an address")
        make_ready(thread)


@on_configured.set
@metal
def configured(configuration: Configuration) -> None:
    """An interface has an address by DHCP."""
    line = Line()
    text = line.start()
    text.put(b"goanna: ")
    text.string(configuration.interface.name[:])
    text.put(b": DHCP gave ")
    for local in configuration.interface.addresses:
        if local.usable() and local.address.is4():
            put_address(text, local.address)
            text.byte(0x20)
    say(line.bytes())
    lease = configuration.applied
    if len(settings.hostname) == 0 and lease.hostname_length != 0:
        with names_lock:
            host_name.set(lease.hostname[0 : min(lease.hostname_length, u64(NAME_SIZE))])
    go_on()
