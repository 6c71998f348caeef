"""How the kernel's modules are compiled: in which part each, and whether for speed or for a small image."""

from __future__ import annotations

from fnmatch import fnmatchcase

# The parts that the kernel is compiled in, by room; the other rooms are one. An edit compiles those whose code it
# changes. Smaller parts would be quicker to compile, and the kernel slower: calls between parts are optimised less.
_PARTS = {"base": "memory", "memory": "memory", "file": "file", "net": "net"}

# All is compiled with size in mind (metal/target.py); these pay a little of it for speed: what a running program has
# done for it thousands of times a second. The rest is compiled to be as small as it gets; what is run once takes an
# emulator longer to translate than to run. Names may have wildcards.
_FAST = {
    "arch": "call context float frame interface page_table port thread_register tlb trap user_copy vdso",
    "base": "hash_table heap list lock tree word",
    "device": "virtio.console virtio.net virtio.net_header virtio.net_pair virtio.queue",
    "file": "description descriptors drive epoll epoll_calls erofs eventfd io_calls memory_file node_pages open pipe "
    "poll poll_set stat_calls table transfer tree walk watch",
    "memory": "area fault mapping objects page_map pages source space user",
    "net": "address arrival checksum interface ip_input keyed_hash link loopback neighbour network offload packet path "
    "route turn tcp.acknowledge tcp.arrive tcp.calls tcp.connection tcp.congestion tcp.input tcp.output tcp.receive "
    "tcp.sequence tcp.table tcp.timers udp wire.* socket.message socket.message_calls socket.socket inet.datagram "
    "inet.stream inet.stream_socket unix.datagram unix.deliver unix.endpoint unix.letter unix.stream",
    "random": "chacha pool",
    "signal": "deliver handler_return mask send state take",
    "syscall": "adapter dispatch",
    "thread": "clone create current futex futex_call futex_key inherit mutex queue scheduler stack switch thread wait",
    "time": "*",
}


def part_of(module: str) -> str:
    """The part of the kernel that a Python module is compiled with."""
    return _PARTS.get(_name(module).partition(".")[0], "core")


def is_small(module: str) -> bool:
    """Whether a Python module is compiled to be small rather than fast."""
    room, _, name = _name(module).partition(".")
    if room == "arch":
        name = name.partition(".")[2]
    return not any(fnmatchcase(name, each) for each in _FAST.get(room, "").split())


def _name(module: str) -> str:
    return module.removeprefix("goanna.kernel.")
