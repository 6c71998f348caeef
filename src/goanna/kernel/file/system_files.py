"""/proc and /sys about the whole machine: what the Go runtime, C libraries and monitoring programs read."""

from goanna.kernel.arch import HUGE_SIZE, PAGE_SIZE, now, processor_count
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.base.text import Text
from goanna.kernel.file.declare import Generated
from goanna.kernel.file.subject import Subject
from goanna.kernel.file.table import MAXIMUM_DESCRIPTORS
from goanna.kernel.identity.credentials import CAP_LAST
from goanna.kernel.identity.names import RELEASE, SYSTEM_NAME, VERSION, Name, domain_name, host_name, names_lock
from goanna.kernel.memory import pages
from goanna.kernel.memory.space import MAXIMUM_AREAS
from goanna.kernel.random.pool import random_bytes
from goanna.kernel.thread.thread import PID_MAXIMUM, thread_total
from goanna.kernel.time.wall import wall_offset
from goanna.metal import Array, Slice, i64, metal, static, u8, u64

NANOSECONDS = 1_000_000_000
KIBIBYTE = 1024


@metal
def seconds_and_hundredths(text: Text, nanoseconds: u64) -> None:
    """A time as uptime and loadavg write it."""
    text.number(nanoseconds // NANOSECONDS)
    text.byte(0x2E)
    text.zeros(nanoseconds % NANOSECONDS // 10_000_000, 2)


@metal
def write_uptime(text: Text, subject: Subject) -> i64:
    """uptime. How long processors were idle is not counted."""
    seconds_and_hundredths(text, now())
    text.put(b" 0.00\n")
    return 0


@metal
def write_load(text: Text, subject: Subject) -> i64:
    """loadavg. Averages are not kept."""
    text.put(b"0.00 0.00 0.00 1/")
    text.number(thread_total())
    text.put(b" 1\n")
    return 0


@metal
def memory_line(text: Text, name: Slice[u8], count: u64) -> None:
    """A line of meminfo: pages as KiB."""
    text.put(name)
    text.padded(count * (PAGE_SIZE // KIBIBYTE), 8)
    text.put(b" kB\n")


@metal
def write_memory(text: Text, subject: Subject) -> i64:
    """meminfo."""
    total = pages.total_pages()
    free = pages.free_pages()
    memory_line(text, b"MemTotal:       ", total)
    memory_line(text, b"MemFree:        ", free)
    memory_line(text, b"MemAvailable:   ", free)
    memory_line(text, b"Buffers:        ", 0)
    memory_line(text, b"Cached:         ", 0)
    memory_line(text, b"SwapCached:     ", 0)
    memory_line(text, b"Active:         ", total - min(free, total))
    memory_line(text, b"Inactive:       ", 0)
    memory_line(text, b"SwapTotal:      ", 0)
    memory_line(text, b"SwapFree:       ", 0)
    memory_line(text, b"Dirty:          ", 0)
    memory_line(text, b"Writeback:      ", 0)
    memory_line(text, b"AnonPages:      ", total - min(free, total))
    memory_line(text, b"Mapped:         ", 0)
    memory_line(text, b"Shmem:          ", 0)
    memory_line(text, b"CommitLimit:    ", total)
    memory_line(text, b"Committed_AS:   ", total - min(free, total))
    text.put(b"HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\n")
    text.put(b"HugePages_Surp:        0\nHugepagesize:       2048 kB\n")
    return 0


@metal
def write_processors(text: Text, subject: Subject) -> i64:
    """cpuinfo: the lines that say how many there are."""
    for index in range(processor_count()):
        text.put(b"processor\t: ")
        text.number(u64(index))
        text.put(b"\nvendor_id\t: Goanna\ncpu family\t: 6\nmodel\t\t: 0\nphysical id\t: 0\nsiblings\t: ")
        text.number(u64(processor_count()))
        text.put(b"\ncore id\t\t: ")
        text.number(u64(index))
        text.put(b"\ncpu cores\t: ")
        text.number(u64(processor_count()))
        text.put(b"\n\n")
    return 0


@metal
def write_statistics(text: Text, subject: Subject) -> i64:
    """stat: processors without times, which are not counted, and the time of boot."""
    text.put(b"cpu  0 0 0 0 0 0 0 0 0 0\n")
    for index in range(processor_count()):
        text.put(b"cpu")
        text.number(u64(index))
        text.put(b" 0 0 0 0 0 0 0 0 0 0\n")
    text.put(b"intr 0\nctxt 0\n")
    text.line(b"btime ", wall_offset() // NANOSECONDS)
    text.line(b"processes ", thread_total())
    text.put(b"procs_running 1\nprocs_blocked 0\n")
    return 0


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


@metal
def write_processor_list(text: Text, subject: Subject) -> i64:
    """cpu/online and its kin: 0-3."""
    text.byte(0x30)
    if processor_count() > 1:
        text.byte(0x2D)
        text.number(u64(processor_count() - 1))
    text.byte(0x0A)
    return 0


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


def _number(value: int) -> bytes:
    return f"{value}\n".encode()


SYSCTL = {
    "kernel/ostype": (SYSTEM_NAME + b"\n"),
    "kernel/osrelease": (RELEASE + b"\n"),
    "kernel/version": (VERSION + b"\n"),
    "kernel/hostname": write_host_name,
    "kernel/domainname": write_domain_name,
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
    "vm/overcommit_memory": _number(1),
    "vm/max_map_count": _number(MAXIMUM_AREAS),
    "vm/mmap_min_addr": _number(65536),
    "vm/swappiness": _number(0),
    "fs/nr_open": _number(MAXIMUM_DESCRIPTORS),
    "fs/file-max": _number(0x7FFFFFFFFFFFFFFF),
    "fs/pipe-max-size": _number(1 << 20),
    "fs/protected_hardlinks": _number(1),
    "fs/protected_symlinks": _number(0),
    "fs/protected_fifos": _number(0),
    "fs/protected_regular": _number(0),
    "net/core/somaxconn": _number(4096),
}

HUGE = "/sys/kernel/mm/transparent_hugepage"
CPU = "/sys/devices/system/cpu"

FILES = [
    Generated("/proc/cpuinfo", 0o444, text=write_processors),
    Generated("/proc/meminfo", 0o444, text=write_memory),
    Generated("/proc/stat", 0o444, text=write_statistics),
    Generated("/proc/uptime", 0o444, text=write_uptime),
    Generated("/proc/loadavg", 0o444, text=write_load),
    Generated("/proc/version", 0o444, text=b"Linux version " + RELEASE + b" (metal) " + VERSION + b"\n"),
    Generated("/proc/filesystems", 0o444, text=b"nodev\tsysfs\nnodev\tproc\nnodev\tdevtmpfs\n\terofs\n"),
    Generated("/proc/swaps", 0o444, text=b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
    *(Generated(f"/proc/sys/{path}", 0o444, text=text) for path, text in SYSCTL.items()),
    Generated(f"{HUGE}/hpage_pmd_size", 0o444, text=_number(HUGE_SIZE)),
    Generated(f"{HUGE}/enabled", 0o444, text=b"[always] madvise never\n"),
    Generated(f"{HUGE}/defrag", 0o444, text=b"always defer defer+madvise madvise [never]\n"),
    Generated(f"{CPU}/online", 0o444, text=write_processor_list),
    Generated(f"{CPU}/possible", 0o444, text=write_processor_list),
    Generated(f"{CPU}/present", 0o444, text=write_processor_list),
    Generated("/sys/fs", 0o555),
]
