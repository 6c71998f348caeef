"""What is said of an interface in words, as one text: `name=eth0,address=10.0.0.2/24,gateway=10.0.0.1,dns=10.0.0.1`.

Words stand between commas: `name=`, `mac=52:54:00:12:34:56` (which interface is meant), `mtu=`, `address=` with the
length of its network, `gateway=`, `route=10.9.0.0/16@10.0.0.3`, `dns=`, `search=example.org`, `host=NAME@ADDRESS`
(another machine), `dhcp`, `auto` (IPv6 by what routers say). Addresses are of either family, and those words may come
often.
"""

from goanna.kernel.net.address import Address
from goanna.kernel.net.config.hosts import take_host
from goanna.kernel.net.config.notation import parse_address, parse_mac, parse_number, parse_prefix
from goanna.metal import Array, Slice, metal, struct, u8, u32, u64

__all__ = ["Prefix", "Setting", "parse_setting"]

MOST = 16  # of each word that may come often
MOST_NAMES = 4  # of name servers
LONGEST_NAME = 15
LEAST_MTU = 68  # RFC 791
COMMA, AT, EQUALS = 0x2C, 0x40, 0x3D


@struct
class Prefix:
    """An address with its network, or a network and the way to it."""

    address: Address
    length: u32  # of 128 bits
    gateway: Address


@struct
class Setting:
    """One interface's. Zeroed memory says nothing. Slices are parts of the text."""

    name: Slice[u8]
    mac: u64  # 0: whichever
    mtu: u32  # 0: the device's
    dhcp: bool
    auto: bool
    search: Slice[u8]
    address_count: u64
    addresses: Array[Prefix, MOST]
    route_count: u64
    routes: Array[Prefix, MOST]
    server_count: u64
    servers: Array[Address, MOST_NAMES]

    def take(self, word: Slice[u8]) -> bool:
        """One word; whether it is right."""
        equals = place(word, EQUALS)
        key = word[0:equals]
        value = word[min(equals + 1, len(word)) :]
        if equals == len(word):
            self.dhcp = self.dhcp or key == b"dhcp"
            self.auto = self.auto or key == b"auto"
            return key == b"dhcp" or key == b"auto"
        if key == b"name":
            self.name = value
            return 0 < len(value) <= LONGEST_NAME
        if key == b"search":
            self.search = value
            return True
        if key == b"host":
            return take_host(value)
        if key == b"mac":
            self.mac, good = parse_mac(value)
            return good
        if key == b"mtu":
            number, good = parse_number(value, 65535)
            self.mtu = u32(number)
            return good and number >= LEAST_MTU
        return self.take_address(key, value)

    def take_address(self, key: Slice[u8], value: Slice[u8]) -> bool:
        """The words that may come often."""
        if key == b"dns":
            if self.server_count == MOST_NAMES:
                return False
            self.server_count += 1
            return parse_address(value, self.servers[self.server_count - 1])
        if key == b"address":
            if self.address_count == MOST:
                return False
            entry = self.addresses[self.address_count]
            self.address_count += 1
            entry.length, good = parse_prefix(value, entry.address)
            return good
        if self.route_count == MOST:
            return False
        route = self.routes[self.route_count]
        self.route_count += 1
        if key == b"gateway":
            good = parse_address(value, route.gateway)
            if route.gateway.is4():
                route.address.set4(0)
                route.length = 96
            return good
        if key != b"route":
            return False
        at = place(value, AT)
        route.length, good = parse_prefix(value[0:at], route.address)
        return good and (at == len(value) or parse_address(value[at + 1 :], route.gateway))


@metal
def place(text: Slice[u8], byte: u8) -> u64:
    """Where a byte first stands; the length if nowhere."""
    at: u64 = 0
    while at < len(text) and text[at] != byte:
        at += 1
    return at


@metal
def parse_setting(text: Slice[u8], setting: Setting) -> bool:
    """Read a text into a zeroed setting; whether all its words are right."""
    good = True
    while len(text) != 0:
        end = place(text, COMMA)
        good = setting.take(text[0:end]) and good
        text = text[min(end + 1, len(text)) :]
    return good
