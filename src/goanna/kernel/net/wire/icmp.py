"""ICMP and ICMPv6 messages (RFC 792, RFC 1191, RFC 4443): a header of eight bytes, then whatever its type says."""

from goanna.kernel.net.wire.bytes import get16, get32
from goanna.metal import Slice, metal, struct, u8, u16, u32

__all__ = [
    "ECHO4", "ECHO6", "ECHO_REPLY4", "ECHO_REPLY6", "EXCEEDED4", "EXCEEDED6", "HEADER", "MLD_QUERY",
    "MLD_REPORT", "PARAMETER4", "PARAMETER6",
    "TOO_BIG6", "UNREACHABLE4", "UNREACHABLE6", "Message", "parse",
]  # fmt: skip

HEADER = 8  # bytes

ECHO_REPLY4, UNREACHABLE4, REDIRECT4, ECHO4, EXCEEDED4, PARAMETER4 = 0, 3, 5, 8, 11, 12
NETWORK4, HOST4, PROTOCOL4, PORT4, TOO_BIG4, PROHIBITED4 = 0, 1, 2, 3, 4, 13  # codes of UNREACHABLE4

UNREACHABLE6, TOO_BIG6, EXCEEDED6, PARAMETER6, ECHO6, ECHO_REPLY6 = 1, 2, 3, 4, 128, 129
MLD_QUERY, MLD_REPORT = 130, 131
NO_ROUTE6, PROHIBITED6, BEYOND_SCOPE6, ADDRESS6, PORT6 = 0, 1, 2, 3, 4  # codes of UNREACHABLE6

HOPS, REASSEMBLY = 0, 1  # codes of EXCEEDED in both


@struct
class Message:
    """The header's fields."""

    kind: u8
    code: u8
    checksum: u16
    rest: u32  # by type: identifier and sequence, MTU, pointer

    def identifier(self) -> u16:
        """Of an echo."""
        return u16(self.rest >> 16)


@metal
def parse(data: Slice[u8], message: Message) -> bool:
    """Read a header. False: it is cut short. The checksum is the caller's to check."""
    if len(data) < HEADER:
        return False
    message.kind = data[0]
    message.code = data[1]
    message.checksum = get16(data, 2)
    message.rest = get32(data, 4)
    return True
