"""poll, ppoll, select and pselect6 (Linux fs/select.c)."""

from goanna.kernel.base.errno import (
    EBADF,
    EFAULT,
    EINVAL,
    ENOMEM,
    ERESTART_RESTARTBLOCK,
    ERESTARTNOHAND,
)
from goanna.kernel.file.deadline import (
    deadline_of_milliseconds,
    deadline_of_timespec,
    deadline_of_timeval,
    put_remaining,
)
from goanna.kernel.file.descriptors import descriptor_limit, files
from goanna.kernel.file.flags import (
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLNVAL,
    POLLOUT,
    POLLPRI,
    POLLRDBAND,
    POLLRDNORM,
    POLLWRBAND,
    POLLWRNORM,
)
from goanna.kernel.file.poll_set import PollSet
from goanna.kernel.file.signal_mask import begin_temporary_mask, end_temporary_mask
from goanna.kernel.memory import user
from goanna.kernel.thread.current import current
from goanna.kernel.thread.thread import RestartBlock
from goanna.metal import Array, count_trailing_zeros, i32, i64, metal, sizeof, struct, u16, u32, u64


@struct
class PollRequest:
    """struct pollfd."""

    descriptor: i32
    events: u16
    result: u16


# What makes a descriptor ready for each of select's three sets, and what is asked for it.
SELECT_READ = POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR | POLLNVAL
SELECT_WRITE = POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR | POLLNVAL
SELECT_EXCEPT = POLLPRI | POLLNVAL
WORD = 64  # descriptors of one word of an fd_set


@metal
def poll(address: u64, count: u32, deadline: u64) -> i64:
    """How many of the requests at `address` have something to say, 0 at the deadline; -EINTR means a signal."""
    if u64(count) > descriptor_limit():
        return -EINVAL
    poll_set = PollSet()
    result = read_requests(poll_set, address, count)
    if result == 0:
        poll_set.open()
        ready, interrupted = poll_set.wait(deadline)
        result = write_results(poll_set, address)
        if result == 0:
            result = -ERESTARTNOHAND if interrupted else i64(ready)
    poll_set.release()
    return result


@metal
def read_requests(poll_set: PollSet, address: u64, count: u32) -> i64:
    """Fill the set from struct pollfds."""
    request = PollRequest()
    for index in range(count):
        if user.get_struct(request, address + u64(index) * sizeof(PollRequest)) < 0:
            return -EFAULT
        if not poll_set.add(request.descriptor, u32(request.events) | POLLERR | POLLHUP):
            return -ENOMEM
    return 0


@metal
def write_results(poll_set: PollSet, address: u64) -> i64:
    """Tell the program what was found: revents of every request."""
    page = poll_set.first
    place = address
    while page is not None:
        for index in range(page.count):
            if user.put(place + 6, u16(page.entries[index].result)) < 0:
                return -EFAULT
            place += sizeof(PollRequest)
        page = page.next
    return 0


@metal
def sys_poll(address: u64, count: u32, timeout: i32) -> i64:
    """poll(2): goes on with the time that is left after a signal without a handler."""
    deadline = deadline_of_milliseconds(timeout)
    result = poll(address, count, deadline)
    if result == -ERESTARTNOHAND:
        restart = current().restart
        restart.call = restart_poll
        restart.address = address
        restart.value = u64(count)
        restart.deadline = deadline
        return -ERESTART_RESTARTBLOCK
    return result


@metal
def restart_poll(restart: RestartBlock) -> i64:
    """poll, gone on with."""
    result = poll(restart.address, u32(restart.value), restart.deadline)
    return -ERESTART_RESTARTBLOCK if result == -ERESTARTNOHAND else result


@metal
def sys_ppoll(address: u64, count: u32, timeout: u64, mask: u64, mask_size: u64) -> i64:
    """ppoll(2). The timeout is told what is left of it."""
    deadline, error = deadline_of_timespec(timeout)
    if error < 0:
        return error
    if mask != 0:
        error = begin_temporary_mask(mask, mask_size)
        if error < 0:
            return error
    result = poll(address, count, deadline)
    if mask != 0:
        end_temporary_mask(result == -ERESTARTNOHAND)
    put_remaining(timeout, deadline, False)
    return result


@struct
class SelectSets:
    """The user addresses of select's three sets."""

    sets: Array[u64, 3]

    def word(self, which: u64, index: u64) -> tuple[u64, i64]:
        """A word of one set, and an error."""
        if self.sets[which] == 0:
            return 0, 0
        return user.get(u64, self.sets[which] + index * 8)

    def put_word(self, which: u64, index: u64, value: u64) -> i64:
        """Write a word of one set."""
        return 0 if self.sets[which] == 0 else user.put(self.sets[which] + index * 8, value)

    def clear(self, count: u64) -> i64:
        """Empty all three."""
        for index in range(words(count)):
            for which in range(u64(0), u64(3)):
                if self.put_word(which, index, 0) < 0:
                    return -EFAULT
        return 0


@struct
class SignalMask:
    """What pselect6's sixth argument points to: where a sigset lies and how large it is."""

    address: u64
    size: u64


@metal
def words(count: u64) -> u64:
    """How many words hold `count` descriptors."""
    return (count + WORD - 1) // WORD


@metal
def read_sets(poll_set: PollSet, sets: SelectSets, count: u64) -> i64:
    """Fill the poll set from the bits of the three sets."""
    for index in range(words(count)):
        reads, error = sets.word(0, index)
        writes, error2 = sets.word(1, index)
        exceptions, error3 = sets.word(2, index)
        if error < 0 or error2 < 0 or error3 < 0:
            return -EFAULT
        any_of = reads | writes | exceptions
        while any_of != 0:
            bit = count_trailing_zeros(any_of)
            any_of &= any_of - 1
            number = index * WORD + bit
            if number >= count:
                break
            events: u32 = 0
            if (reads >> bit) & 1 != 0:
                events |= SELECT_READ
            if (writes >> bit) & 1 != 0:
                events |= SELECT_WRITE
            if (exceptions >> bit) & 1 != 0:
                events |= SELECT_EXCEPT
            if not poll_set.add(i32(number), events):
                return -ENOMEM
    return 0


@metal
def write_sets(poll_set: PollSet, sets: SelectSets, count: u64) -> i64:
    """Write the three sets back with what was found: how many bits are set in them."""
    total: i64 = 0
    page = poll_set.first
    place: u64 = 0
    for index in range(words(count)):
        reads: u64 = 0
        writes: u64 = 0
        exceptions: u64 = 0
        while page is not None:
            if place == page.count:
                page = page.next
                place = 0
                continue
            entry = page.entries[place]
            number = u64(entry.descriptor)
            if number // WORD != index:
                break
            bit = u64(1) << (number % WORD)
            found = entry.result & entry.events
            if (entry.events & POLLIN) != 0 and (found & SELECT_READ) != 0:
                reads |= bit
                total += 1
            if (entry.events & POLLOUT) != 0 and (found & SELECT_WRITE) != 0:
                writes |= bit
                total += 1
            if (entry.events & POLLPRI) != 0 and (found & SELECT_EXCEPT) != 0:
                exceptions |= bit
                total += 1
            place += 1
        if (
            sets.put_word(0, index, reads) < 0
            or sets.put_word(1, index, writes) < 0
            or sets.put_word(2, index, exceptions) < 0
        ):
            return -EFAULT
    return total


@metal
def select(count: i32, sets: SelectSets, deadline: u64) -> i64:
    """How many bits stay set, 0 at the deadline, -ERESTARTNOHAND for a signal; -EBADF for a descriptor not open."""
    if count < 0:
        return -EINVAL
    number = min(u64(count), files().blocks() * WORD)
    poll_set = PollSet()
    result = read_sets(poll_set, sets, number)
    if result == 0:
        if not poll_set.open():
            result = -EBADF
        else:
            ready, interrupted = poll_set.wait(deadline)
            if interrupted:
                result = -ERESTARTNOHAND
            elif ready == 0:
                result = sets.clear(number)
            else:
                result = write_sets(poll_set, sets, number)
    poll_set.release()
    return result


@metal
def sys_select(count: i32, reads: u64, writes: u64, exceptions: u64, timeout: u64) -> i64:
    """select(2)."""
    deadline, error = deadline_of_timeval(timeout)
    if error < 0:
        return error
    sets = SelectSets()
    sets.sets[0] = reads
    sets.sets[1] = writes
    sets.sets[2] = exceptions
    result = select(count, sets, deadline)
    put_remaining(timeout, deadline, True)
    return result


@metal
def sys_pselect6(count: i32, reads: u64, writes: u64, exceptions: u64, timeout: u64, mask: u64) -> i64:
    """pselect6(2). `mask` points to the address and size of a sigset."""
    deadline, error = deadline_of_timespec(timeout)
    if error < 0:
        return error
    mask_address: u64 = 0
    mask_size: u64 = 0
    if mask != 0:
        pair = SignalMask()
        if user.get_struct(pair, mask) < 0:
            return -EFAULT
        mask_address = pair.address
        mask_size = pair.size
    if mask_address != 0:
        error = begin_temporary_mask(mask_address, mask_size)
        if error < 0:
            return error
    sets = SelectSets()
    sets.sets[0] = reads
    sets.sets[1] = writes
    sets.sets[2] = exceptions
    result = select(count, sets, deadline)
    if mask_address != 0:
        end_temporary_mask(result == -ERESTARTNOHAND)
    put_remaining(timeout, deadline, False)
    return result
