"""What the machine is called: uname, host and domain names, sysinfo."""

from goanna.kernel.arch import MACHINE_NAME, PAGE_SIZE, now
from goanna.kernel.base.errno import EFAULT, EINVAL, EPERM
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.identity.credentials import capable
from goanna.kernel.memory import pages, user
from goanna.kernel.thread.thread import thread_total
from goanna.metal import Array, Slice, i32, i64, metal, static, struct, u8, u16, u32, u64

CAP_SYS_ADMIN = 21
NAME_SIZE = 64  # __NEW_UTS_LEN

# The release whose interface the calls follow; programs look at it to decide what they may ask.
SYSTEM_NAME = b"Linux"
RELEASE = b"6.1.0-goanna"
VERSION = b"#1 SMP PREEMPT_DYNAMIC Goanna"
NO_DOMAIN = b"(none)"


@struct
class Name:
    """A text of up to 64 bytes."""

    length: u64
    bytes: Array[u8, NAME_SIZE + 1]

    def set(self, text: Slice[u8]) -> None:
        """Take on a text, cut to what fits."""
        self.length = min(len(text), NAME_SIZE)
        self.bytes[0 : self.length] = text[0 : self.length]

    def get(self) -> Slice[u8]:
        """The text."""
        return self.bytes[0 : self.length]


names_lock = static(SpinLock)  # protects both names
host_name = static(Name, {"length": 6, "bytes": b"goanna"})
domain_name = static(Name, {"length": len(NO_DOMAIN), "bytes": NO_DOMAIN})


@struct
class SystemNames:
    """struct new_utsname: six texts of 65 bytes each."""

    fields: Array[u8, 390]

    def set(self, index: u64, text: Slice[u8]) -> None:
        """Write one of them."""
        start = index * (NAME_SIZE + 1)
        self.fields[start : start + len(text)] = text


@metal
def sys_uname(address: u64) -> i64:
    """uname(2)."""
    names = SystemNames()
    names.set(0, SYSTEM_NAME)
    names.set(2, RELEASE)
    names.set(3, VERSION)
    names.set(4, MACHINE_NAME)
    with names_lock:
        names.set(1, host_name.get())
        names.set(5, domain_name.get())
    return user.put_struct(address, names)


@metal
def change_name(name: Name, address: u64, length: i32) -> i64:
    """Read a new host or domain name."""
    if not capable(CAP_SYS_ADMIN):
        return -EPERM
    if length < 0 or length > NAME_SIZE:
        return -EINVAL
    text = Array[u8, NAME_SIZE]()
    if user.copy_in(text[0 : u64(length)], address) < 0:
        return -EFAULT
    with names_lock:
        name.set(text[0 : u64(length)])
    return 0


@metal
def sys_sethostname(address: u64, length: i32) -> i64:
    """sethostname(2)."""
    return change_name(host_name, address, length)


@metal
def sys_setdomainname(address: u64, length: i32) -> i64:
    """setdomainname(2)."""
    return change_name(domain_name, address, length)


@struct
class SystemInformation:
    """struct sysinfo."""

    uptime: i64  # seconds
    loads: Array[u64, 3]
    total: u64  # RAM, in units of `unit` bytes
    free: u64
    shared: u64
    buffers: u64
    total_swap: u64
    free_swap: u64
    processes: u16  # threads, in truth
    padding: u16
    total_high: u64
    free_high: u64
    unit: u32


@metal
def sys_sysinfo(address: u64) -> i64:
    """sysinfo(2)."""
    information = SystemInformation(
        uptime=i64(now() // 1_000_000_000),
        total=pages.total_pages() * PAGE_SIZE,
        free=pages.free_pages() * PAGE_SIZE,
        processes=u16(min(thread_total(), 0xFFFF)),
        unit=1,
    )
    return user.put_struct(address, information)
