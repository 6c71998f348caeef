"""The end of a turn: what was sent to ourselves is taken in, and devices are shown what they are to send.

A turn is a stretch of work that does not sleep: a piece of a system call, a device's interrupt, a timer. Whoever may
have sent something calls `end_turn` when all locks are released, before it sleeps, touches user memory or returns.
One kernel timer for all parts of the network that have none of their own is kept here, too.
"""

from goanna.kernel.arch import now, processor_index
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.net.claim import claim_timer, next_claim
from goanna.kernel.net.interface import Interface, flushes, interface_by_index, interfaces
from goanna.kernel.net.ip_input import reassembly_timer, receive_looped
from goanna.kernel.net.loopback import has_looped
from goanna.kernel.net.membership import membership_deadline, membership_timer
from goanna.kernel.net.neighbour import neighbour_deadline, neighbour_timer
from goanna.kernel.net.network import look_at, look_by
from goanna.kernel.net.reassembly import reassembly_deadline
from goanna.kernel.net.tcp.listener import half_open_deadline, half_open_timer
from goanna.kernel.net.tcp.time_wait import time_wait_deadline, time_wait_timer
from goanna.kernel.time.timer import NEVER, Timer, timer_start
from goanna.metal import Ptr, count_trailing_zeros, metal, static, u32, u64, unlikely

__all__ = ["end_turn"]

AT_ONCE = 64  # packets between two looks at the clock

timer_lock = static(SpinLock)  # protects both below
timer = static(Timer)
armed = static(u64, NEVER)  # when it will fire


@metal
def end_turn() -> None:
    """End this processor's turn. No lock is held; interrupts are off."""
    while has_looped():
        receive_looped(now(), AT_ONCE)
    here = flushes[u64(processor_index())]
    while unlikely(here.interfaces != 0):
        index = count_trailing_zeros(here.interfaces)
        here.interfaces &= here.interfaces - 1
        interface: Ptr[Interface] = interface_by_index(u32(index) + 1)
        if interface is not None and interface.flush is not None:
            interface.flush(interface)
    if unlikely(look_at.load() < armed):
        arm()


@metal
def arm() -> None:
    """Have the timer fire when somebody wants to be looked at."""
    global armed
    with timer_lock:
        wanted = look_at.load()
        if wanted < armed:
            armed = wanted
            timer.callback = keep_house
            timer_start(timer, wanted)


@metal
def keep_house(fired: Ptr[Timer]) -> None:
    """Do what is due in the parts that have no timer of their own."""
    global armed
    with timer_lock:
        armed = NEVER
    look_at.store(NEVER)
    time = now()
    for interface in interfaces:
        if interface is not None:
            claim_timer(interface, time)
    if neighbour_deadline() <= time:
        neighbour_timer(time)
    if reassembly_deadline() <= time:
        reassembly_timer(time)
    if membership_deadline() <= time:
        membership_timer(time)
    half_open_timer(time)
    time_wait_timer(time)
    look_by(min(next_claim(), neighbour_deadline(), reassembly_deadline(), half_open_deadline(), time_wait_deadline()))
    look_by(membership_deadline())
    end_turn()
