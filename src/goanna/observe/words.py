"""Numbers of the Linux interface by name, as strace prints them. The kinds are those of kernel/shared/calls.py.

Sources: Linux include/uapi and, where a machine has its own, arch/x86/include/uapi.
"""

from __future__ import annotations

from collections.abc import Mapping


class Constants:
    """A kind of which one value is meant: its name, or the number in hexadecimal."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names

    def word(self, value: int) -> str:
        """The value by name."""
        return self._names.get(value, f"0x{value:x}")


class Flags:
    """A kind of which bits are meant. `zero` names no bit at all; `choice` is a field of bits with names of its own."""

    def __init__(
        self, names: Mapping[int, str], zero: str = "0", choice: tuple[int, Mapping[int, str]] | None = None
    ) -> None:
        self._names, self._zero, self._choice = names, zero, choice

    def word(self, value: int) -> str:
        """The value as names joined by `|`; bits without a name in hexadecimal."""
        parts = []
        if self._choice is not None:
            mask, names = self._choice
            if value & mask in names:
                parts.append(names[value & mask])
                value &= ~mask
        for bits, name in self._names.items():
            if value & bits == bits:
                parts.append(name)
                value &= ~bits
        if value:
            parts.append(f"0x{value:x}")
        return "|".join(parts) or self._zero


def _counted(names: str, prefix: str = "", start: int = 0) -> dict[int, str]:
    """Names that count up, each with its prefix."""
    return {number: prefix + name for number, name in enumerate(names.split(), start)}


def _bits(names: str, prefix: str = "", start: int = 1) -> dict[int, str]:
    """Names of single bits from `start` on; `-` leaves one out."""
    return {start << shift: prefix + name for shift, name in enumerate(names.split()) if name != "-"}


SIGNALS = _counted(
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG "
    "XCPU XFSZ VTALRM PROF WINCH IO PWR SYS",
    "SIG",
    1,
) | {number: f"SIGRT_{number - 32}" for number in range(32, 65)}

_OPEN = {
    0o20200000: "O_TMPFILE", 0o4010000: "O_SYNC", 0o100: "O_CREAT", 0o200: "O_EXCL", 0o400: "O_NOCTTY",
    0o1000: "O_TRUNC", 0o2000: "O_APPEND", 0o4000: "O_NONBLOCK", 0o10000: "O_DSYNC", 0o20000: "O_ASYNC",
    0o40000: "O_DIRECT", 0o100000: "O_LARGEFILE", 0o200000: "O_DIRECTORY", 0o400000: "O_NOFOLLOW",
    0o1000000: "O_NOATIME", 0o2000000: "O_CLOEXEC", 0o10000000: "O_PATH",
}  # fmt: skip
_ACCESS = {0: "O_RDONLY", 1: "O_WRONLY", 2: "O_RDWR"}

_MAP_TYPES = {1: "MAP_SHARED", 2: "MAP_PRIVATE", 3: "MAP_SHARED_VALIDATE"}
_MAP = {
    0x10: "MAP_FIXED", 0x20: "MAP_ANONYMOUS", 0x40: "MAP_32BIT", 0x100: "MAP_GROWSDOWN", 0x800: "MAP_DENYWRITE",
    0x1000: "MAP_EXECUTABLE", 0x2000: "MAP_LOCKED", 0x4000: "MAP_NORESERVE", 0x8000: "MAP_POPULATE",
    0x10000: "MAP_NONBLOCK", 0x20000: "MAP_STACK", 0x40000: "MAP_HUGETLB", 0x80000: "MAP_SYNC",
    0x100000: "MAP_FIXED_NOREPLACE",
}  # fmt: skip

_CLONE = _bits(
    "VM FS FILES SIGHAND PIDFD PTRACE VFORK PARENT THREAD NEWNS SYSVSEM SETTLS PARENT_SETTID CHILD_CLEARTID DETACHED "
    "UNTRACED CHILD_SETTID NEWCGROUP NEWUTS NEWIPC NEWUSER NEWPID NEWNET IO",
    "CLONE_",
    0x100,
)

_FUTEX = _counted(
    "WAIT WAKE FD REQUEUE CMP_REQUEUE WAKE_OP LOCK_PI UNLOCK_PI TRYLOCK_PI WAIT_BITSET WAKE_BITSET WAIT_REQUEUE_PI "
    "CMP_REQUEUE_PI LOCK_PI2",
    "FUTEX_",
)

_FCNTL = _counted("DUPFD GETFD SETFD GETFL SETFL GETLK SETLK SETLKW SETOWN GETOWN SETSIG GETSIG", "F_") | {
    15: "F_SETOWN_EX", 16: "F_GETOWN_EX", 36: "F_OFD_GETLK", 37: "F_OFD_SETLK", 38: "F_OFD_SETLKW", 1024: "F_SETLEASE",
    1025: "F_GETLEASE", 1026: "F_NOTIFY", 1030: "F_DUPFD_CLOEXEC", 1031: "F_SETPIPE_SZ", 1032: "F_GETPIPE_SZ",
    1033: "F_ADD_SEALS", 1034: "F_GET_SEALS",
}  # fmt: skip

_ADVICE = _counted("NORMAL RANDOM SEQUENTIAL WILLNEED DONTNEED", "MADV_") | {
    8: "MADV_FREE", 9: "MADV_REMOVE", 10: "MADV_DONTFORK", 11: "MADV_DOFORK", 12: "MADV_MERGEABLE",
    13: "MADV_UNMERGEABLE", 14: "MADV_HUGEPAGE", 15: "MADV_NOHUGEPAGE", 16: "MADV_DONTDUMP", 17: "MADV_DODUMP",
    18: "MADV_WIPEONFORK", 19: "MADV_KEEPONFORK", 20: "MADV_COLD", 21: "MADV_PAGEOUT", 22: "MADV_POPULATE_READ",
    23: "MADV_POPULATE_WRITE", 25: "MADV_COLLAPSE",
}  # fmt: skip

_PRCTL = {
    1: "PR_SET_PDEATHSIG", 3: "PR_GET_DUMPABLE", 4: "PR_SET_DUMPABLE", 15: "PR_SET_NAME", 16: "PR_GET_NAME",
    22: "PR_SET_SECCOMP", 23: "PR_CAPBSET_READ", 36: "PR_SET_CHILD_SUBREAPER", 38: "PR_SET_NO_NEW_PRIVS",
    39: "PR_GET_NO_NEW_PRIVS", 0x53564D41: "PR_SET_VMA",
}  # fmt: skip

_SOCKET_TYPES = {
    1: "SOCK_STREAM",
    2: "SOCK_DGRAM",
    3: "SOCK_RAW",
    4: "SOCK_RDM",
    5: "SOCK_SEQPACKET",
    10: "SOCK_PACKET",
}

_MESSAGE = "OOB PEEK DONTROUTE CTRUNC PROBE TRUNC DONTWAIT EOR WAITALL FIN SYN CONFIRM RST ERRQUEUE NOSIGNAL MORE"
_LIMITS = "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME"

NAMES: dict[str, Constants | Flags] = {
    "open_flags": Flags(_OPEN, choice=(3, _ACCESS)),
    "protection": Flags(_bits("READ WRITE EXEC SEM", "PROT_"), zero="PROT_NONE"),
    "map_flags": Flags(_MAP, choice=(0xF, _MAP_TYPES)),
    "mremap_flags": Flags(_bits("MAYMOVE FIXED DONTUNMAP", "MREMAP_")),
    "msync_flags": Flags(_bits("ASYNC INVALIDATE SYNC", "MS_")),
    "whence": Constants(_counted("SET CUR END DATA HOLE", "SEEK_")),
    "signal": Constants(SIGNALS | {0: "0"}),
    "sigmask_how": Constants(_counted("BLOCK UNBLOCK SETMASK", "SIG_")),
    "ioctl": Constants(
        {
            0x5401: "TCGETS", 0x5402: "TCSETS", 0x5403: "TCSETSW", 0x540F: "TIOCGPGRP", 0x5410: "TIOCSPGRP",
            0x5413: "TIOCGWINSZ", 0x5414: "TIOCSWINSZ", 0x541B: "FIONREAD", 0x5421: "FIONBIO", 0x5450: "FIONCLEX",
            0x5451: "FIOCLEX",
        }
    ),
    "access_mode": Flags(_bits("X_OK W_OK R_OK"), zero="F_OK"),
    "advice": Constants(_ADVICE),
    "itimer": Constants(_counted("REAL VIRTUAL PROF", "ITIMER_")),
    "socket_domain": Constants(
        {0: "AF_UNSPEC", 1: "AF_UNIX", 2: "AF_INET", 10: "AF_INET6", 16: "AF_NETLINK", 17: "AF_PACKET", 40: "AF_VSOCK"}
    ),
    "socket_type": Flags({0o4000: "SOCK_NONBLOCK", 0o2000000: "SOCK_CLOEXEC"}, choice=(0xF, _SOCKET_TYPES)),
    "message_flags": Flags(
        _bits(_MESSAGE, "MSG_")
        | {0x40000000: "MSG_CMSG_CLOEXEC"}
    ),
    "clone_flags": Flags(_CLONE, choice=(0xFF, SIGNALS)),
    "wait_flags": Flags({1: "WNOHANG", 2: "WUNTRACED", 4: "WEXITED", 8: "WCONTINUED", 0x1000000: "WNOWAIT"}),
    "fcntl": Constants(_FCNTL),
    "at_flags": Flags(
        {
            0x100: "AT_SYMLINK_NOFOLLOW", 0x200: "AT_REMOVEDIR", 0x400: "AT_SYMLINK_FOLLOW", 0x800: "AT_NO_AUTOMOUNT",
            0x1000: "AT_EMPTY_PATH", 0x2000: "AT_STATX_FORCE_SYNC", 0x4000: "AT_STATX_DONT_SYNC",
        }
    ),
    "limit": Constants(_counted(_LIMITS, "RLIMIT_")),
    "prctl": Constants(_PRCTL),
    "arch_prctl": Constants(_counted("SET_GS SET_FS GET_FS GET_GS", "ARCH_", 0x1001)),
    "futex": Flags({0x80: "FUTEX_PRIVATE_FLAG", 0x100: "FUTEX_CLOCK_REALTIME"}, choice=(0x7F, _FUTEX)),
    "clock": Constants(
        _counted(
            "REALTIME MONOTONIC PROCESS_CPUTIME_ID THREAD_CPUTIME_ID MONOTONIC_RAW REALTIME_COARSE MONOTONIC_COARSE "
            "BOOTTIME REALTIME_ALARM BOOTTIME_ALARM",
            "CLOCK_",
        )
        | {11: "CLOCK_TAI"}
    ),
    "epoll_ctl": Constants(_counted("ADD DEL MOD", "EPOLL_CTL_", 1)),
    "epoll_flags": Flags({0o2000000: "EPOLL_CLOEXEC"}),
    "epoll_events": Flags(
        {
            0x1: "EPOLLIN", 0x2: "EPOLLPRI", 0x4: "EPOLLOUT", 0x8: "EPOLLERR", 0x10: "EPOLLHUP", 0x2000: "EPOLLRDHUP",
            0x10000000: "EPOLLEXCLUSIVE", 0x20000000: "EPOLLWAKEUP", 0x40000000: "EPOLLONESHOT", 0x80000000: "EPOLLET",
        }
    ),
    "eventfd_flags": Flags({1: "EFD_SEMAPHORE", 0o4000: "EFD_NONBLOCK", 0o2000000: "EFD_CLOEXEC"}),
    "random_flags": Flags(_bits("NONBLOCK RANDOM INSECURE", "GRND_")),
    "sigaction_flags": Flags(
        {
            1: "SA_NOCLDSTOP", 2: "SA_NOCLDWAIT", 4: "SA_SIGINFO", 0x04000000: "SA_RESTORER", 0x08000000: "SA_ONSTACK",
            0x10000000: "SA_RESTART", 0x40000000: "SA_NODEFER", 0x80000000: "SA_RESETHAND",
        }
    ),
    "stack_flags": Flags({1: "SS_ONSTACK", 2: "SS_DISABLE", 1 << 31: "SS_AUTODISARM"}),
}  # fmt: skip
