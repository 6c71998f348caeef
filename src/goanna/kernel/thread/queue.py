"""Run queues: the threads that could run on each processor, and where a woken one is put.

A queue is ordered by virtual runtime: the time a thread has run, weighted by its nice value, so that all who want to
run get equal shares. Until its registers are saved (`on_processor`) a thread is queued only where it ran, and not
stolen.
"""

from goanna.kernel.arch import MAXIMUM_PROCESSORS, now, processor_count, processor_index, raise_work, send_reschedule
from goanna.kernel.base.heap import Heap
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.thread.thread import Thread, ThreadState
from goanna.kernel.time.timer import Timer, timer_pending, timer_start
from goanna.metal import (
    RELAXED,
    Array,
    Atomic,
    Ptr,
    constant,
    count_trailing_zeros,
    likely,
    metal,
    pointer,
    static,
    struct,
    u32,
    u64,
    unsafe,
)

__all__ = [
    "EXPIRED",
    "LOOK",
    "NICE_WEIGHTS",
    "SLICE",
    "RunQueue",
    "allowed",
    "guard_slice",
    "idle_processors",
    "kick_idle",
    "make_ready",
    "move_allowed",
    "queue_here",
    "queue_of",
    "start_slices",
    "steal",
    "weighted",
]

LOOK = 1  # raise_work: look at what there is to do before the program goes on

EXPIRED = 4  # Thread.waiting: its time is up (scheduler.py has the others)

SLICE = 4_000_000  # nanoseconds that a thread runs while others wait
CREDIT = 3_000_000  # nanoseconds of virtual runtime by which a woken thread comes before those that ran meanwhile
DEBT = 5 * SLICE  # ... and by which one that ran more elsewhere comes after them, at most
GRANULARITY = 500_000  # a woken thread ends the running one's slice if it is behind by more than this ...
LEAST = 500_000  # ... once that one has run for so long: who waits for moments doesn't cost others their processor
LEAST_TIMED = 2_800_000  # ... or so long, if it slept for a time only: Linux's slice on eight processors and more

# How much processor time a thread gets at each nice value, -20 to 19. Linux kernel/sched/core.c sched_prio_to_weight.
NICE_WEIGHTS = [
    88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916,
    9548, 7620, 6100, 4904, 3906, 3121, 2501, 1991, 1586, 1277,
    1024, 820, 655, 526, 423, 335, 272, 215, 172, 137,
    110, 87, 70, 56, 45, 36, 29, 23, 18, 15,
]  # fmt: skip
IDLE_POLICY_WEIGHT = 3  # SCHED_IDLE
SCHED_IDLE = 5
_weights = constant(Array[u64, 40], NICE_WEIGHTS)

ReadyHeap = Heap(Thread, "run_node", "virtual_runtime")


@struct(align=64)
class RunQueue:
    """What one processor runs and could run."""

    lock: SpinLock  # protects `ready`, `least`, `running`, and in Thread what says so
    ready: ReadyHeap
    count: Atomic[u32]  # threads in `ready`
    least: u64  # virtual runtime of the thread that was chosen last; never decreases
    running: Ptr[Thread]  # None while the processor idles
    wanted: Atomic[bool]  # the running thread should give way on its way to user mode
    early: Atomic[u64]  # when it should, if before the end of its slice: it hasn't run for long yet; 0: it isn't so
    slice: Timer  # ends a slice; armed only while a thread waits; this processor arms it
    tick: Timer  # looks who runs, see tick.py; this processor arms it
    ticks: Array[Atomic[u64], 3]  # how often it met a program, one with a nice value above 0, the kernel
    idle: Atomic[u64]  # nanoseconds the processor had nothing to run, up to when it began to run what it runs
    idle_since: Atomic[u64]  # while `running` is None
    switches: Atomic[u64]  # threads that began to run

    def insert(self, thread: Thread) -> None:
        """Queue a thread. The lock is held."""
        thread.state = ThreadState.READY
        self.ready.insert(thread)
        self.count.store(self.count.load() + 1)

    def settle(self, thread: Thread) -> None:
        """Bound how far a thread that joins is behind or ahead of those here. The lock is held."""
        least = self.least - min(self.least, u64(CREDIT))
        thread.virtual_runtime = min(max(thread.virtual_runtime, least), self.least + DEBT)

    def take(self, thread: Thread) -> None:
        """Take a queued thread out. The lock is held."""
        self.ready.remove(thread)
        self.count.store(self.count.load() - 1)

    def choose(self) -> Ptr[Thread]:
        """Take the thread out that should run next, or None. The lock is held."""
        thread = self.ready.first()
        if thread is not None:
            self.take(thread)
            self.least = max(self.least, thread.virtual_runtime)
        return thread

    def outdone_by(self, thread: Thread) -> bool:
        """Whether a queued thread should run at once instead of the running one. The lock is held."""
        running = self.running
        if running is None:
            return True
        time = now()
        ran = time - min(running.charged, time)
        return thread.virtual_runtime + GRANULARITY < running.virtual_runtime + weighted(running, ran)


_queues = static(Array[RunQueue, MAXIMUM_PROCESSORS])
idle_processors = static(Atomic[u64])  # mask of those that halt, or are about to


@metal
def queue_of(processor: u32) -> RunQueue:
    """The run queue of a processor."""
    return _queues[u64(processor)]


@metal
def queue_here() -> RunQueue:
    """This processor's run queue."""
    return unsafe.index(_queues, u64(processor_index()))


@metal
def weighted(thread: Thread, nanoseconds: u64) -> u64:
    """Run time as virtual runtime: more for those who are to get less."""
    if likely(thread.nice == 0 and thread.policy != SCHED_IDLE):
        return nanoseconds
    weight: u64 = IDLE_POLICY_WEIGHT if thread.policy == SCHED_IDLE else _weights[u64(thread.nice + 20)]
    return min(nanoseconds, u64(1) << 50) * 1024 // weight


@metal
def allowed(thread: Thread, processor: u32) -> bool:
    """Whether a thread's affinity includes a processor. A mask without any that runs counts as all."""
    online = (u64(1) << u64(processor_count())) - 1
    mask = thread.affinity.load() & online
    return mask == 0 or mask >> u64(processor) & 1 != 0


@metal
def place(thread: Thread) -> u32:
    """Where a thread that is in no queue should be queued."""
    last = thread.processor
    if thread.on_processor.load():
        return last
    if allowed(thread, last):
        if _queues[u64(last)].running is None:
            return last
        idle = idle_processors.load()
        while idle != 0:
            other = u32(count_trailing_zeros(idle))
            if allowed(thread, other):
                return other
            idle &= idle - 1
        return last
    for other in range(processor_count()):
        if allowed(thread, other) and _queues[u64(other)].running is None:
            return other
    for other in range(processor_count()):
        if allowed(thread, other):
            return other
    return last


@metal
def make_ready(thread: Thread) -> None:
    """Queue a thread that was claimed, or is new, and see to it that it runs. No run queue's lock is held."""
    several = processor_count() > 1
    target = place(thread) if several else u32(0)
    queue = _queues[u64(target)]
    with queue.lock:
        thread.processor = target
        queue.settle(thread)
        queue.insert(thread)
        idle = queue.running is None
        outdone = not idle and queue.outdone_by(thread)
        least: u64 = LEAST_TIMED if thread.waiting.load(order=RELAXED) == EXPIRED else LEAST
        early: u64 = queue.running.started + least if outdone else 0
        if outdone and now() < early:
            outdone = False
            queue.early.store(early)
    if outdone:
        queue.wanted.store(True)
    if not several or target == processor_index():
        if outdone:
            raise_work(LOOK)
        if not idle:
            guard_slice(queue)
    elif idle or outdone or queue.early.load() != 0 or not timer_pending(pointer(queue.slice)):
        send_reschedule(target)
    if several and not idle:
        kick_idle(thread.affinity.load())


@metal
def guard_slice(queue: RunQueue) -> None:
    """Arm this processor's slice timer if a thread waits for it. The queue's lock is not held."""
    early = queue.early.load()
    if early != 0:
        timer_start(pointer(queue.slice), early)
    elif not timer_pending(pointer(queue.slice)):
        timer_start(pointer(queue.slice), now() + SLICE)


@metal
def slice_ended(timer: Ptr[Timer]) -> None:
    """The slice timer: have the running thread give way if it has had its slice, or come again when it will have."""
    queue = unsafe.container(RunQueue, "slice", timer)
    with queue.lock:
        running = queue.running
        if running is None or queue.count.load() == 0:
            return
        end = running.started + SLICE
    early = queue.early.exchange(0) != 0
    if end <= now() or early:
        queue.wanted.store(True)
        raise_work(LOOK)
        end = now() + SLICE
    timer_start(timer, end)
    if processor_count() > 1 and not early:
        hand_on(queue)


@metal
def hand_on(queue: RunQueue) -> None:
    """Give a waiting thread to the processor where the fewest wait, if that is fewer than here: so threads that compute
    take turns on all processors, and none shares one for ever while another has one to itself."""
    fewest = queue.count.load()
    target: u32 = MAXIMUM_PROCESSORS
    total = processor_count()
    me = processor_index()
    for step in range(u32(1), total):
        other = (me + step) % total
        count = _queues[u64(other)].count.load()
        if count < fewest:
            fewest = count
            target = other
    if target == MAXIMUM_PROCESSORS:
        return
    with queue.lock:
        thread = stealable(queue, target)
        if thread is None:
            return
        queue.take(thread)
        thread.processor = target
    make_ready(thread)


@metal
def start_slices() -> None:
    """Make this processor's queue ready for its first thread."""
    queue_here().slice.callback = slice_ended


@metal
def kick_idle(affinity: u64) -> None:
    """Wake an idle processor, if there is one in the mask, so that it looks for a thread to steal."""
    idle = idle_processors.load() & affinity
    if idle != 0:
        bit = idle & (~idle + 1)
        if idle_processors.and_(~bit) & bit != 0:
            send_reschedule(u32(count_trailing_zeros(bit)))


STEAL_LOOKS = 8  # threads of a queue that are looked at: those near its front


@metal
def steal(me: u32) -> Ptr[Thread]:
    """A thread for processor `me` from another's queue, no longer in it; None if no queue has one to give."""
    count = processor_count()
    for step in range(u32(1), count):
        queue = _queues[u64((me + step) % count)]
        if queue.count.load() != 0:
            with queue.lock:
                thread = stealable(queue, me)
                if thread is not None:
                    queue.take(thread)
                    thread.processor = me
                    return thread
    return None


@metal
def stealable(queue: RunQueue, me: u32) -> Ptr[Thread]:
    """A queued thread that may run on processor `me` now, among the first few. The queue's lock is held."""
    node = queue.ready.root
    if node is None:
        return None
    first = ReadyHeap.item_of(node)
    if not first.on_processor.load() and allowed(first, me):
        return first
    node = node.child
    for _ in range(STEAL_LOOKS):
        if node is None:
            return None
        thread = ReadyHeap.item_of(node)
        if not thread.on_processor.load() and allowed(thread, me):
            return thread
        node = node.next
    return None


@metal
def move_allowed(thread: Thread) -> None:
    """A thread's affinity has changed: have it leave a processor that it may not use any more."""
    processor = thread.processor
    if allowed(thread, processor):
        return
    queue = _queues[u64(processor)]
    moved = False
    with queue.lock:
        if thread.processor == processor and thread.run_node.linked() and not thread.on_processor.load():
            queue.take(thread)
            moved = True
        running = queue.running is thread
    if moved:
        make_ready(thread)
    elif running:
        queue.wanted.store(True)
        send_reschedule(processor)
