"""What strangers may do to a host with TCP: nothing panics, memory stays bounded, other connections go on.

Each attack is played against a whole host that has one honest connection, which is tried afterwards, and mostly in the
middle of it.
"""

import random
import struct

import pytest

from goanna.kernel.base import errno
from goanna.kernel.memory import pages
from goanna.kernel.net import neighbour, packet, path_mtu
from goanna.kernel.net.tcp import connection, listener, time_wait
from goanna.kernel.net.wire.ethernet import BROADCAST
from tests.kernel.net import host as hosts
from tests.kernel.net.host import arp_bytes, ether, ip4
from tests.kernel.net.tcp import host as tcp
from tests.kernel.net.tcp import rules
from tests.kernel.net.tcp.host import ACK, FIN, PSH, RST, SYN, State
from tests.kernel.net.tcp.rules import MSS, SECOND, Open

LINK = 0x020000000002


@pytest.fixture
def host():
    made = Open()
    made.unit.call(packet.set_limit, 2 << 20)
    return made


def goes_on(host, count=3):
    """The honest connection carries bytes both ways."""
    for turn in range(count):
        host.greet()
        host.hear(b"question %d" % turn)
        assert host.read(0) == b"question %d" % turn
        host.write(0, b"answer %d" % turn)
        sent = [each for each in host.got() if each["target"] == rules.PEER and each["text"]]
        assert sent[-1]["text"] == b"answer %d" % turn
        host.mine += len(sent[-1]["text"])
        host.say()
        host.let(0.1)
    host.frames()


def join(host, port, number=None, sequence=5000, options=MSS, window=65535):
    """Another connection of the peer; the host's next sequence number, or None where it isn't let in."""
    host.segment(port, 80, sequence, 0, SYN, options=options, window=window)
    answers = [each for each in host.got() if each["target"] == port]
    if not answers:
        return None
    first = answers[0]["sequence"] + 1
    host.segment(port, 80, sequence + 1, first, ACK, window=window)
    host.got()
    if number is not None and not host.unit.call(tcp.accept, 0, number):
        return None
    return first


def in_use(host):
    return host.unit.get(packet.in_use)


# Floods


def test_a_flood_of_syns(host):
    """RFC 4987: bounded in what is half open, and who answers a cookie gets in."""
    chance = random.Random(1)
    for number in range(3000):
        host.segment(chance.randrange(1, 65536), 80, chance.randrange(2**32), 0, SYN, options=MSS,
                     peer=f"10.0.0.{chance.randrange(3, 250)}")  # fmt: skip
        if number % 500 == 0:
            host.frames()
            goes_on(host, 1)
    assert host.unit.call(listener.half_opens.in_use) <= 16
    assert in_use(host) <= 2 << 20
    host.frames()
    assert join(host, 999, 1) is not None
    goes_on(host)
    host.let(70)
    assert host.unit.call(listener.half_opens.in_use) == 0


def test_a_flood_of_acknowledgments_that_are_no_cookies(host):
    chance = random.Random(2)
    for _ in range(20):
        host.segment(chance.randrange(1, 65536), 80, chance.randrange(2**32), 0, SYN, options=MSS)
    host.frames()
    for _ in range(3000):
        host.segment(chance.randrange(1, 65536), 80, chance.randrange(2**32), chance.randrange(2**32), ACK)
        host.frames()
    assert host.unit.call(connection.connections.in_use) <= 2
    goes_on(host)


def test_a_flood_of_connections_that_nobody_accepts(host):
    """The queue of a listener is bounded by its backlog."""
    for port in range(5000, 5400):
        join(host, port)
    assert host.unit.call(connection.connections.in_use) <= 16 + 2
    goes_on(host)
    assert host.unit.call(tcp.accept, 0, 1)
    assert join(host, 5500) is not None


def test_connections_until_memory_is_out(host):
    """Each is accepted and held. When there is no memory for another one, those that are there go on."""
    number = 1
    for peer in range(4):
        for port in range(1000, 2000):
            if join(host, port + 1000 * peer, number) is not None:
                number += 1
    assert number > 1000
    with_all = number
    taken = []
    while True:  # the program takes what is left
        page = host.unit.call(pages.allocate_for_program)
        if not page:
            break
        taken.append(page)
    for port in range(10000, 10300):
        if number < 4095 and join(host, port, number) is not None:
            number += 1
    assert number < with_all + 300
    goes_on(host)
    for page in taken:
        host.unit.call(pages.release, page)
    for each in range(1, number):
        host.unit.call(tcp.close, each, True, host.now)
        host.frames()
    assert host.unit.call(connection.connections.in_use) == 1
    assert join(host, 9999, 1) is not None


def test_a_flood_of_ended_connections(host):
    host.unit.set(time_wait.limit, 64)
    for port in range(3000, 3300):
        first = join(host, port, 1)
        host.unit.call(tcp.close, 1, False, host.now)
        host.segment(port, 80, 5001, first + 1, ACK | FIN)
        host.frames()
    assert host.unit.call(time_wait.time_wait_count) <= 64
    goes_on(host)


# Those who take and don't read, and those who send and aren't read


def test_slow_readers(host):
    """A hundred peers ask for much and keep their windows closed; what waits for them has a bound."""
    for number in range(1, 300):
        first = join(host, 4000 + number, number)
        host.segment(4000 + number, 80, 5001, first, ACK, window=0)
        host.write(number, bytes(60000))
        host.frames()
    assert in_use(host) <= (2 << 20) // 16 * packet.TAKEN_IN
    goes_on(host)
    for _ in range(6):  # they are probed, and may hold on
        host.let(2)
        host.frames()
        goes_on(host, 1)


def test_text_that_no_program_reads(host):
    """A hundred peers send and nobody reads: the honest one's text is still taken."""
    for number in range(1, 110):
        first = join(host, 4000 + number, number)
        for turn in range(20):
            host.segment(4000 + number, 80, 5001 + 1400 * turn, first, ACK, bytes(1400))
        host.frames()
    assert in_use(host) <= (2 << 20) // 16 * packet.RECEIVED + 4096
    goes_on(host)


def test_text_out_of_order_of_many(host):
    for number in range(1, 150):
        first = join(host, 4000 + number, number)
        for turn in range(20):
            host.segment(4000 + number, 80, 5001 + 1500 * turn + 100, first, ACK, bytes(1400))
        host.frames()
    assert host.unit.get(connection.runs_memory) <= (2 << 20) // 4 + 4096
    goes_on(host)


def test_windows_of_one_byte(host):
    """They make no flood of tiny segments (RFC 9293 3.8.6.2.1)."""
    first = join(host, 4100, 1)
    host.segment(4100, 80, 5001, first, ACK, window=1)
    host.write(1, bytes(20000))
    sent = 0
    for _ in range(100):
        host.let(0.05)
        for each in host.got():
            sent += 1
            if each["text"]:
                first += len(each["text"])
            host.segment(4100, 80, 5001, first, ACK, window=1)
    assert sent <= 30
    goes_on(host)


def test_windows_that_close_for_ever_while_the_program_is_there(host):
    first = join(host, 4100, 1, window=0)
    host.write(1, bytes(5000))
    before = in_use(host)
    for _ in range(50):
        host.let(120)
        host.greet()
        host.segment(4100, 80, 5001, first, ACK, window=0)
        host.frames()
    assert host.state(1) == State.ESTABLISHED.value and in_use(host) <= before + 8192
    host.unit.call(tcp.close, 1, False, host.now)
    for _ in range(10):  # now nobody has it
        host.let(120)
        host.greet()
        host.segment(4100, 80, 5001, first, ACK, window=0)
        host.frames()
    assert host.unit.get(tcp.forgotten) == 1


def test_orphans_have_a_limit(host):
    """Peers ask, close nothing and take nothing, and the program closes: too many of those end at once."""
    host.unit.set(connection.orphans, 8192)
    join(host, 4100, 1, window=0)
    host.write(1, bytes(500))
    host.unit.call(tcp.close, 1, False, host.now)
    host.frames()
    join(host, 4101, 2, window=0)
    host.write(2, bytes(500))
    host.unit.call(tcp.close, 2, False, host.now)
    assert any(each["flags"] & RST for each in host.got())
    goes_on(host)


# Half-open peers (RFC 9293 3.5.1)


def test_rfc_9293_3_5_1_a_peer_that_restarted_says_so_when_it_is_written_to(host):
    host.write(0, b"are you there?")
    host.got()
    host.segment(rules.PEER, 80, host.mine, 0, RST)  # a reset has the number of what it answers
    assert host.state(0) == State.ESTABLISHED.value  # not in the window: anybody could have sent it
    host.say(RST)
    assert (host.state(0), host.c.error) == (State.CLOSED.value, errno.ECONNRESET)


def test_rfc_5961_4_2_a_peer_that_restarted_and_connects_again(host):
    host.segment(rules.PEER, 80, 900_000, 0, SYN, options=MSS)
    challenge = host.one()
    assert (challenge["flags"], challenge["acknowledgment"]) == (ACK, host.at)
    host.segment(rules.PEER, 80, challenge["acknowledgment"], 0, RST)
    assert host.state(0) == State.CLOSED.value
    host.segment(rules.PEER, 80, 900_000, 0, SYN, options=MSS)
    assert host.one()["flags"] == SYN | ACK


def test_a_peer_that_is_gone_is_noticed_by_keep_alive(host):
    host.set(1, 10 * SECOND)
    host.let(60)
    assert (host.state(0), host.c.error) == (State.CLOSED.value, errno.ETIMEDOUT)


def test_half_open_connections_of_peers_that_are_gone_end(host):
    for port in range(2000, 2016):
        host.segment(port, 80, 1, 0, SYN, options=MSS)
    host.frames()
    assert host.unit.call(listener.half_opens.in_use) == 16
    host.let(64)
    assert host.unit.call(listener.half_opens.in_use) == 0
    goes_on(host)


# Forgeries


def test_rfc_5961_3_blind_resets(host):
    """Somebody who knows the ends but not the numbers, and one who tries each window: two challenges a second."""
    chance = random.Random(5)
    for _ in range(3000):
        guess = chance.randrange(2**32)
        host.segment(rules.PEER, 80, guess if guess != host.at % 2**32 else guess + 1, 0, RST)
    host.none()
    answers = 0
    for _ in range(50):
        for at in range(1, 60000, 1000):
            host.say(RST, at=at)
        answers += len(host.got())
        host.now += 20_000_000
    assert answers <= 3
    goes_on(host)


def test_rfc_5961_4_blind_syns(host):
    for at in range(-100000, 100000, 997):
        host.say(SYN, at=at)
        host.say(SYN | ACK, at=at)
    assert len(host.got()) <= 1
    goes_on(host)


def test_rfc_5961_5_blind_text(host):
    """Text with an acknowledgment that can't be is not taken."""
    chance = random.Random(6)
    for _ in range(2000):
        ack = chance.randrange(100_000, 2**32 - 100_000)
        host.say(ACK | PSH, b"forged", at=chance.randrange(0, 60000), ack=ack)
    assert len(host.got()) <= 1 and host.read(0) == b""
    goes_on(host)


def test_rfc_5961_any_forged_segment(host):
    """Of random segments by somebody who can't see ours, none does harm."""
    chance = random.Random(7)
    for _ in range(5000):
        far = chance.randrange(1 << 20, 2**32 - (1 << 20))
        options = chance.choice([b"", MSS, bytes(chance.randrange(256) for _ in range(8))])
        host.segment(rules.PEER, 80, host.at + far, host.mine + chance.randrange(1 << 20, 2**32 - (1 << 20)),
                     chance.randrange(64), bytes(chance.choice([0, 0, 1, 1000])), chance.randrange(65536),
                     options)  # fmt: skip
        host.got()
    goes_on(host)


def test_rfc_5961_3_2_resets_for_what_is_half_open(host):
    host.segment(2000, 80, 7000, 0, SYN, options=MSS)
    first = host.one()["sequence"] + 1
    for at in (0, 2, 500, 70000):
        host.segment(2000, 80, 7000 + at, 0, RST)
    host.segment(2000, 80, 7001, first, ACK)
    assert host.unit.call(tcp.accept, 0, 1)


def quoting(host, kind, code, rest, offset=0, port=80, size=1500):
    """An ICMP error about a segment of the honest connection."""
    quoted = bytearray(
        ip4("10.0.0.1", "10.0.0.2", 6, struct.pack(">HHI", port, rules.PEER, (host.mine + offset) % 2**32))
    )
    quoted[2:4] = struct.pack(">H", size)
    data = struct.pack(">BBHI", kind, code, 0, rest) + bytes(quoted)
    data = data[:2] + struct.pack(">H", hosts.ones(data)) + data[4:]
    host.put(ether(host.mac, LINK, 0x800, ip4("10.0.0.9", "10.0.0.1", 1, data)))


def test_rfc_5927_4_no_icmp_error_ends_a_connection(host):
    host.write(0, b"x" * 1000)
    host.got()
    for kind in (3, 4, 5, 11, 12):
        for code in range(16):
            quoting(host, kind, code, 0 if (kind, code) != (3, 4) else 1400)
            quoting(host, kind, code, 0, offset=2_000_000)
    host.frames()
    assert host.state(0) == State.ESTABLISHED.value and host.c.error == 0
    host.say(ack=1000)
    host.mine += 1000
    goes_on(host)


def test_rfc_5927_7_mtus_have_a_floor_and_a_proof(host):
    """Neither 0 nor 68 makes segments tiny; what quotes a segment that is not in flight changes nothing."""
    for offset in (-5000, 1, 100_000, 2**31):
        quoting(host, 3, 4, 600, offset)
    assert host.c.mss == 1460
    host.write(0, b"x" * 5000)
    sent = host.got()
    assert all(len(each["text"]) <= 1460 for each in sent)
    for mtu in (68, 0, 100, 20):
        quoting(host, 3, 4, mtu)
    host.frames()
    assert host.c.mss == 552 - 40
    quoting(host, 3, 4, 1500)  # a larger one is no news
    assert host.c.mss == 552 - 40
    host.say(ack=5000)
    host.mine += 5000
    host.let(601)  # RFC 1191 6.3: it is forgotten
    goes_on(host)
    host.write(0, b"y" * 3000)
    assert max(length for _, length in host.texts()) == 1460


def test_mtus_of_any_number_of_targets_take_no_more_memory(host):
    before = host.memory.free
    for number in range(5000):
        host.call(path_mtu.learn_mtu, f"203.0.{number >> 8}.{number & 255}", 1000, host.now)
    assert host.memory.free == before
    goes_on(host)


# The link


def test_a_flood_of_arp_requests_drives_no_neighbour_out(host):
    for number in range(5000):
        host.put(ether(BROADCAST, LINK + 1 + number, 0x806,
                       arp_bytes(1, LINK + 1 + number, f"10.0.{number >> 8}.{number & 255}", 0, "10.0.0.1"))
                 if number & 255 > 2 or number > 255 else b"")  # fmt: skip
        if number % 500 == 0:
            host.frames()
            host.hear(b"x")
            assert host.read(0) == b"x"
            assert host.got(), "the honest peer's link address was forgotten"
    assert host.unit.get(neighbour.count) <= 1024
    goes_on(host)


def test_syns_from_neighbours_that_are_not_there(host):
    """Each makes us ask for one: bounded, and the honest peer's entry stays."""
    for number in range(3000):
        host.segment(1000, 80, 1, 0, SYN, options=MSS, peer=f"10.0.{number >> 8}.{number & 255 | 4}")
        if number % 500 == 0:
            host.frames()
            host.hear(b"x")
            assert host.read(0) == b"x" and host.got()
    assert host.unit.get(neighbour.count) <= 1024
    assert host.unit.get(neighbour.held_memory) <= (2 << 20) // 8
    goes_on(host)
    host.let(5)
    goes_on(host)


def test_forged_arp_answers_for_nobody_we_asked_make_no_neighbours(host):
    before = host.unit.get(neighbour.count)
    for number in range(500):
        host.put(
            ether(host.mac, LINK + 7, 0x806, arp_bytes(2, LINK + 7, f"10.0.1.{number % 250}", host.mac, "10.0.0.1"))
        )
    assert host.unit.get(neighbour.count) == before
    goes_on(host)
