"""The DHCP client's machine: it is handed the time and messages, and says what to send and what holds (RFC 2131 4.4).

After each call, `sending` says what message wants to go out (0: none), `event` what has happened to the lease. Who runs
it takes both, and comes back at `deadline`.
"""

from goanna.kernel.memory.placement import random_u64
from goanna.kernel.net.config.dhcp_message import (
    ACK,
    DISCOVER,
    INFINITE,
    NAK,
    OFFER,
    REQUEST,
    Lease,
    Outgoing,
    parse,
)
from goanna.kernel.net.network import SECOND
from goanna.kernel.time.timer import NEVER
from goanna.metal import Slice, copy, enumeration, struct, u8, u16, u32, u64

__all__ = ["Client", "Event", "State"]

FIRST_WAIT, LONGEST_WAIT = 4 * SECOND, 64 * SECOND  # RFC 2131 4.1
REQUESTS = 4  # for one offer, until another is looked for
LEAST_RENEWAL_WAIT = 60 * SECOND  # RFC 2131 4.4.5
LEAST_LEASE = 30  # seconds: a server that grants less is asked no more often


@enumeration(u8)
class State:
    """RFC 2131 figure 5."""

    STOPPED = 0
    INIT = 1  # about to begin, at the deadline
    SELECTING = 2
    REQUESTING = 3
    REBOOTING = 4
    BOUND = 5
    RENEWING = 6
    REBINDING = 7


@enumeration(u8)
class Event:
    """What has happened to the lease."""

    NONE = 0
    BOUND = 1  # it was granted, or prolonged; what it says may be new
    LOST = 2  # it is over


@struct
class Client:
    """One interface's client. Zeroed memory with a link address is one that is stopped."""

    state: State
    event: Event
    mac: u64
    transaction: u32
    began: u64  # ns: when this attempt did
    deadline: u64
    tries: u32
    lease: Lease  # in force from BOUND to REBINDING; in REBOOTING, the one that was
    offer: Lease
    renew_at: u64
    rebind_at: u64
    ends_at: u64
    sending: bool
    unicast: bool  # to lease.server, from lease.address
    message: Outgoing

    def start(self, now: u64) -> None:
        """Begin, or begin again: the link came up. A lease that holds is asked for first (RFC 2131 3.2)."""
        self.tries = 0
        self.began = now
        self.transaction = u32.wrap(random_u64())
        if self.lease.address != 0 and now < self.ends_at:
            self.state = State.REBOOTING
            self.say(REQUEST, now)
        else:
            self.discover(now)

    def stop(self) -> None:
        """The link was lost: wait for start()."""
        self.state = State.STOPPED
        self.deadline = NEVER

    def discover(self, now: u64) -> None:
        """Look for servers."""
        self.state = State.SELECTING
        self.say(DISCOVER, now)

    def begin_again(self, now: u64, wait: u64) -> None:
        """From the start, after a while."""
        self.state = State.INIT
        self.lease.address = 0
        self.deadline = now + wait

    def say(self, kind: u8, now: u64) -> None:
        """Send a message, and set the time to say it again: 4 s, doubled each time, by chance up to 1 s off."""
        message = self.message
        message.kind = kind
        message.transaction = self.transaction
        message.seconds = u16(min((now - self.began) // SECOND, u64(0xFFFF)))
        message.mac = self.mac
        message.current = 0
        message.wanted = 0
        message.server = 0
        match self.state:
            case State.REQUESTING:
                message.wanted = self.offer.address
                message.server = self.offer.server
            case State.REBOOTING:
                message.wanted = self.lease.address
            case State.RENEWING | State.REBINDING:
                message.current = self.lease.address
            case _:
                pass
        self.unicast = self.state == State.RENEWING
        self.sending = True
        wait = u64(FIRST_WAIT) << min(self.tries, u32(4))
        self.tries += 1
        self.deadline = now + min(wait, u64(LONGEST_WAIT)) - SECOND + random_u64() % (2 * SECOND)

    def input(self, data: Slice[u8], now: u64) -> None:
        """A message came."""
        found = Lease()
        if not parse(data, self.transaction, self.mac, found):
            return
        match self.state:
            case State.SELECTING:
                if found.kind == OFFER and found.server != 0:
                    copy(self.offer, found)
                    self.state = State.REQUESTING
                    self.tries = 0
                    self.say(REQUEST, now)
            case State.REQUESTING:
                if found.server == self.offer.server or found.server == 0:
                    self.answered(found, self.offer.address, now)
            case State.REBOOTING | State.RENEWING | State.REBINDING:
                self.answered(found, self.lease.address, now)
            case _:
                pass

    def answered(self, found: Lease, wanted: u32, now: u64) -> None:
        """A server answers a request for an address."""
        if found.kind == NAK:
            if self.state != State.REQUESTING:
                self.event = Event.LOST
            self.begin_again(now, SECOND)
        elif found.kind == ACK and found.address == wanted:
            self.bind(found, now)

    def bind(self, found: Lease, now: u64) -> None:
        """The lease is granted."""
        if found.server == 0:
            found.server = self.offer.server if self.state == State.REQUESTING else self.lease.server
        copy(self.lease, found)
        self.state = State.BOUND
        self.event = Event.BOUND
        self.tries = 0
        # RFC 2131 counts from when the request was sent; what the answer took is at most a retransmission's time.
        if found.duration == INFINITE:
            self.ends_at = NEVER
            self.rebind_at = NEVER
            self.renew_at = NEVER
        else:
            duration = max(found.duration, u32(LEAST_LEASE))
            rebinding = found.rebinding if found.rebinding < duration else u32(0)
            if rebinding == 0:
                rebinding = duration - duration // 8
            renewal = found.renewal if found.renewal < rebinding else u32(0)
            if renewal == 0:
                renewal = rebinding // 7 * 4
            self.ends_at = now + u64(duration) * SECOND
            self.rebind_at = now + u64(rebinding) * SECOND
            self.renew_at = now + u64(renewal) * SECOND
        self.deadline = self.renew_at

    def timer(self, now: u64) -> None:
        """The deadline has come."""
        if now < self.deadline:
            return
        match self.state:
            case State.INIT:
                self.tries = 0
                self.began = now
                self.transaction = u32.wrap(random_u64())
                self.discover(now)
            case State.SELECTING:
                self.say(DISCOVER, now)
            case State.REQUESTING:
                if self.tries < REQUESTS:
                    self.say(REQUEST, now)
                else:
                    self.begin_again(now, 0)
            case State.REBOOTING:
                if now >= self.ends_at:
                    self.event = Event.LOST
                    self.begin_again(now, 0)
                elif self.tries < REQUESTS:
                    self.say(REQUEST, now)
                else:  # nobody objects: the lease holds (RFC 2131 3.2 step 5)
                    self.state = State.BOUND
                    self.event = Event.BOUND
                    self.deadline = max(self.renew_at, now)
            case State.BOUND | State.RENEWING | State.REBINDING:
                self.prolong(now)
            case State.STOPPED:
                self.deadline = NEVER

    def prolong(self, now: u64) -> None:
        """Ask who granted the lease, later anybody, for more time; at its end, give it up (RFC 2131 4.4.5)."""
        if now >= self.ends_at:
            self.event = Event.LOST
            self.begin_again(now, 0)
            return
        if self.state == State.BOUND:
            self.began = now
            self.transaction = u32.wrap(random_u64())
        limit = self.rebind_at
        self.state = State.RENEWING
        if now >= self.rebind_at:
            self.state = State.REBINDING
            limit = self.ends_at
        self.say(REQUEST, now)
        half = max((limit - now) // 2, u64(LEAST_RENEWAL_WAIT))
        self.deadline = min(now + half, limit)
