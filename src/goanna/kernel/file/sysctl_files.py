"""/proc/sys: limits and settings of the kernel, as far as it has them (proc_sys(5))."""

from goanna.kernel.arch import MACHINE_NAME, PAGE_SIZE
from goanna.kernel.base.errno import EINVAL
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.base.setting import parse_setting
from goanna.kernel.base.text import Text
from goanna.kernel.file.declare import Generated
from goanna.kernel.file.description import descriptions
from goanna.kernel.file.inotify import MOST_EVENTS, MOST_WATCHES
from goanna.kernel.file.node import nodes
from goanna.kernel.file.subject import Subject
from goanna.kernel.file.table import MAXIMUM_DESCRIPTORS
from goanna.kernel.identity.credentials import CAP_LAST
from goanna.kernel.identity.names import (
    NAME_SIZE,
    RELEASE,
    SYSTEM_NAME,
    VERSION,
    Name,
    domain_name,
    host_name,
    names_lock,
)
from goanna.kernel.memory import pages
from goanna.kernel.memory.space import most_areas
from goanna.kernel.net.socket.calls import most_backlog
from goanna.kernel.net.socket.socket import LARGEST_BUFFER
from goanna.kernel.net.tcp.connection import keep_count, keep_idle, keep_interval
from goanna.kernel.net.tcp.table import FIRST_PORT, LAST_PORT
from goanna.kernel.random.pool import random_bytes
from goanna.kernel.thread.queue import SLICE
from goanna.kernel.thread.thread import PID_MAXIMUM, threads_born
from goanna.kernel.variant import NETWORK
from goanna.metal import Array, Slice, i64, metal, static, u8, u64

__all__ = ["FILES"]


@metal
def write_name(text: Text, name: Name) -> i64:
    """A name of the machine and the line's end."""
    with names_lock:
        text.put(name.get())
    text.byte(0x0A)
    return 0


@metal
def write_host_name(text: Text, subject: Subject) -> i64:
    """sys/kernel/hostname."""
    return write_name(text, host_name)


@metal
def write_domain_name(text: Text, subject: Subject) -> i64:
    """sys/kernel/domainname."""
    return write_name(text, domain_name)


boot_id = static(Array[u8, 16])
boot_id_lock = static(SpinLock)  # protects boot_id


@metal
def write_uuid(text: Text, bytes: Slice[u8]) -> None:
    """Sixteen random bytes as a version 4 UUID (RFC 9562 section 5.4), and the line's end."""
    for index in range(u64(0), u64(16)):
        value = bytes[index]
        if index == 6:
            value = (value & 0x0F) | 0x40
        elif index == 8:
            value = (value & 0x3F) | 0x80
        if index in (4, 6, 8, 10):
            text.byte(0x2D)
        text.hexadecimal(u64(value), 2)
    text.byte(0x0A)


@metal
def write_fresh_uuid(text: Text, subject: Subject) -> i64:
    """random/uuid: another one at each read."""
    bytes = Array[u8, 16]()
    random_bytes(bytes[:])
    write_uuid(text, bytes[:])
    return 0


@metal
def write_boot_id(text: Text, subject: Subject) -> i64:
    """random/boot_id: the same until the machine ends."""
    fresh = Array[u8, 16]()
    random_bytes(fresh[:])
    with boot_id_lock:
        said: u8 = 0
        for byte in boot_id:
            said |= byte
        if said == 0:
            boot_id[0:16] = fresh[:]
        write_uuid(text, boot_id[:])
    return 0


@metal
def write_threads_limit(text: Text, subject: Subject) -> i64:
    """sys/kernel/threads-max: as many as kernel stacks would fit in an eighth of memory."""
    text.line(b"", max(pages.total_pages() // 32, 20))
    return 0


@metal
def write_last_number(text: Text, subject: Subject) -> i64:
    """sys/kernel/ns_last_pid: the number that the youngest thread got."""
    _, last = threads_born()
    text.line(b"", u64(last))
    return 0


@metal
def write_least_free(text: Text, subject: Subject) -> i64:
    """sys/vm/min_free_kbytes: what programs can't have."""
    text.line(b"", pages.reserved_pages() * (PAGE_SIZE // 1024))
    return 0


@metal
def write_files(text: Text, subject: Subject) -> i64:
    """sys/fs/file-nr: open files, none kept for later, the limit."""
    text.number(descriptions.in_use())
    text.put(b"\t0\t9223372036854775807\n")
    return 0


@metal
def write_nodes(text: Text, subject: Subject) -> i64:
    """sys/fs/inode-nr: files that are known, none unused."""
    text.number(nodes.in_use())
    text.put(b"\t0\n")
    return 0


@metal
def set_host_name(said: Slice[u8], subject: Subject) -> i64:
    """sys/kernel/hostname."""
    return set_name(host_name, said)


@metal
def set_domain_name(said: Slice[u8], subject: Subject) -> i64:
    """sys/kernel/domainname."""
    return set_name(domain_name, said)


@metal
def set_name(name: Name, said: Slice[u8]) -> i64:
    """Change a name of the machine: what stands before the line's end, at most 64 bytes."""
    length: u64 = 0
    while length < min(len(said), NAME_SIZE) and said[length] != 0x0A:
        length += 1
    with names_lock:
        name.set(said[0:length])
    return 0


def _number(value: int) -> bytes:
    return f"{value}\n".encode()


def _changing(setting):
    """A generator and a store of a number that has its effect at once."""

    @metal
    def write(text: Text, subject: Subject) -> i64:
        text.line(b"", setting.value)
        return 0

    @metal
    def take(said: Slice[u8], subject: Subject) -> i64:
        return setting.set(said)

    return write, take


def _settled(value: int):
    """The same of a number that can't be changed: what is written must be what it is."""

    @metal
    def write(text: Text, subject: Subject) -> i64:
        text.line(b"", value)
        return 0

    @metal
    def take(said: Slice[u8], subject: Subject) -> i64:
        wanted, good = parse_setting(said)
        return 0 if len(said) == 0 or (good and wanted == value) else -i64(EINVAL)

    return write, take


SYSCTL = {
    "kernel/ostype": SYSTEM_NAME + b"\n",
    "kernel/osrelease": RELEASE + b"\n",
    "kernel/version": VERSION + b"\n",
    "kernel/hostname": write_host_name,
    "kernel/domainname": write_domain_name,
    "kernel/arch": MACHINE_NAME + b"\n",
    "kernel/cad_pid": _number(1),
    "kernel/core_pipe_limit": _number(0),
    "kernel/core_uses_pid": _number(0),
    "kernel/ns_last_pid": write_last_number,
    "kernel/tainted": _number(0),
    "kernel/sched_rr_timeslice_ms": _number(SLICE // 1_000_000),
    "kernel/pid_max": _number(PID_MAXIMUM),
    "kernel/threads-max": write_threads_limit,
    "kernel/ngroups_max": _number(65536),
    "kernel/cap_last_cap": _number(CAP_LAST),
    "kernel/overflowuid": _number(65534),
    "kernel/overflowgid": _number(65534),
    "kernel/randomize_va_space": _number(2),
    "kernel/core_pattern": b"core\n",
    "kernel/random/boot_id": write_boot_id,
    "kernel/random/uuid": write_fresh_uuid,
    "kernel/random/entropy_avail": _number(256),
    "kernel/random/poolsize": _number(256),
    "vm/overcommit_kbytes": _number(0),
    "vm/overcommit_ratio": _number(50),
    "vm/panic_on_oom": _number(0),
    "vm/oom_kill_allocating_task": _number(0),
    "vm/min_free_kbytes": write_least_free,
    "vm/nr_hugepages": _number(0),
    "vm/nr_overcommit_hugepages": _number(0),
    "vm/legacy_va_layout": _number(0),
    "vm/mmap_min_addr": _number(65536),
    "fs/nr_open": _number(MAXIMUM_DESCRIPTORS),
    "fs/pipe-max-size": _number(1 << 20),
    "fs/file-nr": write_files,
    "fs/inode-nr": write_nodes,
    "fs/overflowuid": _number(65534),
    "fs/overflowgid": _number(65534),
    "fs/suid_dumpable": _number(0),
    "fs/inotify/max_queued_events": _number(MOST_EVENTS),
    "fs/inotify/max_user_watches": _number(MOST_WATCHES),
    "fs/protected_hardlinks": _number(1),
    "fs/protected_symlinks": _number(0),
    "fs/protected_fifos": _number(0),
    "fs/protected_regular": _number(0),
    "net/ipv4/ping_group_range": b"0\t2147483647\n",
}
STORES = {"kernel/hostname": set_host_name, "kernel/domainname": set_domain_name}
NUMBERS = {
    "net/core/somaxconn": _changing(most_backlog),
    "vm/max_map_count": _changing(most_areas),
    "vm/overcommit_memory": _settled(1),
    "vm/swappiness": _settled(0),
    "fs/file-max": _settled(0x7FFFFFFFFFFFFFFF),
}
if NETWORK:
    NUMBERS |= {
        "net/ipv4/tcp_keepalive_time": _changing(keep_idle),
        "net/ipv4/tcp_keepalive_intvl": _changing(keep_interval),
        "net/ipv4/tcp_keepalive_probes": _changing(keep_count),
        "net/core/rmem_max": _settled(LARGEST_BUFFER),
        "net/core/wmem_max": _settled(LARGEST_BUFFER),
    }
    SYSCTL["net/ipv4/ip_local_port_range"] = f"{FIRST_PORT}\t{LAST_PORT}\n".encode()
for _path, (_text, _store) in NUMBERS.items():
    SYSCTL[_path] = _text
    STORES[_path] = _store

FILES = [
    Generated(f"/proc/sys/{path}", 0o644 if path in STORES else 0o444, text=text, store=STORES.get(path))
    for path, text in SYSCTL.items()
]
