"""Traffic classes are kept as Linux keeps them: the bits of congestion are a program's where it has the protocol in its
own hands, as with QUIC, and TCP's otherwise."""


import pytest

from goanna.image.erofs import Folder
from tests.kernel.net.both import INET, INET6, BothNetworks, name4, perform
from tests.kernel.net.calls import DATAGRAM, STREAM
from tests.kernel.syscall.linux import needs_linux, needs_own_tree

pytestmark = [needs_linux, needs_own_tree]

IP, IPV6 = 0, 41
IP_TOS, IP_RECVTOS, IPV6_TCLASS = 1, 13, 67


@pytest.fixture(scope="module")
def both():
    both = BothNetworks(Folder())
    yield both
    both.close()


@pytest.mark.parametrize("kind", [STREAM, DATAGRAM])
@pytest.mark.parametrize(("family", "option"), [(INET, (IP, IP_TOS)), (INET6, (IPV6, IPV6_TCLASS))])
@pytest.mark.parametrize("value", [0, 1, 2, 3, 0x2F, 0xB8, 0xFF])
def test_what_was_set_is_what_is_there(both, kind, family, option, value):
    both.reset()
    both.put(0, bytes(4096))
    for step in [("socket", family, kind), ("setsockopt", 3, option, 4, value), ("getsockopt", 3, option, 4)]:
        perform(both, step)


@pytest.mark.parametrize("value", [1, 2, 3, 0xB9])
def test_a_datagram_arrives_with_its_bits_of_congestion(both, value):
    both.reset()
    both.put(0, bytes(4096))
    own = name4("127.0.0.1", 5000)
    for step in [
        ("socket", INET, DATAGRAM), ("bind", 3, own), ("setsockopt", 3, (IP, IP_RECVTOS), 4, 1),
        ("socket", INET, DATAGRAM), ("setsockopt", 4, (IP, IP_TOS), 4, value), ("sendto", 4, 7, own),
        ("recvmsg", 3, 10, 0, 16, 64),
    ]:  # fmt: skip
        perform(both, step)
