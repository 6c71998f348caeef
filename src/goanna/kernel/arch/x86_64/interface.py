"""Where Linux's interface to programs differs from machine to machine: layouts and numbers as x86-64 has them.

Sources: Linux arch/x86/include/uapi/asm/stat.h, include/uapi/linux/eventpoll.h, include/uapi/asm-generic/fcntl.h.
"""

from goanna.metal import Array, i64, sizeof, struct, u32, u64

MACHINE_NAME = b"x86_64"  # uname's machine
PLATFORM = b"x86_64\0"  # AT_PLATFORM
ELF_MACHINE = 62  # EM_X86_64
ELF_RELATIVE = 8  # R_X86_64_RELATIVE

O_DIRECT = 0o40000
O_LARGEFILE = 0o100000
O_DIRECTORY = 0o200000
O_NOFOLLOW = 0o400000


@struct
class Stat:
    """struct stat."""

    st_dev: u64
    st_ino: u64
    st_nlink: u64
    st_mode: u32
    st_uid: u32
    st_gid: u32
    padding: u32
    st_rdev: u64
    st_size: i64
    st_blksize: i64
    st_blocks: i64
    st_atime: i64
    st_atime_nsec: u64
    st_mtime: i64
    st_mtime_nsec: u64
    st_ctime: i64
    st_ctime_nsec: u64
    reserved: Array[i64, 3]


@struct(packed=True)
class EpollEvent:
    """struct epoll_event: packed on x86-64 alone, so that 32-bit programs had the same one."""

    events: u32
    data: u64


assert sizeof(Stat) == 144 and sizeof(EpollEvent) == 12
