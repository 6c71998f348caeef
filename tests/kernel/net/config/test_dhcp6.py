"""The DHCPv6 client against servers in Python that lose and change messages, and lie: RFC 8415."""

import random
import socket
import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.memory import placement
from goanna.kernel.net.config import dhcp6_message
from goanna.kernel.net.config.dhcp import Event
from goanna.kernel.net.config.dhcp6 import Client6, State6
from goanna.kernel.net.config.dhcp6_message import Lease6
from goanna.kernel.time.timer import NEVER
from goanna.metal import Slice, jit, metal, static, u8, u64
from tests.kernel.hooks import filled
from tests.kernel.memory.machine import random_state, random_u64

SECOND = 1_000_000_000
MAC = 0x525400123456
SOLICIT, ADVERTISE, REQUEST, RENEW, REBIND, REPLY, ASK = 1, 2, 3, 5, 6, 7, 11
ID = b"\0\3\0\1" + MAC.to_bytes(6, "big")
SERVER = b"\0\2server"
ADDRESS, NAMES = "2001:db8::77", ["2001:db8::1", "2001:db8::2"]
client = static(Client6)


@metal
def written(out: Slice[u8], now: u64) -> u64:
    spent = client.elapsed(now)
    return dhcp6_message.write6(out, client.sending, client.transaction, spent, client.mac, client.wanted())


with filled((placement.random_u64, random_u64)):
    unit = jit(client, Client6.start, Client6.stop, Client6.input, Client6.timer, dhcp6_message.parse6, written,
               random_state)  # fmt: skip


def raw(address):
    return socket.inet_pton(socket.AF_INET6, address)


def options(data):
    found, at = {}, 0
    while at < len(data):
        code, size = struct.unpack_from(">HH", data, at)
        found[code] = data[at + 4 : at + 4 + size]
        at += 4 + size
    assert at == len(data)
    return found


def fields(message):
    """(kind, transaction, options) of a client's message."""
    return message[0], int.from_bytes(message[1:4], "big"), options(message[4:])


def option(code, data):
    return struct.pack(">HH", code, len(data)) + data


def association(address=ADDRESS, preferred=600, valid=1000, t1=0, t2=0, status=None, mac=MAC):
    body = b"" if address is None else option(5, raw(address) + struct.pack(">II", preferred, valid))
    if status is not None:
        body += option(13, struct.pack(">H", status) + b"why")
    return option(3, struct.pack(">III", mac & 0xFFFFFFFF, t1, t2) + body)


def answer(kind, transaction, *more, server=SERVER, who=ID):
    return bytes([kind]) + transaction.to_bytes(3, "big") + option(1, who) + option(2, server) + b"".join(more)


NAME_OPTIONS = option(23, b"".join(map(raw, NAMES))) + option(24, b"\7example\3org\0\1x\0")


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
            out = bytearray(dhcp6_message.LARGEST)
            size = unit.call(written, out, self.now)
            self.client.sending = 0
            self.sent.append((self.now, *fields(bytes(out[:size]))))
        if self.client.event != Event.NONE:
            self.events.append(self.client.event)
            self.client.event = Event.NONE

    def start(self, managed=True):
        unit.call(Client6.start, self.client, managed, self.now)
        self.collect()

    def tick(self):
        """Go on to the deadline."""
        assert self.client.deadline != NEVER
        self.now = max(self.now, self.client.deadline)
        unit.call(Client6.timer, self.client, self.now)
        self.collect()

    def hear(self, message):
        unit.call(Client6.input, self.client, message, self.now)
        self.collect()

    def answer(self, kind, *more, **keys):
        self.hear(answer(kind, self.client.transaction, *more, **keys))

    def bound(self, *more, **keys):
        self.start()
        self.tick()
        self.answer(ADVERTISE, association(**keys), option(7, b"\xff"))
        self.answer(REPLY, association(**keys), *more)
        assert self.client.state == State6.BOUND
        return self


def test_an_address_is_solicited_requested_and_granted():
    subject = Subject()
    subject.start()
    assert subject.sent == [] and subject.client.deadline <= 6 * SECOND
    subject.tick()
    (when, kind, transaction, said), = subject.sent
    assert kind == SOLICIT and said[1] == ID and said[3] == struct.pack(">III", MAC & 0xFFFFFFFF, 0, 0)
    assert said[8] == b"\0\0" and said[6] == struct.pack(">HHH", 23, 24, 32) and 2 not in said
    subject.now += SECOND // 2
    subject.hear(answer(ADVERTISE, transaction, association("2001:db8::99"), server=b"other"))
    subject.hear(answer(ADVERTISE, transaction, association(), option(7, b"\5")))
    subject.hear(answer(ADVERTISE, transaction, association("2001:db8::98"), option(7, b"\4"), server=b"third"))
    assert len(subject.sent) == 1  # who answers within a second is compared
    subject.tick()
    _, kind, second, said = subject.sent[-1]
    assert kind == REQUEST and second != transaction and said[2] == SERVER
    assert SECOND <= subject.now - when <= 1.1 * SECOND
    assert options(said[3][12:])[5][:16] == raw(ADDRESS)
    subject.answer(REPLY, association(), NAME_OPTIONS)
    assert subject.client.state == State6.BOUND and subject.events == [Event.BOUND]
    lease = subject.client.lease
    assert lease.name_count == 2 and bytes(lease.domain)[: lease.domain_length] == b"example.org"
    assert subject.client.deadline == subject.now + 300 * SECOND


def test_the_best_server_is_taken_at_once():
    subject = Subject()
    subject.start()
    subject.tick()
    subject.answer(ADVERTISE, association(), option(7, b"\xff"))
    assert subject.sent[-1][1] == REQUEST


def test_messages_are_repeated_ever_later():
    subject = Subject()
    subject.start()
    for _ in range(16):
        subject.tick()
    times = [when for when, *_ in subject.sent]
    waits = [(b - a) / SECOND for a, b in pairwise(times)]
    assert 1 <= waits[0] <= 1.1 and all(1.7 <= b / a <= 2.4 for a, b in pairwise(waits[:10]))
    assert max(waits) <= 3600 * 1.1
    elapsed = [int.from_bytes(said[8], "big") for *_, said in subject.sent]
    assert elapsed == sorted(elapsed) and elapsed[-1] == 0xFFFF
    assert len({transaction for _, _, transaction, _ in subject.sent}) == 1


def test_a_request_that_nobody_answers_is_given_up():
    subject = Subject()
    subject.start()
    subject.tick()
    subject.answer(ADVERTISE, association(), option(7, b"\xff"))
    for _ in range(10):
        subject.tick()
    assert [kind for _, kind, _, _ in subject.sent] == [SOLICIT] + [REQUEST] * 10 + [SOLICIT]


def test_a_lease_is_renewed_rebound_and_lost():
    subject = Subject().bound(t1=100, t2=200)
    start = subject.now
    subject.sent.clear()
    while subject.client.state != State6.SOLICITING:
        subject.tick()
    kinds = [kind for _, kind, _, _ in subject.sent]
    assert kinds[0] == RENEW and REBIND in kinds and kinds == [*sorted(kinds[:-1]), SOLICIT]
    assert subject.sent[0][0] == start + 100 * SECOND and subject.sent[0][3][2] == SERVER
    first = next(each for each in subject.sent if each[1] == REBIND)
    assert first[0] == start + 200 * SECOND and 2 not in first[3] and options(first[3][3][12:])[5][:16] == raw(ADDRESS)
    assert subject.sent[-1][0] == start + 1000 * SECOND and subject.events[-1] == Event.LOST


def test_a_renewal_gives_more_time():
    subject = Subject().bound(t1=100, t2=200)
    subject.tick()
    subject.answer(REPLY, association(t1=50, t2=60))
    assert subject.client.state == State6.BOUND and subject.client.deadline == subject.now + 50 * SECOND
    assert subject.events == [Event.BOUND, Event.BOUND]


@pytest.mark.parametrize(("status", "kind", "events"), [
    (1, RENEW, [Event.BOUND]), (3, REQUEST, [Event.BOUND]), (4, SOLICIT, [Event.BOUND, Event.LOST]),
    (2, SOLICIT, [Event.BOUND, Event.LOST]),
])  # fmt: skip
def test_what_a_server_refuses(status, kind, events):
    subject = Subject().bound(t1=100, t2=200)
    subject.tick()
    subject.answer(REPLY, association(None, status=status))
    if subject.sent[-1][1] != kind or kind == RENEW:
        subject.tick()
    assert subject.sent[-1][1] == kind and subject.events == events


def test_who_is_not_managed_asks_for_the_rest():
    subject = Subject()
    subject.start(False)
    subject.tick()
    _, kind, _, said = subject.sent[-1]
    assert kind == ASK and 3 not in said and 2 not in said
    subject.answer(REPLY, NAME_OPTIONS, option(32, struct.pack(">I", 1000)))
    assert subject.client.state == State6.INFORMED and subject.events == [Event.BOUND]
    assert subject.client.lease.name_count == 2 and subject.client.lease.address.low == 0
    assert subject.client.deadline == subject.now + 1000 * SECOND
    subject.tick()
    assert subject.sent[-1][1] == ASK
    subject.start(True)  # and a router manages addresses after all
    subject.tick()
    assert subject.sent[-1][1] == SOLICIT
    subject.start(False)
    assert subject.client.state == State6.SOLICITING


def test_the_link_goes_and_comes():
    subject = Subject().bound()
    unit.call(Client6.stop, subject.client)
    assert subject.client.state == State6.STOPPED
    subject.answer(REPLY, association())
    assert subject.client.state == State6.STOPPED
    subject.start()
    subject.tick()
    assert subject.sent[-1][1] == SOLICIT


@pytest.mark.parametrize("message", [
    lambda id: answer(ADVERTISE, id ^ 1, association()),
    lambda id: answer(ADVERTISE, id, association(), who=ID[:-1] + b"x"),
    lambda id: answer(ADVERTISE, id, association(), server=b""),
    lambda id: answer(ADVERTISE, id, association(), server=b"x" * 131),
    lambda id: answer(REPLY, id, association()),
    lambda id: answer(ADVERTISE, id, association(None, status=2)),
    lambda id: answer(ADVERTISE, id, association("fe80::1")),
    lambda id: answer(ADVERTISE, id, association("ff02::1")),
    lambda id: answer(ADVERTISE, id, association(preferred=2, valid=1)),
    lambda id: answer(ADVERTISE, id, association(valid=0, preferred=0)),
    lambda id: answer(ADVERTISE, id, association())[:-1],
    lambda id: answer(ADVERTISE, id),
    lambda id: b"",
])  # fmt: skip
def test_what_is_no_offer(message):
    subject = Subject()
    subject.start()
    subject.tick()
    subject.hear(message(subject.client.transaction))
    subject.tick()
    assert subject.sent[-1][1] == SOLICIT


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), loss=st.sampled_from([0.0, 0.2, 0.5]), garbage=st.booleans())
def test_whatever_is_lost_it_has_an_address_in_the_end(seed, loss, garbage):
    chance = random.Random(seed)
    subject = Subject(seed)
    subject.start()
    for _ in range(400):
        before = len(subject.sent)
        subject.tick()
        for _, kind, transaction, said in subject.sent[before:]:
            if chance.random() < loss or (kind in (RENEW, REBIND) and chance.random() < 0.3):
                continue
            reply = answer(ADVERTISE if kind == SOLICIT else REPLY, transaction,
                           association(t1=chance.choice([0, 50, 5000]), t2=chance.choice([0, 80, 9000])))  # fmt: skip
            assert kind == SOLICIT or 3 in said
            if garbage and chance.random() < 0.3:
                bad = bytearray(reply)
                for _ in range(3):
                    bad[chance.randrange(len(bad))] = chance.randrange(256)
                subject.hear(bytes(bad[: chance.randrange(len(bad) + 1)]))
            subject.hear(reply)
    assert subject.events.count(Event.BOUND) > 5


@given(st.binary(max_size=400), st.booleans())
def test_no_bytes_are_read_beyond_their_end(data, framed):
    lease = unit.new(Lease6)
    if framed:
        data = bytes([ADVERTISE, 0, 0, 7]) + option(1, ID) + data
    unit.call(dhcp6_message.parse6, data, 7, MAC, lease)
    assert lease.server_length <= 131 and lease.name_count <= 4 and lease.domain_length <= 128
