"""Other machines by name, as /etc/hosts has them (hosts(5)).

They are said by settings (`host=NAME@ADDRESS`) and, while the machine runs, by the runner, which knows the machines of
its segments.
"""

from goanna.kernel.base.lock import SpinLock
from goanna.kernel.base.text import Text
from goanna.kernel.net.address import Address
from goanna.kernel.net.config.notation import find, parse_address, put_address
from goanna.metal import Array, Ptr, Slice, metal, static, struct, u8, u64

__all__ = ["put_line", "put_others", "take_host"]

MOST_HOSTS = 256  # as many as a segment has machines
LONGEST_NAME = 64
AT = 0x40
SPACE = 0x20


@struct
class Host:
    """Another machine. Without a name the entry is free; an address that is :: was not said."""

    length: u64
    letters: Array[u8, LONGEST_NAME]
    four: Address
    six: Address

    def name(self) -> Slice[u8]:
        """What it is called."""
        return self.letters[0 : self.length]


hosts_lock = static(SpinLock)  # protects `hosts`
hosts = static(Array[Host, MOST_HOSTS])


@metal
def take_host(text: Slice[u8]) -> bool:
    """Learn `NAME@ADDRESS`, in place of the address of that family that it had; `NAME` alone is forgotten. False: that
    says nothing, or there are too many."""
    at = find(text, AT)
    name = text[0:at]
    address = Address()
    if at != len(text) and not parse_address(text[at + 1 :], address):
        return False
    if not plain(name):
        return False
    with hosts_lock:
        host = entry_of(name)
        if host is None:
            return False
        if at == len(text):
            host.length = 0
            return True
        if host.length == 0:
            host.length = len(name)
            host.letters[0 : len(name)] = name
            host.four = Address()
            host.six = Address()
        if address.is4():
            host.four = address
        else:
            host.six = address
    return True


@metal
def plain(name: Slice[u8]) -> bool:
    """Whether a text can stand in a line as a name."""
    for byte in name:
        if byte <= SPACE:
            return False
    return 0 < len(name) <= LONGEST_NAME


@metal
def entry_of(name: Slice[u8]) -> Ptr[Host]:
    """The entry of a name, else a free one or None. With the lock."""
    unused: Ptr[Host] = None
    for host in hosts:
        if host.length == 0:
            unused = host
        elif host.name() == name:
            return host
    return unused


@metal
def put_others(text: Text) -> None:
    """Write a line for each address of each."""
    with hosts_lock:
        for host in hosts:
            if host.length != 0 and host.four.is4():
                put_line(text, host.four, host.name(), b"")
            if host.length != 0 and not host.six.unspecified():
                put_line(text, host.six, host.name(), b"")


@metal
def put_line(text: Text, address: Address, name: Slice[u8], domain: Slice[u8]) -> None:
    """One line: the name alone, or with its domain in front."""
    put_address(text, address)
    text.byte(0x09)
    if len(domain) != 0 and find(name, ord(".")) == len(name):
        text.put(name)
        text.byte(ord("."))
        text.put(domain)
        text.byte(SPACE)
    text.put(name)
    text.byte(0x0A)
