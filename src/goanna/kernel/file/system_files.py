"""/proc and /sys about the whole machine: devices, file systems, and where the machine's parts would be listed."""

from goanna.kernel.arch import HUGE_SIZE, command_line
from goanna.kernel.base.text import Text
from goanna.kernel.file.declare import Generated, link_to
from goanna.kernel.file.subject import Subject
from goanna.kernel.identity.names import RELEASE, VERSION, host_name, names_lock
from goanna.kernel.memory import pages
from goanna.metal import Array, Fn, i64, metal, static, u64

__all__ = ["FILES", "use_network_texts"]

# They write net/pnp and net/hosts; None: this machine has no network.
put_name_servers = static(Fn[[Text], None])
put_hosts = static(Fn[[Text], None])


@metal
def use_network_texts(name_servers: Fn[[Text], None], hosts: Fn[[Text], None]) -> None:
    """Say who knows the name servers, and the hosts. Once, at boot."""
    global put_name_servers, put_hosts
    put_name_servers = name_servers
    put_hosts = hosts


@metal
def write_name_servers(text: Text, subject: Subject) -> i64:
    """net/pnp: name servers and the domain, in the form of /etc/resolv.conf, which is a link to here."""
    if put_name_servers is not None:
        put_name_servers(text)
    else:
        text.put(b"#MANUAL\n")
    return 0


@metal
def write_hosts(text: Text, subject: Subject) -> i64:
    """net/hosts: what /etc/hosts leads to (hosts(5))."""
    text.put(b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
    if put_hosts is not None:
        put_hosts(text)
        return 0
    text.put(b"127.0.1.1\t")
    with names_lock:
        text.put(host_name.get())
    text.byte(0x0A)
    return 0


@metal
def write_command_line(text: Text, subject: Subject) -> i64:
    """cmdline: what whoever started the kernel said to it."""
    text.put(command_line())
    text.byte(0x0A)
    return 0


@metal
def write_free_blocks(text: Text, subject: Subject) -> i64:
    """buddyinfo: how many blocks of 1, 2, 4, ... pages are free."""
    text.put(b"Node 0, zone   Normal ")
    counts = Array[u64, pages.MAXIMUM_ORDER + 1]()
    pages.free_blocks(counts)
    for count in counts:
        text.padded(count, 6)
        text.byte(0x20)
    text.byte(0x0A)
    return 0


HUGE = "/sys/kernel/mm/transparent_hugepage"
CLOCK = "/sys/devices/system/clocksource/clocksource0"
FILE_SYSTEMS = b"nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tdevtmpfs\nnodev\tdevpts\n\terofs\nnodev\t9p\n"
DEVICES = b"""Character devices:
  1 mem
  5 /dev/tty
  5 /dev/console
  5 /dev/ptmx
136 pts
229 hvc

Block devices:
"""

FILES = [
    Generated("/proc/version", 0o444, text=b"Linux version " + RELEASE + b" (metal) " + VERSION + b"\n"),
    Generated("/proc/cmdline", 0o444, text=write_command_line),
    Generated("/proc/buddyinfo", 0o444, text=write_free_blocks),
    Generated("/proc/devices", 0o444, text=DEVICES),
    Generated("/proc/filesystems", 0o444, text=FILE_SYSTEMS),
    Generated("/proc/swaps", 0o444, text=b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
    Generated("/proc/cgroups", 0o444, text=b"#subsys_name\thierarchy\tnum_cgroups\tenabled\n"),
    Generated("/proc/net", 0o777, link=link_to(b"self/net")),
    Generated("/proc/{pid}/net/pnp", 0o444, text=write_name_servers),
    Generated("/proc/{pid}/net/hosts", 0o444, text=write_hosts),
    Generated(f"{HUGE}/hpage_pmd_size", 0o444, text=f"{HUGE_SIZE}\n".encode()),
    Generated(f"{HUGE}/enabled", 0o444, text=b"[always] madvise never\n"),
    Generated(f"{HUGE}/defrag", 0o444, text=b"always defer defer+madvise madvise [never]\n"),
    Generated(f"{HUGE}/use_zero_page", 0o444, text=b"1\n"),
    Generated(f"{CLOCK}/current_clocksource", 0o444, text=b"tsc\n"),
    Generated(f"{CLOCK}/available_clocksource", 0o444, text=b"tsc \n"),
    Generated("/sys/kernel/address_bits", 0o444, text=b"64\n"),
    Generated("/sys/kernel/cpu_byteorder", 0o444, text=b"little\n"),
    Generated("/sys/fs/cgroup", 0o755),
    *(Generated(f"/sys/{name}", 0o755) for name in ("block", "bus", "class", "dev", "firmware", "module")),
]
