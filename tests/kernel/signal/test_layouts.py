"""The structures that programs share with the kernel lie as the machine's own headers say."""

import pytest

from goanna.kernel.arch.signal_setup import StackRecord
from goanna.kernel.arch.x86_64 import signal_frame
from goanna.kernel.signal import info, posix_timer, span, state
from goanna.metal import offsetof, sizeof
from tests.kernel.signal.c_program import needs_linux_oracle, output

Context, Words = signal_frame.SignalContext, signal_frame.SoftwareWords
Ucontext = signal_frame.UserContext
CONTEXT_FIELDS = {
    "r8": "r8", "r15": "r15", "rdi": "rdi", "rsi": "rsi", "rbp": "rbp", "rbx": "rbx", "rdx": "rdx", "rax": "rax",
    "rcx": "rcx", "rsp": "rsp", "rip": "rip", "flags": "eflags", "cs": "cs", "gs": "gs", "fs": "fs", "ss": "ss",
    "error": "err", "trap": "trapno", "old_mask": "oldmask", "cr2": "cr2", "float_address": "fpstate",
}  # fmt: skip

# (C structure, C field or "" for the size) and what ours says.
EXPECTED = {
    ("struct sigcontext", ""): sizeof(Context),
    **{("struct sigcontext", theirs): offsetof(Context, ours) for ours, theirs in CONTEXT_FIELDS.items()},
    ("struct ucontext", ""): sizeof(Ucontext),
    ("struct ucontext", "uc_flags"): offsetof(Ucontext, "flags"),
    ("struct ucontext", "uc_link"): offsetof(Ucontext, "link"),
    ("struct ucontext", "uc_stack"): offsetof(Ucontext, "stack"),
    ("struct ucontext", "uc_mcontext"): offsetof(Ucontext, "context"),
    ("struct ucontext", "uc_sigmask"): offsetof(Ucontext, "mask"),
    ("stack_t", ""): sizeof(StackRecord),
    ("stack_t", "ss_flags"): offsetof(StackRecord, "flags"),
    ("stack_t", "ss_size"): offsetof(StackRecord, "size"),
    ("struct _fpx_sw_bytes", ""): sizeof(Words),
    ("struct _fpx_sw_bytes", "extended_size"): offsetof(Words, "extended_size"),
    ("struct _fpx_sw_bytes", "xfeatures"): offsetof(Words, "features"),
    ("struct _fpx_sw_bytes", "xstate_size"): offsetof(Words, "size"),
    ("struct _fpstate_64", "sw_reserved"): signal_frame.SOFTWARE_OFFSET,
    ("struct _fpstate_64", "mxcsr"): signal_frame.MXCSR_OFFSET,
    ("struct _fpstate_64", "mxcsr_mask"): signal_frame.MXCSR_MASK_OFFSET,
    ("struct _fpstate_64", "xmm_space"): signal_frame.XMM_OFFSET,
    ("struct sigaction", ""): sizeof(state.Action),
    ("struct sigaction", "sa_flags"): offsetof(state.Action, "flags"),
    ("struct sigaction", "sa_restorer"): offsetof(state.Action, "restorer"),
    ("struct sigaction", "sa_mask"): offsetof(state.Action, "mask"),
    ("siginfo_t", ""): info.SIGINFO_SIZE,
    ("siginfo_t", "si_code"): offsetof(info.Information, "code"),
    ("siginfo_t", "si_pid"): offsetof(info.Information, "details"),
    ("siginfo_t", "si_value"): offsetof(info.Information, "details") + offsetof(info.Sender, "value"),
    ("siginfo_t", "si_tid"): offsetof(info.Information, "details") + offsetof(info.Expiry, "timer"),
    ("siginfo_t", "si_overrun"): offsetof(info.Information, "details") + offsetof(info.Expiry, "overrun"),
    ("siginfo_t", "si_status"): offsetof(info.Information, "details") + offsetof(info.Child, "status"),
    ("siginfo_t", "si_utime"): offsetof(info.Information, "details") + offsetof(info.Child, "user_time"),
    ("siginfo_t", "si_stime"): offsetof(info.Information, "details") + offsetof(info.Child, "system_time"),
    ("siginfo_t", "si_addr"): offsetof(info.Information, "details") + offsetof(info.Fault, "address"),
    ("siginfo_t", "si_addr_lsb"): offsetof(info.Information, "details") + offsetof(info.Fault, "unit"),
    ("siginfo_t", "si_lower"): offsetof(info.Information, "details") + offsetof(info.Fault, "lower"),
    ("siginfo_t", "si_band"): offsetof(info.Information, "details") + offsetof(info.Band, "events"),
    ("siginfo_t", "si_fd"): offsetof(info.Information, "details") + offsetof(info.Band, "descriptor"),
    ("struct sigevent", ""): sizeof(posix_timer.SignalEvent),
    ("struct sigevent", "sigev_signo"): offsetof(posix_timer.SignalEvent, "signal"),
    ("struct sigevent", "sigev_notify"): offsetof(posix_timer.SignalEvent, "notify"),
    ("struct sigevent", "_sigev_un._tid"): offsetof(posix_timer.SignalEvent, "thread"),
    ("struct itimerspec", "it_value"): offsetof(span.Record, "value_seconds"),
}  # fmt: skip

HEADERS = """
#include <stddef.h>
#include <linux/time.h>
#include <asm/signal.h>
#include <asm/siginfo.h>
#include <asm/sigcontext.h>
#include <asm/ucontext.h>
int printf(const char *, ...);
int main(void) {
"""


@pytest.fixture(scope="module")
def theirs():
    lines = []
    for structure, field in EXPECTED:
        value = f"offsetof({structure}, {field})" if field else f"sizeof({structure})"
        lines.append(f'printf("%zu\\n", (size_t) {value});')
    numbers = output(HEADERS + "\n".join(lines) + "return 0; }").split()
    return dict(zip(EXPECTED, map(int, numbers), strict=True))


@needs_linux_oracle
@pytest.mark.parametrize("key", EXPECTED, ids=lambda key: ".".join(filter(None, key)))
def test_layout_is_that_of_the_machines_headers(theirs, key):
    assert EXPECTED[key] == theirs[key]
