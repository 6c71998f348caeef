"""Sockets that travel in sockets: finds those that nobody can reach any more, and empties their queues.

A socket whose descriptor was closed while it lay in its own queue, or in that of another in the same state, would stay
for ever. It is garbage if all references to its description are letters', and all those letters are in queues of
garbage (Linux net/unix/garbage.c).
"""

from goanna.kernel.base.list import List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.description import Description
from goanna.kernel.net.socket.numbers import AF_UNIX
from goanna.kernel.net.socket.passed import Passed
from goanna.kernel.net.socket.socket import SOCKET, Socket
from goanna.kernel.net.unix.endpoint import Endpoint, of
from goanna.kernel.net.unix.letter import Letter, Letters, end_all
from goanna.metal import Ptr, metal, static, u32, u64, unsafe

Flight = List(Endpoint, "flight_link")

# Held while a letter that carries descriptors enters or leaves a queue; protects in_flight and what belongs to it.
# Taken before an endpoint's lock.
passing_lock = static(SpinLock)
flight = static(Flight)  # the sockets that are in some letter
flight_count = static(u64)
ends = static(u64)  # sockets that ended since garbage was last looked for

OUTSIDE, CANDIDATE, REACHED = 0, 1, 2  # Endpoint.mark


@metal
def endpoint_of(description: Ptr[Description]) -> Ptr[Endpoint]:
    """The Unix socket that a description is of, or None."""
    if description is None or description.operations is not SOCKET:
        return None
    socket = unsafe.at(Socket, description.object)
    if socket.family != AF_UNIX:
        return None
    return of(socket)


@metal
def departed(passed: Passed) -> None:
    """A letter with these is in a queue. With passing_lock."""
    global flight_count
    for index in range(passed.count):
        self = endpoint_of(passed.files[index])
        if self is not None:
            if self.in_flight == 0:
                flight.append(self)
                flight_count += 1
            self.in_flight += 1
            self.description = passed.files[index]


@metal
def arrived(passed: Passed) -> None:
    """A letter with these leaves its queue. With passing_lock, and before it has left."""
    global flight_count
    for index in range(passed.count):
        self = endpoint_of(passed.files[index])
        if self is not None:
            self.in_flight -= 1
            if self.in_flight == 0:
                flight.remove(self)
                flight_count -= 1


@metal
def take_passed(letter: Letter) -> Ptr[Passed]:
    """Take what a letter carries, which its reader holds in its queue; None if nothing."""
    if letter.passed is None:
        return None
    with passing_lock:
        passed = letter.passed
        arrived(passed)
        letter.passed = None
        return passed


@metal
def take_letters(self: Endpoint, into: Letters) -> None:
    """Move all letters of an endpoint to a list of the caller's."""
    with passing_lock, self.socket.lock:
        while True:
            letter = self.letters.pop()
            if letter is None:
                break
            if letter.passed is not None:
                arrived(letter.passed)
            into.append(letter)
        self.queued = 0
        self.bytes = 0


@metal
def visit(letters: Letters, reach: bool) -> None:
    """Look at the sockets that letters carry. `reach`: who is in them can be reached; else they count once less."""
    letter = letters.head()
    while letter is not None:
        if letter.passed is not None:
            for index in range(letter.passed.count):
                child = endpoint_of(letter.passed.files[index])
                if child is not None and child.mark == CANDIDATE:
                    if reach:
                        child.mark = REACHED
                    else:
                        child.counted -= 1
        letter = letters.after(letter)


@metal
def visit_queues(self: Endpoint, reach: bool) -> None:
    """The same for an endpoint's queue, and those of connections that wait for it to accept them."""
    with self.socket.lock:
        visit(self.letters, reach)
        child = self.pending.head()
        while child is not None:
            visit(child.letters, reach)
            child = self.pending.after(child)


@metal
def mark_candidates() -> None:
    """Find those that only letters refer to, and how many of these letters are elsewhere than in their queues."""
    each = flight.head()
    while each is not None:
        each.mark = CANDIDATE if each.description.references.load() == each.in_flight else u32(OUTSIDE)
        each.counted = each.in_flight
        each = flight.after(each)
    each = flight.head()
    while each is not None:
        if each.mark == CANDIDATE:
            visit_queues(each, False)
        each = flight.after(each)
    each = flight.head()
    while each is not None:
        if each.mark == CANDIDATE and each.counted != 0:
            each.mark = REACHED
        each = flight.after(each)


@metal
def spread() -> None:
    """What lies in the queue of one that can be reached can be reached."""
    again = True
    while again:
        again = False
        each = flight.head()
        while each is not None:
            if each.mark == REACHED:
                each.mark = OUTSIDE
                visit_queues(each, True)
                again = True
            each = flight.after(each)


@metal
def next_garbage(into: Letters) -> bool:
    """Empty the queue of one that can't be reached. False: there is none."""
    self: Ptr[Endpoint] = None
    with passing_lock:
        self = flight.head()
        while self is not None and (self.mark != CANDIDATE or self.letters.empty()):
            self = flight.after(self)
        if self is None:
            return False
        self.hold()
    take_letters(self, into)
    self.drop()
    return True


@metal
def collect() -> None:
    """Find and end the garbage. In a thread, with no lock held; called when a Unix socket's descriptor has gone."""
    global ends
    if flight.empty():
        return
    with passing_lock:
        ends += 1
        if ends < flight_count // 8:  # so that an end costs the same however many are in flight
            return
        ends = 0
        mark_candidates()
        spread()
    found = Letters()
    while next_garbage(found):
        pass
    end_all(found)
