"""A trace record becomes a line as strace prints it: the call by name, its arguments in words, its result.

    3: openat(AT_FDCWD, "/etc/hosts", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)

The number in front is the thread's. What each argument is stands in kernel/shared/calls.py; the record's layout in
kernel/shared/control.py.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from goanna.kernel.arch.x86_64.numbers import SYSCALL_NUMBERS
from goanna.kernel.base import errno as linux_errors
from goanna.kernel.shared import control
from goanna.kernel.shared.calls import ANY, SIGNATURES
from goanna.layouts import size_of, unpacked
from goanna.observe.words import NAMES, SIGNALS

_AT_FDCWD = -100
_LARGEST_ERROR = 4095
# Results that a program never sees: the call is made again, or ends as EINTR, once a signal has been delivered.
_INTERRUPTED = {
    number: name for name, number in vars(linux_errors).items() if name.startswith("ERESTART") and number >= 512
}
_ESCAPES = {0x22: '\\"', 0x5C: "\\\\", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0: "\\0"}
_O_CREAT, _O_TMPFILE, _MREMAP_NEW_ADDRESS = 0o100, 0o20000000, 2 | 4
# Commands of fcntl without an argument: F_GETFD, F_GETFL, F_GETOWN, F_GETSIG, F_GETLEASE, F_GETPIPE_SZ, F_GET_SEALS.
_FCNTL_BARE = frozenset([1, 3, 9, 11, 1025, 1032, 1034])
_FUTEX_OPERATION = 0x7F
# How many arguments these operations of futex read: WAIT, WAKE, LOCK_PI, UNLOCK_PI, TRYLOCK_PI, LOCK_PI2.
_FUTEX_READS = {0: 4, 1: 3, 6: 4, 7: 2, 8: 2, 13: 4}
# Calls whose result is an address.
_GIVES_ADDRESS = frozenset(["mmap", "mremap", "brk", "shmat"])
# A signal of which a mask says "all but these" is more readable so.
_MANY_SIGNALS = 32


@dataclass(frozen=True)
class _Text:
    """What an argument pointed to, the beginning of it if `cut`."""

    data: bytes
    cut: bool


def line_of(payload: bytes) -> str:
    """The line for one record. Raises ValueError for a record that is too short."""
    head = unpacked(control.Trace, payload)
    texts = _texts(payload, head.texts)
    name = _names().get(head.number, f"call_{head.number}")
    kinds = SIGNATURES.get(name, ANY)
    kinds = kinds[: _count_read(name, head.arguments, len(kinds))]
    words = [_argument(kind, head.arguments[index], texts.get(index)) for index, kind in enumerate(kinds)]
    result = "?" if head.flags & control.TRACE_ENDLESS else _result(name, head.result)
    return f"{head.thread}: {name}({', '.join(words)}) = {result}"


def _count_read(name: str, arguments: Sequence[int], count: int) -> int:
    """How many of its `count` arguments a call reads, which may depend on one of them."""
    if name in ("open", "openat"):
        flags = arguments[count - 2]
        return count if flags & (_O_CREAT | _O_TMPFILE) else count - 1
    if name == "fcntl":
        return 2 if arguments[1] in _FCNTL_BARE else 3
    if name == "futex":
        return _FUTEX_READS.get(arguments[1] & _FUTEX_OPERATION, count)
    if name == "mremap":
        return 5 if arguments[3] & _MREMAP_NEW_ADDRESS else 4
    return count


@cache
def _names() -> dict[int, str]:
    return {number: name for name, number in SYSCALL_NUMBERS.items()}


@cache
def _error_names() -> dict[int, str]:
    """The first name of each number: EAGAIN and EWOULDBLOCK are one."""
    found: dict[int, str] = {}
    for name, value in vars(linux_errors).items():
        if name.startswith("E") and isinstance(value, int):
            found.setdefault(value, name)
    return found


def _texts(payload: bytes, count: int) -> dict[int, _Text]:
    at, found = size_of(control.Trace), {}
    for _ in range(count):
        head = unpacked(control.TraceText, payload[at:])
        at += size_of(control.TraceText)
        found[head.argument] = _Text(payload[at : at + head.length], bool(head.cut))
        at += head.length
    return found


def _result(name: str, value: int) -> str:
    if -value in _INTERRUPTED:
        return f"? {_INTERRUPTED[-value]} (interrupted)"
    if -_LARGEST_ERROR <= value < 0:
        error = _error_names().get(-value, f"error {-value}")
        # This system may number errors otherwise than Linux: the text goes by the name.
        number: Any = getattr(errno, error, None)
        return f"-1 {error} ({os.strerror(number)})" if isinstance(number, int) else f"-1 {error}"
    return f"0x{value & (1 << 64) - 1:x}" if name in _GIVES_ADDRESS else str(value)


def _argument(kind: str, value: int, text: _Text | None) -> str:
    if kind in NAMES:
        return NAMES[kind].word(value & 0xFFFF_FFFF)
    for mark in "@!":
        if mark in kind:
            name, _, size = kind.partition(mark)
            return _structure(name, int(size), value, text)
    if text is not None:
        return _quoted(text)
    plain = kind.partition(":")[0]
    if plain in ("path", "string", "in", "out", "pointer"):
        return f"0x{value:x}" if value else "NULL"
    return _number(plain, value)


def _number(kind: str, value: int) -> str:
    if kind == "dirfd" and _signed(value, 32) == _AT_FDCWD:
        return "AT_FDCWD"
    if kind in ("fd", "dirfd", "int"):
        return str(_signed(value, 32))
    if kind == "long":
        return str(_signed(value, 64))
    if kind == "mode":
        return f"0{value & 0xFFFF_FFFF:03o}"
    return str(value) if kind == "size" or value == 0 else f"0x{value:x}"


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _quoted(text: _Text) -> str:
    shown = "".join(_ESCAPES.get(byte, chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}") for byte in text.data)
    return f'"{shown}"{"..." if text.cut else ""}'


def _structure(name: str, size: int, value: int, text: _Text | None) -> str:
    if value == 0:
        return "NULL"
    if text is None or len(text.data) < size:
        return f"0x{value:x}"
    shape = _SHAPES.get(name)
    return shape(text.data) if shape is not None else f"0x{value:x}"


def _numbers(layout: str, names: str) -> Any:
    shape = struct.Struct(layout)
    fields = names.split()
    return lambda data: "{" + ", ".join(
        f"{field}={value}" for field, value in zip(fields, shape.unpack_from(data), strict=True)
    ) + "}"  # fmt: skip


def _signal_set(data: bytes) -> str:
    bits = int.from_bytes(data[:8], "little")
    inside = [number for number in range(1, 65) if bits >> (number - 1) & 1]
    outside = [number for number in range(1, 65) if number not in inside]
    few, mark = (outside, "~") if len(inside) > _MANY_SIGNALS else (inside, "")
    return f"{mark}[{' '.join(SIGNALS[number].removeprefix('SIG') for number in few)}]"


def _sigaction(data: bytes) -> str:
    handler, flags, restorer = struct.unpack_from("<QQQ", data)
    name = {0: "SIG_DFL", 1: "SIG_IGN"}.get(handler, f"0x{handler:x}")
    words = NAMES["sigaction_flags"].word(flags)
    return f"{{sa_handler={name}, sa_mask={_signal_set(data[24:32])}, sa_flags={words}, sa_restorer=0x{restorer:x}}}"


def _alternate_stack(data: bytes) -> str:
    address, flags, size = struct.unpack_from("<QI4xQ", data)
    return f"{{ss_sp=0x{address:x}, ss_flags={NAMES['stack_flags'].word(flags)}, ss_size={size}}}"


def _epoll_event(data: bytes) -> str:
    events, value = struct.unpack_from("<IQ", data)
    return f"{{events={NAMES['epoll_events'].word(events)}, data=0x{value:x}}}"


def _limit(data: bytes) -> str:
    words = ["RLIM_INFINITY" if value == (1 << 64) - 1 else str(value) for value in struct.unpack_from("<QQ", data)]
    return f"{{rlim_cur={words[0]}, rlim_max={words[1]}}}"


def _integers(data: bytes) -> str:
    return f"[{', '.join(str(value) for (value,) in struct.iter_unpack('<i', data[: len(data) // 4 * 4]))}]"


def _stat(data: bytes) -> str:
    # struct stat of x86-64: the mode after device, inode and links, the size after the owners and the device number.
    mode, size = struct.unpack_from("<I", data, 24)[0], struct.unpack_from("<q", data, 48)[0]
    return f"{{st_mode=0{mode:o}, st_size={size}}}"


def _poll_entries(data: bytes) -> str:
    entries = [
        f"{{fd={each[0]}, events=0x{each[1]:x}}}" for each in struct.iter_unpack("<ihh", data[: len(data) // 8 * 8])
    ]
    return f"[{', '.join(entries)}]"


def _node_name(data: bytes) -> str:
    return f'{{sysname="{data[:65].split(bytes(1))[0].decode(errors="replace")}", ...}}'


_SHAPES = {
    "timespec": _numbers("<qq", "tv_sec tv_nsec"),
    "timeval": _numbers("<qq", "tv_sec tv_usec"),
    "itimerval": _numbers("<qqqq", "interval.tv_sec interval.tv_usec value.tv_sec value.tv_usec"),
    "itimerspec": _numbers("<qqqq", "interval.tv_sec interval.tv_nsec value.tv_sec value.tv_nsec"),
    "sigset": _signal_set,
    "sigaction": _sigaction,
    "stack": _alternate_stack,
    "epoll_event": _epoll_event,
    "rlimit": _limit,
    "ints": _integers,
    "fds": _integers,
    "stat": _stat,
    "pollfds": _poll_entries,
    "utsname": _node_name,
    "clone_args": _numbers("<QQQQQQQQ", "flags pidfd child_tid parent_tid exit_signal stack stack_size tls"),
    "open_how": _numbers("<QQQ", "flags mode resolve"),
}
