"""/proc/net/arp: who on the links has which address (arp(7), Linux net/ipv4/arp.c)."""

from goanna.kernel.base.text import Text
from goanna.kernel.file.declare import Generated
from goanna.kernel.file.network_files import name_to
from goanna.kernel.file.subject import Subject
from goanna.kernel.net.neighbour import BUCKETS, Neighbour, Reach, neighbours_lock, table
from goanna.kernel.variant import NETWORK
from goanna.metal import i64, metal, u64

__all__ = ["FILES"]

COMPLETE, FIXED = 2, 4  # ATF_COM, ATF_PERM


@metal
def write_neighbours(text: Text, subject: Subject) -> i64:
    """The table of IPv4."""
    text.put(b"IP address       HW type     Flags       HW address            Mask     Device\n")
    with neighbours_lock:
        for index in range(u64(BUCKETS)):
            bucket = table[index]
            each = bucket.head()
            while each is not None:
                if each.address.is4() and each.interface is not None:
                    write_neighbour(text, each)
                each = bucket.after(each)
    return 0


@metal
def write_neighbour(text: Text, neighbour: Neighbour) -> None:
    """One line."""
    begun = text.position
    address = u64(neighbour.address.four())
    for byte in range(u64(4)):
        if byte != 0:
            text.byte(0x2E)
        text.number(address >> 8 * (3 - byte) & 0xFF)
    text.pad_to(17, begun)
    flags: u64 = 0 if neighbour.reach == Reach.INCOMPLETE else COMPLETE
    if neighbour.reach == Reach.PERMANENT:
        flags |= FIXED
    text.put(b"0x1         0x")
    text.number(flags)
    text.pad_to(41, begun)
    mac: u64 = 0 if neighbour.reach == Reach.INCOMPLETE else neighbour.mac
    for byte in range(u64(6)):
        if byte != 0:
            text.byte(0x3A)
        text.hexadecimal(mac >> 8 * (5 - byte) & 0xFF, 2)
    text.put(b"     *        ")
    name_to(text, neighbour.interface, 0, False)
    text.byte(0x0A)


FILES = [Generated("/proc/{pid}/net/arp", 0o444, text=write_neighbours)] if NETWORK else []
