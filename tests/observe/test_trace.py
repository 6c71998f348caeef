"""Trace records as a person reads them."""

from __future__ import annotations

import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goanna.kernel.arch.x86_64.numbers import SYSCALL_NUMBERS
from goanna.kernel.shared import control
from goanna.kernel.shared.calls import SIGNATURES
from goanna.layouts import packed
from goanna.observe.trace import _SHAPES, line_of
from goanna.observe.words import NAMES


def line(name: str, *arguments: int, result: int = 0, texts: dict[int, bytes] | None = None, cut: bool = False,
         flags: int = 0) -> str:  # fmt: skip
    texts = texts or {}
    whole = [*(each & (1 << 64) - 1 for each in arguments), *[0] * (6 - len(arguments))]
    payload = packed(
        control.Trace,
        thread=3,
        number=SYSCALL_NUMBERS[name],
        result=result,
        arguments=whole,
        texts=len(texts),
        flags=flags,
    )
    for index, data in texts.items():
        payload += packed(control.TraceText, argument=index, cut=cut, length=len(data)) + data
    return line_of(payload)


def test_path_flags_and_error() -> None:
    assert line("openat", -100, 0x1000, 0o2000000, 0, result=-2, texts={1: b"/etc/hosts"}) == (
        '3: openat(AT_FDCWD, "/etc/hosts", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)'
    )


def test_buffer_and_its_cut() -> None:
    assert line("write", 1, 0x1000, 6, result=6, texts={1: b'hi "\n\xff'}) == ('3: write(1, "hi \\"\\n\\xff", 6) = 6')
    assert (
        line("write", 1, 0x1000, 600, result=600, texts={1: b"begin"}, cut=True) == '3: write(1, "begin"..., 600) = 600'
    )


def test_mapping() -> None:
    assert line("mmap", 0, 65536, 3, 0x22, -1, 0, result=0x7F00_0000_0000) == (
        "3: mmap(NULL, 65536, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000"
    )
    assert "PROT_NONE" in line("mmap", 0, 4096, 0, 0x4022, -1, 0)


def test_futex_with_timeout() -> None:
    assert line("futex", 0x5000, 0x80, 2, 0x6000, result=-110, texts={3: struct.pack("<qq", 1, 5)}).startswith(
        "3: futex(0x5000, FUTEX_WAIT|FUTEX_PRIVATE_FLAG, 2, "
    )
    assert line("clock_nanosleep", 1, 0, 0x10, 0, texts={2: struct.pack("<qq", 1, 5)}) == (
        "3: clock_nanosleep(CLOCK_MONOTONIC, 0, {tv_sec=1, tv_nsec=5}, NULL) = 0"
    )


def test_signals() -> None:
    handler = struct.pack("<QQQQ", 0x401000, 0x18000004, 0x402000, (1 << 64) - 1)
    assert line("rt_sigaction", 23, 0x10, 0, 8, texts={1: handler}) == (
        "3: rt_sigaction(SIGURG, {sa_handler=0x401000, sa_mask=~[], sa_flags=SA_SIGINFO|SA_ONSTACK|SA_RESTART, "
        "sa_restorer=0x402000}, NULL, 8) = 0"
    )
    assert line("rt_sigprocmask", 2, 0x10, 0, 8, texts={1: struct.pack("<Q", 1 << 1 | 1 << 14)}) == (
        "3: rt_sigprocmask(SIG_SETMASK, [INT TERM], NULL, 8) = 0"
    )
    assert line("tgkill", 1, 2, 23) == "3: tgkill(1, 2, SIGURG) = 0"


def test_clone_names_its_flags() -> None:
    assert "CLONE_VM|CLONE_FS" in line("clone", 0x50F00, 0x1000, 0, 0, 0, result=4)
    assert "SIGCHLD" in line("clone", 17, 0, 0, 0, 0)


@pytest.mark.parametrize(("name", "arguments", "said"), [
    ("openat", (-100, 0x10, 0o100, 0o644), "openat(AT_FDCWD, 0x10, O_RDONLY|O_CREAT, 0644)"),
    ("openat", (-100, 0x10, 0, 0o644), "openat(AT_FDCWD, 0x10, O_RDONLY)"),
    ("fcntl", (3, 3, 7), "fcntl(3, F_GETFL)"),
    ("fcntl", (3, 2, 1), "fcntl(3, F_SETFD, 0x1)"),
    ("futex", (0x10, 0x81, 1, 5, 6, 7), "futex(0x10, FUTEX_WAKE|FUTEX_PRIVATE_FLAG, 1)"),
    ("futex", (0x10, 0x80, 1, 0, 6, 7), "futex(0x10, FUTEX_WAIT|FUTEX_PRIVATE_FLAG, 1, NULL)"),
    ("mremap", (0x1000, 4096, 8192, 1, 9), "mremap(0x1000, 4096, 8192, MREMAP_MAYMOVE)"),
])  # fmt: skip
def test_arguments_that_a_call_does_not_read_are_left_out(name: str, arguments: tuple[int, ...], said: str) -> None:
    assert line(name, *arguments) in (f"3: {said} = 0", f"3: {said} = 0x0")


def test_interrupted_call_has_no_result_yet() -> None:
    assert line("futex", 0x10, 0x80, 1, 0, result=-512).endswith(") = ? ERESTARTSYS (interrupted)")


def test_call_that_does_not_return() -> None:
    assert line("exit_group", 7, flags=control.TRACE_ENDLESS) == "3: exit_group(7) = ?"


def test_unknown_number() -> None:
    payload = packed(control.Trace, thread=1, number=9999, result=-38)
    assert re.match(r"1: call_9999\(0, .*\) = -1 ENOSYS", line_of(payload))


def test_pointer_that_could_not_be_read_is_a_number() -> None:
    assert line("write", 1, 0x10, 5, result=-14) == "3: write(1, 0x10, 5) = -1 EFAULT (Bad address)"


def test_record_that_is_too_short() -> None:
    with pytest.raises(ValueError, match=r"small|size"):
        line_of(b"\0" * 20)


def test_every_kind_that_calls_name_has_words() -> None:
    plain = {"fd", "dirfd", "path", "string", "in", "out", "int", "long", "size", "hex", "pointer", "mode"}
    for kinds in SIGNATURES.values():
        for kind in kinds:
            name = re.split("[@!:]", kind)[0]
            assert name in plain or name in NAMES or name in _SHAPES, kind


@given(
    st.sampled_from(sorted(SIGNATURES)), st.lists(st.integers(0, (1 << 64) - 1), min_size=6, max_size=6), st.binary()
)
def test_any_arguments_give_a_line(name: str, arguments: list[int], data: bytes) -> None:
    if name in SYSCALL_NUMBERS:
        texts = {index: data for index in range(6)}
        assert line(name, *arguments, texts=texts).startswith(f"3: {name}(")
        assert line(name, *arguments).startswith(f"3: {name}(")
