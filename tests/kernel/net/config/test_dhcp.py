"""The DHCP client against servers in Python that lose, delay and double messages, and lie: RFC 2131, 3396, 3442."""

import ipaddress
import random
import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.memory import placement
from goanna.kernel.net.config import dhcp_message
from goanna.kernel.net.config.dhcp import Client, Event, State
from goanna.kernel.net.config.dhcp_message import Lease
from goanna.kernel.time.timer import NEVER
from goanna.metal import Slice, jit, metal, static, u8, u64
from tests.kernel.hooks import filled
from tests.kernel.memory.machine import random_state, random_u64

SECOND = 1_000_000_000
MAC = 0x525400123456
DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6
ADDRESS, SERVER = 0x0A000205, 0x0A000201
client = static(Client)


@metal
def written(out: Slice[u8], name: Slice[u8]) -> u64:
    return dhcp_message.write(out, client.message, name)


with filled((placement.random_u64, random_u64)):
    unit = jit(client, Client.start, Client.stop, Client.input, Client.timer, dhcp_message.parse, written, random_state)


def fields(message):
    """(op, transaction, flags, ciaddr, options) of a client's message."""
    assert message[236:240] == b"\x63\x82\x53\x63"
    transaction, flags, current = *struct.unpack(">I2xH", message[4:12]), struct.unpack(">I", message[12:16])[0]
    options, at = {}, 240
    while message[at] != 255:
        size = message[at + 1]
        options[message[at]] = message[at + 2 : at + 2 + size]
        at += 2 + size
    return message[0], transaction, flags, current, options


def reply(transaction, kind, address=ADDRESS, options=None, mac=MAC, server=SERVER, file=b"", name=b""):
    head = struct.pack(">BBBBIHHIIII", 2, 1, 6, 0, transaction, 0, 0, 0, address, 0, 0)
    fixed = head + mac.to_bytes(6, "big") + bytes(10) + name.ljust(64, b"\0") + file.ljust(128, b"\0")
    body = bytes([53, 1, kind])
    if server:
        body += b"\x36\4" + struct.pack(">I", server)
    for code, data in (options or {51: struct.pack(">I", 3600)}).items():
        body += bytes([code, len(data)]) + data
    return fixed + b"\x63\x82\x53\x63" + body + b"\xff"


def parsed(message, transaction=7):
    lease = unit.new(Lease)
    return lease if unit.call(dhcp_message.parse, message, transaction, MAC, lease) else None


def number(value):
    return struct.pack(">I", value)


class Subject:
    """The client, with what it sends collected."""

    def __init__(self, seed=1):
        unit.reset()
        unit.set(random_state, seed * 2654435761 | 1)
        self.client = unit.get(client)
        self.client.mac = MAC
        self.now = 5 * SECOND
        self.sent, self.events = [], []

    def collect(self):
        if self.client.sending:
            self.client.sending = False
            out = bytearray(dhcp_message.LARGEST)
            size = unit.call(written, out, b"host")
            self.sent.append((self.now, self.client.unicast, bytes(out[:size])))
        if self.client.event != Event.NONE:
            self.events.append((self.now, self.client.event))
            self.client.event = Event.NONE

    def start(self):
        unit.call(Client.start, self.client, self.now)
        self.collect()

    def input(self, message):
        unit.call(Client.input, self.client, message, self.now)
        self.collect()

    def advance(self):
        """To the next deadline."""
        self.now = max(self.now, self.client.deadline)
        unit.call(Client.timer, self.client, self.now)
        self.collect()

    def last(self):
        return fields(self.sent[-1][2])

    def bind(self, **more):
        self.start()
        self.input(reply(self.last()[1], OFFER, **more))
        self.input(reply(self.last()[1], ACK, **more))
        assert self.client.state == State.BOUND


def test_rfc_2131_3_1_discover_offer_request_ack():
    subject = Subject()
    subject.start()
    op, transaction, flags, current, options = subject.last()
    assert op == 1 and flags == 0x8000 and current == 0 and options[53] == bytes([DISCOVER])
    assert options[61] == b"\1" + MAC.to_bytes(6, "big") and options[12] == b"host"
    assert {1, 3, 6, 15, 26, 121} <= set(options[55])
    subject.input(reply(transaction, OFFER))
    options = subject.last()[4]
    assert options[53] == bytes([REQUEST]) and options[50] == number(ADDRESS) and options[54] == number(SERVER)
    assert subject.last()[1] == transaction and subject.events == []
    subject.input(reply(transaction, ACK))
    assert subject.events == [(subject.now, Event.BOUND)] and subject.client.lease.address == ADDRESS
    assert subject.client.deadline == subject.now + 3600 * SECOND * 7 // 8 // 7 * 4


def test_rfc_2131_4_1_messages_are_repeated_with_growing_delays():
    subject = Subject()
    subject.start()
    for _ in range(8):
        subject.advance()
    times = [time for time, _, _ in subject.sent]
    delays = [(b - a) / SECOND for a, b in pairwise(times)]
    for delay, expected in zip(delays, [4, 8, 16, 32, 64, 64, 64, 64], strict=True):
        assert expected - 1 <= delay <= expected + 1
    assert len(set(delays)) > 4


def test_rfc_2131_4_4_5_renewing_rebinding_and_the_end():
    subject = Subject()
    begun = subject.now
    options = {51: number(8000), 58: number(1000), 59: number(5000)}
    subject.bind(options=options)
    subject.advance()
    assert subject.now == begun + 1000 * SECOND and subject.client.state == State.RENEWING
    _, unicast, message = subject.sent[-1]
    assert unicast and fields(message)[3] == ADDRESS and not {50, 54} & fields(message)[4].keys()
    waits = []
    while subject.client.state == State.RENEWING:
        waits.append(subject.client.deadline - subject.now)
        subject.advance()
    assert waits[0] == 2000 * SECOND and all(each >= 60 * SECOND or each == waits[-1] for each in waits)
    assert subject.now == begun + 5000 * SECOND and not subject.sent[-1][1]
    while not any(event == Event.LOST for _, event in subject.events):
        assert subject.client.state == State.REBINDING
        subject.advance()
    assert subject.events[-1] == (begun + 8000 * SECOND, Event.LOST)
    subject.advance()
    assert subject.last()[4][53] == bytes([DISCOVER])


@pytest.mark.parametrize("steps", [1, 3])
def test_a_lease_is_prolonged(steps):
    subject = Subject()
    subject.bind(options={51: number(8000), 58: number(1000), 59: number(2000)})
    for _ in range(steps):
        subject.advance()
    subject.input(reply(subject.last()[1], ACK, options={51: number(8000), 58: number(1000), 59: number(2000)}))
    assert subject.events[-1][1] == Event.BOUND and subject.client.ends_at == subject.now + 8000 * SECOND
    assert subject.client.state == State.BOUND


def test_a_lease_without_end_is_never_asked_for_again():
    subject = Subject()
    subject.bind(options={51: number(0xFFFFFFFF)})
    assert subject.client.deadline == NEVER


def test_rfc_2131_3_2_a_link_that_comes_back_asks_for_the_same_address():
    subject = Subject()
    subject.bind()
    unit.call(Client.stop, subject.client)
    assert subject.client.deadline == NEVER
    subject.now += 10 * SECOND
    subject.start()
    options = subject.last()[4]
    assert options[53] == bytes([REQUEST]) and options[50] == number(ADDRESS) and 54 not in options
    subject.input(reply(subject.last()[1], ACK))
    assert subject.events[-1][1] == Event.BOUND
    unit.call(Client.stop, subject.client)
    subject.start()
    subject.input(reply(subject.last()[1], NAK, 0))
    assert subject.events[-1][1] == Event.LOST
    subject.advance()
    assert subject.last()[4][53] == bytes([DISCOVER])


def test_a_lease_holds_if_nobody_answers_on_a_link_that_came_back():
    subject = Subject()
    subject.bind(options={51: number(100000)})
    unit.call(Client.stop, subject.client)
    subject.start()
    while subject.client.state == State.REBOOTING:
        subject.advance()
    assert subject.client.state == State.BOUND and subject.events[-1][1] == Event.BOUND


def test_an_offer_that_nobody_keeps_is_given_up():
    subject = Subject()
    subject.start()
    subject.input(reply(subject.last()[1], OFFER))
    for _ in range(6):
        subject.advance()
    assert subject.last()[4][53] == bytes([DISCOVER])
    subject.input(reply(subject.last()[1], OFFER))
    subject.input(reply(subject.last()[1], NAK, 0))
    assert subject.client.state == State.INIT and subject.events == []


def test_answers_that_are_not_for_us():
    subject = Subject()
    subject.start()
    transaction = subject.last()[1]
    for wrong in (
        reply(transaction ^ 1, OFFER), reply(transaction, OFFER, mac=MAC ^ 1), reply(transaction, OFFER, server=0),
        reply(transaction, ACK), reply(transaction, OFFER, address=0), reply(transaction, OFFER, address=0xFFFFFFFF),
        reply(transaction, OFFER, address=0x7F000001), reply(transaction, OFFER)[:-8], b"",
    ):  # fmt: skip
        subject.input(wrong)
        assert subject.client.state == State.SELECTING
    subject.input(reply(transaction, OFFER))
    subject.input(reply(transaction, ACK, server=SERVER + 1))
    subject.input(reply(transaction, ACK, address=ADDRESS + 1))
    subject.input(reply(transaction, ACK, options={1: number(0xFFFFFF00)}))  # for how long?
    assert subject.client.state == State.REQUESTING


def test_what_a_lease_says():
    lease = parsed(reply(7, ACK, options={
        51: number(60), 1: number(0xFFFFF000), 3: number(SERVER), 6: number(0x01010101) + number(0x08080808),
        12: b"box-1", 15: b"example.org\0", 26: struct.pack(">H", 1400),
    }))  # fmt: skip
    assert (lease.address, lease.length, lease.mtu, lease.duration) == (ADDRESS, 20, 1400, 60)
    assert [lease.servers[each].low & 0xFFFFFFFF for each in range(lease.server_count)] == [0x01010101, 0x08080808]
    assert bytes(lease.hostname[: lease.hostname_length]) == b"box-1"
    assert bytes(lease.domain[: lease.domain_length]) == b"example.org"
    assert lease.route_count == 1 and lease.routes[0].router == SERVER and lease.routes[0].length == 0


def test_rfc_3442_classless_routes_take_the_routers_place():
    routes = b"\x18\x0a\x11\x84" + number(SERVER) + b"\0" + number(SERVER + 1) + b"\x20\1\2\3\4" + number(0)
    lease = parsed(reply(7, ACK, options={51: number(60), 3: number(SERVER), 121: routes}))
    found = [(each.target, each.length, each.router) for each in list(lease.routes)[: lease.route_count]]
    assert found == [(0x0A118400, 24, SERVER), (0, 0, SERVER + 1), (0x01020304, 32, 0)]
    for wrong in (b"\x21" + bytes(9), b"\x18\x0a", routes[:-1]):
        lease = parsed(reply(7, ACK, options={51: number(60), 3: number(SERVER), 121: wrong}))
        assert [(each.length, each.router) for each in list(lease.routes)[: lease.route_count]] == [(0, SERVER)]


def test_rfc_3396_long_options_and_other_fields_that_hold_options():
    routes = b"".join(b"\x20" + number(0x01000000 + each) + number(SERVER) for each in range(12))
    first, second = routes[:60], routes[60:]
    message = reply(7, ACK, options={51: number(60), 52: b"\3"}, file=bytes([121, len(first)]) + first + b"\xff",
                    name=bytes([121, len(second)]) + second[:48] + b"\xff")  # fmt: skip
    message = bytearray(message)
    message[45] = 48
    lease = parsed(bytes(message))
    assert lease.route_count == 12 and lease.routes[11].target == 0x0100000B


@pytest.mark.parametrize(("mask", "length"), [(0, 8), (0xFF00FF00, 8), (0xFFFFFFFF, 32), (0x80000000, 1)])
def test_masks(mask, length):
    assert parsed(reply(7, ACK, options={51: number(60), 1: number(mask)})).length == length


@pytest.mark.parametrize("name", [b"a b", b"x\ny", b"\xff", b"a/b", b""])
def test_names_that_would_break_a_file_are_not_taken(name):
    lease = parsed(reply(7, ACK, options={51: number(60), 15: name, 12: name}))
    assert lease.domain_length == 0 and lease.hostname_length == 0


@settings(max_examples=500, deadline=None)
@given(data=st.binary(max_size=700), place=st.integers(0, 300), change=st.binary(max_size=6))
def test_any_bytes_are_read_without_a_panic(data, place, change):
    parsed(data)
    message = bytearray(reply(7, ACK, options={51: number(60), 121: data[:200], 15: data[200:260], 52: change[:1]}))
    message[place : place + len(change)] = change
    parsed(bytes(message))
    parsed(bytes(message[: len(message) - len(data) % 50]))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_loss_and_any_lies_an_address_is_held_only_while_it_was_granted(data):
    """A server answers, or loses, doubles and delays messages, changes its mind and refuses; days pass."""
    chance = random.Random(data.draw(st.integers(0, 2**32)))
    loss = data.draw(st.sampled_from([0, 0.2, 0.6, 0.95]))
    refuse = data.draw(st.sampled_from([0, 0.1, 0.5]))
    subject = Subject(data.draw(st.integers(1, 2**31)))
    granted_until, heard, waiting, held = 0, 0, [], False
    subject.start()
    for _ in range(data.draw(st.integers(1, 120))):
        while heard < len(subject.sent):
            _, _, message = subject.sent[heard]
            heard += 1
            _, transaction, _, current, options = fields(message)
            for _ in range(chance.choice([1, 1, 1, 2])):
                if chance.random() >= loss:
                    wanted = current or int.from_bytes(options.get(50, b""), "big")
                    address = chance.choice([ADDRESS, ADDRESS, ADDRESS + 1])
                    kind = OFFER
                    if options[53][0] == REQUEST:
                        kind, address = (NAK, 0) if chance.random() < refuse else (ACK, wanted)
                    duration = chance.choice([1, 40, 600, 86400])
                    times = {51: number(duration)}
                    if chance.random() < 0.3:
                        times |= {58: number(chance.randrange(100000)), 59: number(chance.randrange(100000))}
                    delay = int(chance.choice([0, 0, 0.01, 3]) * SECOND)
                    waiting.append((subject.now + delay, kind, duration, reply(transaction, kind, address, times)))
        waiting.sort(key=lambda each: each[0])
        if waiting and waiting[0][0] <= subject.client.deadline:
            time, kind, duration, message = waiting.pop(0)
            subject.now = max(subject.now, time)
            before = len(subject.events)
            subject.input(message)
            if subject.events[before:] and subject.events[-1][1] == Event.BOUND:
                assert kind == ACK
                granted_until = subject.now + max(duration, 30) * SECOND
        else:
            subject.advance()
        for _, event in subject.events:
            held = event == Event.BOUND
        subject.events.clear()
        assert not held or subject.now <= granted_until
        assert subject.client.deadline != NEVER
    assert ipaddress.IPv4Address(subject.client.lease.address) or not held
