"""The DHCPv6 client's machine: it is handed the time and messages, and says what to send and what holds (RFC 8415
18.2).

A router that manages addresses has it ask for one (IA_NA), and one that only knows more has it ask for that. After each
call, `sending` says what kind of message wants to go out (0: none), `event` what has happened to the lease. Who runs it
takes both, and comes back at `deadline`.
"""

from goanna.kernel.memory.placement import random_u64
from goanna.kernel.net.config.dhcp import Event
from goanna.kernel.net.config.dhcp6_message import (
    ADVERTISE,
    ASK,
    INFINITE,
    NO_BINDING,
    REBIND,
    RENEW,
    REPLY,
    REQUEST,
    SOLICIT,
    SUCCESS,
    UNSPECIFIED_FAILURE,
    Lease6,
    parse6,
)
from goanna.kernel.net.network import SECOND
from goanna.kernel.time.timer import NEVER
from goanna.metal import Slice, copy, enumeration, struct, u8, u16, u32, u64

__all__ = ["Client6", "State6"]

# RFC 8415 7.6: what the first message waits for its answer, the most that one waits, and how many there are.
FIRST_WAIT, LATER_FIRST_WAIT = SECOND, 10 * SECOND
LONGEST_WAIT, LONGEST_REQUEST_WAIT, LONGEST_RENEWAL_WAIT = 3600 * SECOND, 30 * SECOND, 600 * SECOND
REQUESTS = 10
REFRESH, LEAST_REFRESH = 86400, 600  # seconds (21.23)
AT_ONCE = 255  # the preference of a server that is not to be compared


@enumeration(u8)
class State6:
    """What it waits for."""

    STOPPED = 0
    SOLICITING = 1
    REQUESTING = 2
    BOUND = 3
    RENEWING = 4
    REBINDING = 5
    ASKING = 6  # without an address
    INFORMED = 7


@struct
class Client6:
    """One interface's client. Zeroed memory with a link address is one that is stopped."""

    state: State6
    event: Event
    mac: u64
    transaction: u32
    began: u64  # ns: when this exchange did
    deadline: u64
    wait: u64  # ns: of the last message
    tries: u32
    lease: Lease6  # in force from BOUND to REBINDING, and in INFORMED
    offer: Lease6  # the best so far
    renew_at: u64
    rebind_at: u64
    ends_at: u64
    sending: u8

    def start(self, managed: bool, now: u64) -> None:
        """A router says that there is a server, for addresses if `managed`. Nothing new to who asks already."""
        asks = self.state in (State6.ASKING, State6.INFORMED)
        if self.state == State6.STOPPED or (managed and asks):
            self.begin(State6.SOLICITING if managed else State6.ASKING, now, now + random_u64() % SECOND)

    def stop(self) -> None:
        """The link was lost: wait for start()."""
        self.state = State6.STOPPED
        self.deadline = NEVER

    def begin(self, state: State6, now: u64, at: u64) -> None:
        """Begin an exchange, whose first message goes out at a time."""
        self.state = state
        self.transaction = u32(random_u64() & 0xFF_FFFF)
        self.began = at
        self.deadline = at
        self.tries = 0
        if state == State6.SOLICITING:
            self.offer.address.set(0, 0)
        if at <= now:
            self.timer(now)

    def kind(self) -> u8:
        """The kind of message that the state sends."""
        match self.state:
            case State6.SOLICITING:
                return SOLICIT
            case State6.REQUESTING:
                return REQUEST
            case State6.RENEWING:
                return RENEW
            case State6.REBINDING:
                return REBIND
            case _:
                return ASK

    def say(self, now: u64) -> None:
        """Send a message, and set the time to say it again: twice as long each time, a tenth off by chance (15)."""
        later = self.state in (State6.RENEWING, State6.REBINDING)
        limit: u64 = LONGEST_WAIT
        if self.state == State6.REQUESTING:
            limit = LONGEST_REQUEST_WAIT
        elif later:
            limit = LONGEST_RENEWAL_WAIT
        if self.tries == 0:
            self.wait = LATER_FIRST_WAIT if later else FIRST_WAIT
        else:
            self.wait = min(self.wait * 2, limit)
        chance = random_u64() % (self.wait // 10)
        if not (self.state == State6.SOLICITING and self.tries == 0) and random_u64() & 1 != 0:
            self.wait -= chance
        else:  # who offers is heard for a whole second (18.2.1)
            self.wait += chance
        self.tries += 1
        self.sending = self.kind()
        self.deadline = now + self.wait
        if self.state == State6.RENEWING:
            self.deadline = min(self.deadline, self.rebind_at)
        elif self.state == State6.REBINDING:
            self.deadline = min(self.deadline, self.ends_at)

    def elapsed(self, now: u64) -> u16:
        """How long the exchange takes, in hundredths of a second (21.9)."""
        return u16(min((now - self.began) // (SECOND // 100), u64(0xFFFF)))

    def wanted(self) -> Lease6:
        """The lease that a message is about."""
        return self.offer if self.state == State6.REQUESTING else self.lease

    def input(self, data: Slice[u8], now: u64) -> None:
        """A message came."""
        found = Lease6()
        if not parse6(data, self.transaction, self.mac, found):
            return
        if self.state == State6.SOLICITING:
            self.offered(found, now)
        elif self.state == State6.ASKING and found.kind == REPLY:
            copy(self.lease, found)
            self.lease.address.set(0, 0)
            self.state = State6.INFORMED
            self.event = Event.BOUND
            seconds = found.refresh if found.refresh != 0 else u32(REFRESH)
            self.deadline = NEVER if seconds == INFINITE else now + u64(max(seconds, u32(LEAST_REFRESH))) * SECOND
        elif self.state in (State6.REQUESTING, State6.RENEWING, State6.REBINDING) and found.kind == REPLY:
            self.answered(found, now)

    def offered(self, found: Lease6, now: u64) -> None:
        """A server offers an address: the best of the first second's is taken (18.2.9)."""
        if found.kind != ADVERTISE or found.status != SUCCESS or found.address.unspecified() or self.tries == 0:
            return
        if self.offer.address.unspecified() or found.preference > self.offer.preference:
            copy(self.offer, found)
        if found.preference == AT_ONCE or self.tries > 1:
            self.begin(State6.REQUESTING, now, now)

    def answered(self, found: Lease6, now: u64) -> None:
        """A server answers who wants an address (18.2.10)."""
        if found.status == UNSPECIFIED_FAILURE:
            return  # it is asked again
        if found.status == NO_BINDING and self.state != State6.REQUESTING:
            copy(self.offer, self.lease)
            self.offer.server_length = found.server_length
            self.offer.server[:] = found.server[:]
            self.begin(State6.REQUESTING, now, now)
            return
        if found.status != SUCCESS or found.address.unspecified():
            if self.state != State6.REQUESTING:
                self.event = Event.LOST
            self.begin(State6.SOLICITING, now, now + SECOND)
            return
        copy(self.lease, found)
        self.state = State6.BOUND
        self.event = Event.BOUND
        self.renew_at = NEVER
        self.rebind_at = NEVER
        self.ends_at = NEVER
        if found.valid != INFINITE:
            preferred = min(found.preferred, found.valid)
            rebinding = found.rebinding
            if rebinding == 0 or rebinding > found.valid:
                rebinding = max(preferred // 5 * 4, u32(1))
            renewal = found.renewal
            if renewal == 0 or renewal > rebinding:
                renewal = max(min(preferred // 2, rebinding), u32(1))
            self.ends_at = now + u64(found.valid) * SECOND
            self.rebind_at = now + u64(rebinding) * SECOND
            self.renew_at = now + u64(renewal) * SECOND
        self.deadline = self.renew_at

    def timer(self, now: u64) -> None:
        """The deadline has come."""
        if now < self.deadline:
            return
        match self.state:
            case State6.STOPPED:
                self.deadline = NEVER
            case State6.SOLICITING:
                if self.tries != 0 and not self.offer.address.unspecified():
                    self.begin(State6.REQUESTING, now, now)
                else:
                    self.say(now)
            case State6.REQUESTING:
                if self.tries < REQUESTS:
                    self.say(now)
                else:
                    if not self.lease.address.unspecified():
                        self.event = Event.LOST
                    self.begin(State6.SOLICITING, now, now)
            case State6.BOUND:
                self.begin(State6.RENEWING, now, now)
            case State6.RENEWING:
                if now >= self.rebind_at:
                    self.begin(State6.REBINDING, now, now)
                else:
                    self.say(now)
            case State6.REBINDING:
                if now >= self.ends_at:
                    self.event = Event.LOST
                    self.begin(State6.SOLICITING, now, now)
                else:
                    self.say(now)
            case State6.ASKING:
                self.say(now)
            case State6.INFORMED:
                self.begin(State6.ASKING, now, now)
