"""timerfd: a timer under a descriptor, whose expiries are read and waited for.

Source: timerfd_create(2), Linux fs/timerfd.c. Two that set one timer at the same time take turns by `setting`.
"""

from goanna.kernel.arch import now
from goanna.kernel.base.errno import EAGAIN, EBADF, ECANCELED, EFAULT, EINVAL, ENOMEM, ERESTARTSYS
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.anonymous import anonymous_attributes, seek_nowhere
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.descriptors import add_descriptor, get_open_file
from goanna.kernel.file.eventfd import put_number
from goanna.kernel.file.flags import O_CLOEXEC, O_NONBLOCK, O_RDWR, POLLIN
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.file.watch import Watchers
from goanna.kernel.memory.objects import Cache
from goanna.kernel.thread.mutex import Mutex
from goanna.kernel.thread.wait import WaitQueue, Wake
from goanna.kernel.time.timer import MONOTONIC, NEVER, REAL, Timer, timer_cancel, timer_start
from goanna.kernel.time.timespec import FOREVER, get_timespec, put_timespec
from goanna.kernel.time.wall import real_time, wall_offset
from goanna.metal import Ptr, constant, i32, i64, metal, pointer, struct, u32, u64, unsafe, wrapping

CLOCK_REALTIME = 0
CLOCK_REALTIME_ALARM = 8
CLOCKS = (CLOCK_REALTIME, 1, 7, CLOCK_REALTIME_ALARM, 9)  # and monotonic, boot time, boot time with alarm
TFD_TIMER_ABSTIME = 1
TFD_TIMER_CANCEL_ON_SET = 2
SPEC = 16  # bytes of a struct timespec


@struct
class TimerFile:
    """What lies below a timerfd."""

    setting: Mutex  # held while it is set
    lock: SpinLock  # protects all below; the callback takes it
    timer: Timer
    clock: u32  # CLOCK_, as it was made
    armed: bool
    expired: bool  # the deadline has passed; an interval goes on when that is read
    cancels: bool  # setting the clock ends it
    deadline: u64  # nanoseconds on the clock of `timer`
    interval: u64  # nanoseconds; 0: once
    ticks: u64  # expiries not read yet
    offset: u64  # of the real time, when it was armed
    readers: WaitQueue
    watchers: Watchers

    def time(self) -> u64:
        """Now, on the timer's clock."""
        return real_time() if self.timer.clock == REAL else now()

    def canceled(self) -> bool:
        """Whether the clock was set since it was armed, where that matters. With the lock."""
        return self.cancels and self.offset != wall_offset()

    def catch_up(self) -> bool:
        """Count the periods that have passed since an expiry. With the lock. Whether it is to be armed again."""
        if not self.expired or self.interval == 0:
            return False
        time = self.time()
        periods = (time - min(time, self.deadline)) // self.interval
        self.ticks += periods
        self.deadline += (periods + 1) * self.interval
        self.expired = False
        return True


files = Cache(TimerFile)


@metal
def file_of(description: Description) -> TimerFile:
    """What lies below a description."""
    return unsafe.at(TimerFile, description.object)


@metal
def expire(timer: Ptr[Timer]) -> None:
    """Timer.callback."""
    file = unsafe.container(TimerFile, "timer", timer)
    with file.lock:
        file.expired = True
        file.ticks += 1
        if file.interval == 0:
            file.armed = False
        file.readers.wake_all()
    file.watchers.notify(POLLIN)


@metal
def read_timer(description: Description, transfer: Transfer) -> i64:
    """Wait for an expiry: how many there have been since the last read. -ECANCELED: the clock was set."""
    if transfer.left < 8:
        return -EINVAL
    file = file_of(description)
    count: u64 = 0
    with file.lock:
        while file.ticks == 0 and not file.canceled():
            if description.nonblocking() or transfer.nonblocking:
                return -EAGAIN
            if file.readers.wait(file.lock, NEVER, True) == Wake.SIGNAL:
                return -ERESTARTSYS
        if file.canceled():
            file.offset = wall_offset()
            file.ticks = 0
            return -ECANCELED
        if file.catch_up():
            timer_start(pointer(file.timer), file.deadline)
        count = file.ticks
        file.ticks = 0
    return put_number(transfer, count)


@metal
def poll_timer(description: Description) -> u32:
    """Readable once it has expired."""
    file = file_of(description)
    with file.lock:
        return POLLIN if file.ticks != 0 or file.canceled() else 0


@metal
def timer_watchers(description: Description) -> Ptr[Watchers]:
    """Who waits for it."""
    return file_of(description).watchers


@metal
def release_timer(description: Description) -> None:
    """The last reference is gone."""
    file = file_of(description)
    timer_cancel(pointer(file.timer))
    files.free(file)


TIMER = constant(
    Operations,
    {
        "label": b"anon_inode:[timerfd]",
        "read": read_timer,
        "poll": poll_timer,
        "watchers": timer_watchers,
        "seek": seek_nowhere,
        "attributes": anonymous_attributes,
        "release": release_timer,
    },
)


@metal
def sys_timerfd_create(clock: i32, options: u32) -> i64:
    """timerfd_create(2)."""
    if (options & ~(O_CLOEXEC | O_NONBLOCK)) != 0 or clock not in CLOCKS:
        return -EINVAL
    file = files.allocate()
    if file is None:
        return -ENOMEM
    file.clock = u32(clock)
    file.timer.callback = expire
    description = create(TIMER, O_RDWR | (options & O_NONBLOCK), unsafe.address(file))
    if description is None:
        files.free(file)
        return -ENOMEM
    return add_descriptor(description, (options & O_CLOEXEC) != 0)


@metal
def timer_description(descriptor: i32) -> tuple[Ptr[Description], i64]:
    """The description of a timerfd, with a reference. -EBADF; -EINVAL: it is something else."""
    description = get_open_file(descriptor)
    if description is None:
        return None, -EBADF
    operations: Ptr[Operations] = TIMER
    if description.operations is not operations:
        description.drop()
        return None, -EINVAL
    return description, 0


@metal
def left(file: TimerFile) -> u64:
    """Nanoseconds until the next expiry, 0 if there is none. With the lock."""
    if not file.armed:
        return 0
    time = file.time()
    return file.deadline - time if file.deadline > time else u64(1)


@metal
def arm(file: TimerFile, value: u64, interval: u64, flags: u32) -> None:
    """Set a timer that is not armed. With the lock."""
    real = file.clock in (CLOCK_REALTIME, CLOCK_REALTIME_ALARM)
    absolute = (flags & TFD_TIMER_ABSTIME) != 0
    file.timer.clock = REAL if real and absolute else MONOTONIC
    file.cancels = real and absolute and (flags & TFD_TIMER_CANCEL_ON_SET) != 0
    file.offset = wall_offset()
    file.interval = interval
    file.expired = False
    file.ticks = 0
    file.armed = value != 0
    if value != 0:
        file.deadline = value if absolute else min(now() + value, u64(FOREVER))
        timer_start(pointer(file.timer), file.deadline)


@metal
def give(address: u64, interval: u64, value: u64) -> i64:
    """Write a struct itimerspec. 0 or -EFAULT."""
    if put_timespec(address, interval) < 0 or put_timespec(wrapping(address + SPEC), value) < 0:
        return -EFAULT
    return 0


@metal
def sys_timerfd_settime(descriptor: i32, flags: u32, address: u64, old_address: u64) -> i64:
    """timerfd_settime(2)."""
    interval, error = get_timespec(address)
    value, other = get_timespec(wrapping(address + SPEC))
    if error == -EFAULT or other == -EFAULT:
        return -EFAULT
    if (flags & ~u32(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) != 0 or error < 0 or other < 0:
        return -EINVAL
    description, error = timer_description(descriptor)
    if description is None:
        return error
    file = file_of(description)
    old_interval: u64 = 0
    old_value: u64 = 0
    with file.setting:
        timer_cancel(pointer(file.timer))
        with file.lock:
            file.catch_up()
            old_interval = file.interval
            old_value = left(file)
            arm(file, value, interval, flags)
    description.drop()
    return give(old_address, old_interval, old_value) if old_address != 0 else 0


@metal
def sys_timerfd_gettime(descriptor: i32, address: u64) -> i64:
    """timerfd_gettime(2)."""
    description, error = timer_description(descriptor)
    if description is None:
        return error
    file = file_of(description)
    interval: u64 = 0
    value: u64 = 0
    with file.lock:
        if file.catch_up():
            timer_start(pointer(file.timer), file.deadline)
        interval = file.interval
        value = left(file)
    description.drop()
    return give(address, interval, value)
