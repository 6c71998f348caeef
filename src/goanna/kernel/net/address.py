"""Network addresses: 128 bits as two numbers. IPv4 is ::ffff:a.b.c.d, so that one table serves both families."""

from goanna.metal import Slice, byte_swap, metal, struct, u8, u32, u64, unsafe

__all__ = ["MAPPED", "Address", "load64", "store64"]

MAPPED = 0xFFFF_0000_0000  # ::ffff:0:0/96 (RFC 4291 2.5.5.2)


@metal(inline=True)
def load64(address: u64) -> u64:
    """Eight bytes in network order, as a number."""
    return byte_swap(unsafe.load(u64, address, unaligned=True))


@metal(inline=True)
def store64(address: u64, value: u64) -> None:
    """A number as eight bytes in network order."""
    unsafe.store(u64, address, byte_swap(value), unaligned=True)


@struct
class Address:
    """An address of either family. Zeroed memory is ::, which also stands for "any"."""

    high: u64
    low: u64

    def set4(self, number: u32) -> None:
        """Become an IPv4 address."""
        self.high = 0
        self.low = MAPPED | u64(number)

    def set(self, high: u64, low: u64) -> None:
        """Become an address of two numbers."""
        self.high = high
        self.low = low

    def load(self, data: Slice[u8]) -> None:
        """Become the IPv6 address that 16 bytes say."""
        assert len(data) == 16, "an IPv6 address has 16 bytes"
        self.high = load64(unsafe.address(data))
        self.low = load64(unsafe.address(data) + 8)

    def store(self, data: Slice[u8]) -> None:
        """The 16 bytes of the address."""
        assert len(data) == 16, "an IPv6 address has 16 bytes"
        store64(unsafe.address(data), self.high)
        store64(unsafe.address(data) + 8, self.low)

    def equals(self, other: "Address") -> bool:
        """Whether both are the same."""
        return self.low == other.low and self.high == other.high

    def is4(self) -> bool:
        """Whether it is an IPv4 address."""
        return self.high == 0 and self.low >> 32 == 0xFFFF

    def four(self) -> u32:
        """An IPv4 address as a number; of an IPv6 address, its last 32 bits."""
        return u32.wrap(self.low)

    def unspecified(self) -> bool:
        """0.0.0.0 or ::."""
        return self.high == 0 and (self.low == 0 or self.low == MAPPED)

    def loopback(self) -> bool:
        """127.0.0.0/8 or ::1."""
        return self.high == 0 and (self.low == 1 or self.low >> 24 == (MAPPED | 0x7F00_0000) >> 24)

    def multicast(self) -> bool:
        """224.0.0.0/4 or ff00::/8."""
        return self.high >> 56 == 0xFF or (self.is4() and self.low & 0xF000_0000 == 0xE000_0000)

    def broadcast(self) -> bool:
        """255.255.255.255; a network's own broadcast address is known by its interface."""
        return self.high == 0 and self.low == MAPPED | 0xFFFF_FFFF

    def link_local(self) -> bool:
        """169.254.0.0/16 or fe80::/10."""
        return self.high >> 54 == 0xFE80 >> 6 or (self.high == 0 and self.low >> 16 == (MAPPED | 0xA9FE_0000) >> 16)

    def within(self, prefix: "Address", length: u32) -> bool:
        """Whether the first `length` bits (0 to 128) are those of `prefix`."""
        if length == 0:
            return True
        if length <= 64:
            return (self.high ^ prefix.high) >> (64 - length) == 0
        if self.high != prefix.high:
            return False
        return (self.low ^ prefix.low) >> (128 - length) == 0

    def common(self, other: "Address") -> u32:
        """How many leading bits two addresses share: RFC 6724 section 2.2's CommonPrefixLen, up to 128."""
        count: u32 = 0
        while count < 128 and self.within(other, count + 1):
            count += 1
        return count

    def mask(self, length: u32) -> None:
        """Clear all but the first `length` bits."""
        if length <= 64:
            self.low = 0
            self.high = 0 if length == 0 else (self.high >> (64 - length)) << (64 - length)
        else:
            self.low = (self.low >> (128 - length)) << (128 - length)
