"""signalfd: signals read as records from a descriptor (signalfd(2), Linux fs/signalfd.c).

It takes what is pending for whoever reads it, as sigwaitinfo does; the signals are to be blocked.
"""

from goanna.kernel.base.errno import EAGAIN, EBADF, EFAULT, EINVAL, ENOMEM, ERESTARTSYS
from goanna.kernel.file.anonymous import anonymous_attributes, seek_nowhere
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.descriptors import add_descriptor, get_open_file
from goanna.kernel.file.flags import O_CLOEXEC, O_NONBLOCK, O_RDWR, POLLIN
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.file.watch import Watchers
from goanna.kernel.memory import user
from goanna.kernel.signal.arrivals import (
    arrival_count,
    arrival_readers,
    arrival_watchers,
    arrivals_lock,
    listeners,
)
from goanna.kernel.signal.info import Information
from goanna.kernel.signal.numbers import SI_TIMER, SIGCHLD, SIGSET_SIZE, SYNCHRONOUS, UNBLOCKABLE
from goanna.kernel.signal.state import mask_of
from goanna.kernel.signal.take import take
from goanna.kernel.thread.current import current
from goanna.kernel.thread.wait import Wake
from goanna.kernel.time.timer import NEVER
from goanna.metal import Array, Ptr, constant, i32, i64, metal, sizeof, struct, u8, u32, u64, unsafe

__all__ = ["SIGNALS_FILE", "sys_signalfd", "sys_signalfd4"]


@struct
class Record:
    """struct signalfd_siginfo."""

    number: u32
    error: i32
    code: i32
    process: u32
    user: u32
    descriptor: i32
    timer: u32
    band: u32
    overrun: u32
    trap: u32
    status: i32
    integer: i32
    pointer: u64
    user_time: u64
    system_time: u64
    address: u64
    address_unit: u32
    call: i32
    call_address: u64
    architecture: u32
    padding: Array[u8, 28]


assert sizeof(Record) == 128


@metal
def wanted_by(description: Description) -> u64:
    """The signals that a descriptor gives, as a mask."""
    return description.object


@metal
def fill_record(record: Record, taken: Information) -> None:
    """Write what is known of a signal (signalfd_copyinfo)."""
    number = u32(taken.number)
    record.number = number
    record.error = taken.error
    record.code = taken.code
    if taken.code == SI_TIMER:
        record.timer = u32.wrap(taken.details.expiry.timer)
        record.overrun = u32.wrap(taken.details.expiry.overrun)
        record.pointer = taken.details.expiry.value
        record.integer = i32.wrap(taken.details.expiry.value)
    elif number == SIGCHLD and taken.code > 0:
        record.process = u32.wrap(taken.details.child.process)
        record.user = taken.details.child.user
        record.status = taken.details.child.status
        record.user_time = u64.wrap(taken.details.child.user_time)
        record.system_time = u64.wrap(taken.details.child.system_time)
    elif taken.code > 0 and (mask_of(number) & SYNCHRONOUS) != 0:
        record.address = taken.details.fault.address
    else:
        record.process = u32.wrap(taken.details.sender.process)
        record.user = taken.details.sender.user
        if taken.code < 0:
            record.pointer = taken.details.sender.value
            record.integer = i32.wrap(taken.details.sender.value)


@metal
def take_wanted(wanted: u64, taken: Information) -> u32:
    """Take a pending signal of the running thread or process: its number, or 0."""
    thread = current()
    shared = thread.process.signals
    with shared.lock:
        return take(shared, thread.signals, ~wanted, taken)


@metal
def read_signals(description: Description, transfer: Transfer) -> i64:
    """Wait for a signal, then give as many records as there are signals and room."""
    if transfer.left < sizeof(Record):
        return -EINVAL
    done: i64 = 0
    while transfer.left >= sizeof(Record):
        taken = Information()
        waits = done == 0 and not description.nonblocking() and not transfer.nonblocking
        number, error = wait_wanted(description, taken, waits)
        if number == 0:
            return done if done != 0 else error
        record = Record()
        fill_record(record, taken)
        if transfer.put(unsafe.slice(u8, unsafe.address(record), sizeof(Record))) != sizeof(Record):
            return done if done != 0 else -EFAULT
        done += sizeof(Record)
    return done


@metal
def wait_wanted(description: Description, taken: Information, waits: bool) -> tuple[u32, i64]:
    """Take a signal, waiting for one if need be: its number, or 0 and -EAGAIN or -ERESTARTSYS."""
    while True:
        seen: u64 = 0
        with arrivals_lock:
            seen = arrival_count
        number = take_wanted(wanted_by(description), taken)
        if number != 0:
            return number, 0
        if not waits:
            return 0, -EAGAIN
        with arrivals_lock:
            while arrival_count == seen:
                if arrival_readers.wait(arrivals_lock, NEVER, True) == Wake.SIGNAL:
                    return 0, -ERESTARTSYS


@metal
def poll_signals(description: Description) -> u32:
    """Readable if the running thread or process has a signal pending that it gives."""
    thread = current()
    shared = thread.process.signals
    with shared.lock:
        pending = thread.signals.pending.set | shared.pending.set
        return POLLIN if (pending & wanted_by(description)) != 0 else 0


@metal
def signal_watchers(description: Description) -> Ptr[Watchers]:
    """Who waits for signals."""
    return arrival_watchers


@metal
def release_signals(description: Description) -> None:
    """The last reference is gone."""
    listeners.sub(1)


SIGNALS_FILE = constant(
    Operations,
    {
        "label": b"anon_inode:[signalfd]",
        "read": read_signals,
        "poll": poll_signals,
        "watchers": signal_watchers,
        "seek": seek_nowhere,
        "attributes": anonymous_attributes,
        "release": release_signals,
    },
)


@metal
def sys_signalfd4(descriptor: i32, address: u64, size: u64, options: u32) -> i64:
    """signalfd4(2): a new descriptor, or other signals for one that is there."""
    if size != SIGSET_SIZE:
        return -EINVAL
    mask, error = user.get(u64, address)
    if error < 0:
        return -EFAULT
    if (options & ~(O_CLOEXEC | O_NONBLOCK)) != 0:
        return -EINVAL
    wanted = mask & ~u64(UNBLOCKABLE)
    if descriptor != -1:
        return change_wanted(descriptor, wanted)
    description = create(SIGNALS_FILE, O_RDWR | (options & O_NONBLOCK), wanted)
    if description is None:
        return -ENOMEM
    listeners.add(1)
    return add_descriptor(description, (options & O_CLOEXEC) != 0)


@metal
def change_wanted(descriptor: i32, wanted: u64) -> i64:
    """Let a descriptor give other signals. -EBADF, -EINVAL."""
    description = get_open_file(descriptor)
    if description is None:
        return -EBADF
    operations: Ptr[Operations] = SIGNALS_FILE
    result: i64 = -EINVAL
    if description.operations is operations:
        description.object = wanted
        result = i64(descriptor)
    description.drop()
    return result


@metal
def sys_signalfd(descriptor: i32, address: u64, size: u64) -> i64:
    """signalfd(2), the old form without flags."""
    return sys_signalfd4(descriptor, address, size, 0)
