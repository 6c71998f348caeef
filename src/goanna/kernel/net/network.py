"""What all parts of the network share: a count of its changes, when time is next needed, and counters of what happened
to packets."""

from goanna.kernel.time.timer import NEVER
from goanna.metal import Atomic, metal, static, struct, u64

__all__ = ["MILLISECOND", "SECOND", "Counters", "changed", "counters", "generation", "look_at", "look_by"]

SECOND = 1_000_000_000  # ns
MILLISECOND = 1_000_000

# Counted up by every change of an interface, address, route, neighbour or path MTU: what a Path keeps is old then.
generation = static(Atomic[u64], 1)


@metal
def changed() -> None:
    """Something changed that a Path may have kept."""
    generation.add(1)


# When one of the parts that have no timer of their own wants to be looked at (turn.py), in ns; NEVER: it need not be.
look_at = static(Atomic[u64], NEVER)


@metal
def look_by(time: u64) -> None:
    """Some part has a deadline: neighbours, addresses being claimed, fragments, half-open connections, TIME-WAIT."""
    seen = look_at.load()
    while time < seen:
        seen, done = look_at.compare_exchange(seen, time)
        if done:
            return


@struct
class Counters:
    """What happened, as in Linux's /proc/net/snmp. Written without a lock: two processors may lose a count."""

    ip_received: u64
    ip_malformed: u64  # bad header
    ip_not_ours: u64
    ip_unknown_protocol: u64
    ip_sent: u64
    ip_no_route: u64
    ip_dropped: u64  # no memory, or a queue was full
    fragments_received: u64
    fragments_dropped: u64
    reassembled: u64
    fragmented: u64
    icmp_received: u64
    icmp_malformed: u64
    icmp_sent: u64
    icmp_limited: u64  # errors not sent because of the limit on their rate
    udp_received: u64
    udp_malformed: u64
    udp_no_port: u64
    udp_full: u64  # the socket's queue was
    udp_sent: u64
    tcp_received: u64
    tcp_malformed: u64
    tcp_resets_sent: u64


counters = static(Counters)
