"""CUBIC (RFC 9438) with appropriate byte counting in slow start (RFC 5681, RFC 3465). Windows are bytes."""

from goanna.kernel.net.network import MILLISECOND
from goanna.kernel.net.tcp.connection import INITIAL_WINDOW, Connection
from goanna.metal import metal, u32, u64

__all__ = ["after_idle", "begin_window", "grow", "reduce"]

BETA = 717  # of 1024: the factor 0.7 (4.6)
LONGEST = 100_000  # ms: beyond, the cube would not fit; the window has long found its limit
MOST_WINDOW = 1 << 30


@metal
def begin_window(c: Connection) -> None:
    """The initial window (RFC 6928)."""
    c.window = min(INITIAL_WINDOW * c.mss, max(2 * c.mss, u32(14600)))


@metal
def cube_root(value: u64) -> u64:
    """The integer cube root, by Newton's method from above."""
    if value == 0:
        return 0
    x: u64 = 1
    while x * x * x < value and x < 2_000_000:
        x *= 2
    while True:
        y = (2 * x + value // (x * x)) // 3
        if y >= x:
            return x
        x = y


@metal
def reduce(c: Connection) -> None:
    """A loss: remember the window (with fast convergence, 4.7) and set the threshold (4.6)."""
    c.cubic_epoch = 0
    if c.window < c.cubic_most:
        c.cubic_most = u32(u64(c.window) * (1024 + BETA) // 2048)
    else:
        c.cubic_most = c.window
    c.threshold = max(u32(u64(c.window) * BETA // 1024), 2 * c.mss)


@metal
def grow(c: Connection, acknowledged: u32, now: u64) -> None:
    """So many bytes were acknowledged, not in recovery. The window grows only while it is what limits (RFC 7661)."""
    if not c.limited:
        return
    if c.window < c.threshold:
        step = min(acknowledged, 2 * c.mss, c.threshold - c.window)
        c.window = min(c.window + step, u32(MOST_WINDOW))
        return
    avoid(c, acknowledged, now)


@metal
def avoid(c: Connection, acknowledged: u32, now: u64) -> None:
    """Congestion avoidance (4.2 to 4.5)."""
    mss = u64(c.mss)
    if c.cubic_epoch == 0:
        c.cubic_epoch = now
        c.cubic_start = c.window
        c.cubic_estimate = u64(c.window)
        c.cubic_most = max(c.cubic_most, c.window)
        # K = cbrt((W_max - cwnd) / C), C = 0.4 segments/s^3, in ms.
        c.cubic_k = cube_root(u64(c.cubic_most - c.window) * 2_500_000_000 // mss)
    elapsed = min((now - c.cubic_epoch + c.srtt) // MILLISECOND, u64(LONGEST))
    window = u64(c.window)
    target = u64(c.cubic_most)
    if elapsed >= c.cubic_k:
        target += cubed(elapsed - c.cubic_k, mss)
    else:
        target -= min(cubed(c.cubic_k - elapsed, mss), target)
    target = max(window, min(target, window + window // 2))
    # 4.3: what Reno would have; its increase is 3 * (1 - 0.7) / (1 + 0.7) segments a window until W_max was reached.
    factor: u64 = 542 if c.cubic_estimate < u64(c.cubic_most) else 1024
    c.cubic_estimate += mss * factor * u64(acknowledged) // (1024 * window)
    if c.cubic_estimate > target:
        c.window = u32(min(max(c.cubic_estimate, window), u64(MOST_WINDOW)))
    else:
        c.window = u32(min(window + (target - window) * u64(acknowledged) // window, u64(MOST_WINDOW)))


@metal
def cubed(distance: u64, mss: u64) -> u64:
    """C * t^3 in bytes, t in ms, at most LONGEST."""
    distance = min(distance, u64(LONGEST))
    return distance * distance * distance // 1_000_000 * 4 * mss // 10_000


@metal
def after_idle(c: Connection, now: u64) -> None:
    """Sending begins again after a pause of more than an RTO: the network may have changed (RFC 5681 4.1)."""
    if c.last_sent != 0 and now > c.last_sent + c.rto:
        c.window = min(c.window, INITIAL_WINDOW * c.mss)
        c.cubic_epoch = 0
