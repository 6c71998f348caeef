"""What resolvers read: the name servers of all interfaces, as /etc/resolv.conf has them (resolv.conf(5)), and the names
that the machine knows itself, as /etc/hosts does (hosts(5)). /proc/net/pnp and /proc/net/hosts are these texts.
"""

from goanna.kernel.arch import now
from goanna.kernel.base.text import Text
from goanna.kernel.identity.names import host_name, names_lock
from goanna.kernel.net.address import Address
from goanna.kernel.net.config.configure import Configuration, configurations
from goanna.kernel.net.config.hosts import put_line, put_others
from goanna.kernel.net.config.notation import put_address
from goanna.kernel.net.interface import Local
from goanna.metal import Slice, metal, struct, u8, u64

__all__ = ["write_hosts", "write_resolver"]

MOST = 3  # name servers that resolvers read (MAXNS)
SOURCES = 3  # where they come from, the most trusted first: settings, DHCP's servers, routers


@struct
class Servers:
    """The lines under way."""

    written: u64

    def put(self, text: Text, address: Address) -> None:
        """One line, unless there are enough."""
        if self.written < MOST:
            self.written += 1
            text.put(b"nameserver ")
            put_address(text, address)
            text.byte(0x0A)


@metal
def write_resolver(text: Text) -> None:
    """Write the text, whose first line says where addresses come from, as Linux's does (net/ipv4/ipconfig.c). A look at
    a configuration that changes may find what was, or what is.
    """
    leased = False
    for configuration in configurations:
        if configuration is not None and configuration.applied.address != 0:
            leased = True
    text.put(b"#PROTO: DHCP\n" if leased else b"#MANUAL\n")
    servers = Servers()
    searched = False
    for source in range(SOURCES):
        for configuration in configurations:
            if configuration is not None:
                write_servers(text, configuration, source, servers)
                domain = domain_of(configuration, source)
                if len(domain) != 0 and not searched:
                    searched = True
                    text.put(b"search ")
                    text.put(domain)
                    text.byte(0x0A)


@metal
def write_servers(text: Text, configuration: Configuration, source: u64, servers: Servers) -> None:
    """The name servers that one interface has from one source."""
    if source == 0:
        for index in range(configuration.setting.server_count):
            servers.put(text, configuration.setting.servers[index])
    elif source == 1:
        if configuration.applied.address != 0:
            for index in range(u64(configuration.applied.server_count)):
                servers.put(text, configuration.applied.servers[index])
        if configuration.stateful.knows():
            for index in range(u64(configuration.stateful.client.lease.name_count)):
                servers.put(text, configuration.stateful.client.lease.names[index])
    else:
        for entry in configuration.autoconf.servers:
            if entry.until > now():
                servers.put(text, entry.address)


@metal
def domain_of(configuration: Configuration, source: u64) -> Slice[u8]:
    """The domain that one source says; empty if it says none."""
    if source == 0:
        return configuration.setting.search
    if source == 1 and configuration.applied.address != 0:
        return configuration.applied.domain[0 : configuration.applied.domain_length]
    if source == 1 and configuration.stateful.knows():
        lease = configuration.stateful.client.lease
        return lease.domain[0 : lease.domain_length]
    return b""


@metal
def write_hosts(text: Text) -> None:
    """Write what stands below localhost: our own name at our own addresses, then the others."""
    four = False
    for configuration in configurations:
        if configuration is None:
            continue
        domain = domain_of(configuration, 0)
        if len(domain) == 0:
            domain = domain_of(configuration, 1)
        for local in configuration.interface.addresses:
            if for_others(local):
                four = four or local.address.is4()
                with names_lock:
                    put_line(text, local.address, host_name.get(), domain)
    if not four:
        own = Address()
        own.set4(0x7F00_0101)
        with names_lock:
            put_line(text, own, host_name.get(), b"")
    put_others(text)


@metal
def for_others(local: Local) -> bool:
    """Whether an address of ours is one that others would use."""
    return local.usable() and not local.address.link_local()
