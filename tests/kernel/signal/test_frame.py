"""The x86-64 signal frame: where it lies, what it holds, what comes back, and that nothing bad comes back."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch.x86_64 import signal_frame
from goanna.metal import offsetof, sizeof
from tests.kernel.signal.c_program import needs_linux_oracle, output
from tests.kernel.signal.frames import STACK, Bench, loads

REGISTERS = [
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx", "rax", "rcx",
]  # fmt: skip
USER_FLAGS = 0x240DD5  # what Frame lets a program set
CONTEXT = signal_frame.USER_OFFSET + offsetof(signal_frame.UserContext, "context")
SA_ONSTACK = 0x08000000
SA_RESTORER = 0x04000000
word = st.integers(0, 2**64 - 1)


@pytest.fixture(scope="module", params=[True, False], ids=["xsave", "fxsave"])
def bench(request):
    return Bench(request.param)


def context_place(bench, frame, field):
    """Where a field of the pushed sigcontext lies in the stack."""
    return frame.rsp - bench.stack.address + CONTEXT + offsetof(signal_frame.SignalContext, field)


@settings(max_examples=60, deadline=None)
@given(registers=st.lists(word, min_size=15, max_size=15), mask=word, flags=word, depth=st.integers(0x800, 0x1800))
def test_what_was_pushed_comes_back(bench, registers, mask, flags, depth):
    bench.reset()
    before = bench.area[:]
    values = dict(zip(REGISTERS, registers, strict=True))
    frame = bench.frame(
        **values, rip=0x12345, rflags=(flags & USER_FLAGS) | 0x202, rsp=bench.stack.address + STACK - depth
    )
    wanted = {name: getattr(frame, name) for name in [*REGISTERS, "rip", "rsp", "rflags"]}
    assert bench.push(frame, mask=mask)
    assert frame.rsp % 16 == 8
    assert frame.rip == 0x401000 and frame.rdi == 11 and frame.rax == 0
    assert frame.rflags & 0x500 == 0
    frame.rsp += 8  # the handler's ret
    back = bench.pop(frame)
    assert back.mask == mask
    assert {name: getattr(frame, name) for name in wanted} == wanted
    assert bench.area[: signal_frame.SOFTWARE_OFFSET] == before[: signal_frame.SOFTWARE_OFFSET]


def test_frame_keeps_clear_of_the_red_zone(bench):
    bench.reset()
    frame = bench.frame()
    start = frame.rsp - bench.stack.address
    above = bench.stack[start - 128 : STACK]
    assert bench.push(frame)
    assert bench.stack[start - 128 : STACK] == above


def test_frame_says_what_its_vector_state_is(bench):
    bench.reset()
    frame = bench.frame()
    assert bench.push(frame)
    place = frame.rsp - bench.stack.address
    floats = bench.stack.word(context_place(bench, frame, "float_address"))
    assert floats % 64 == 0
    floats -= bench.stack.address
    magic, extended, features, size = struct.unpack("<IIQI", bench.stack[floats + 464 : floats + 484])
    assert magic == 0x46505853 and size == bench.size and extended == bench.size + 4
    assert features == (bench.xcr0 or 3)
    flags = bench.stack.word(place + signal_frame.USER_OFFSET)
    if bench.xcr0:
        assert bench.stack.word(floats + bench.size, 4) == 0x46505845
        assert bench.stack.word(floats + 512) & 3 == 3
    assert flags == (7 if bench.xcr0 else 6)
    assert bench.stack.word(place) == 0x402000


def test_handler_starts_with_fresh_vector_state(bench):
    bench.reset()
    bench.area.set_word(24, 0x9FC0, 4)
    bench.area[32:416] = bytes(range(128)) * 3
    assert bench.push(bench.frame())
    assert bench.area.word(24, 4) == 0x1F80 and bench.area.word(0, 2) == 0x37F
    assert bench.area[32:416] == bytes(384)


def test_vector_state_that_xsaveopt_left_out_is_written_to_the_frame(bench):
    if not bench.xcr0:
        pytest.skip("FXSAVE leaves nothing out")
    bench.reset()
    bench.area[32:416] = b"\xee" * 384  # an earlier program's
    bench.area.set_word(512, 0)
    frame = bench.frame()
    assert bench.push(frame)
    floats = bench.stack.word(context_place(bench, frame, "float_address")) - bench.stack.address
    assert bench.stack[floats + 32 : floats + 416] == bytes(384)
    assert bench.stack.word(floats, 2) == 0x37F and bench.stack.word(floats + 24, 4) == 0x1F80


def test_frame_goes_to_the_alternate_stack_only_if_asked(bench):
    bench.reset()
    stack = (bench.stack.address, 0x8000, 0)
    frame = bench.frame()
    assert bench.push(frame, stack=stack)
    assert not bench.stack.address < frame.rsp <= bench.stack.address + 0x8000
    frame = bench.frame()
    assert bench.push(frame, stack=stack, flags=SA_RESTORER | SA_ONSTACK)
    assert bench.stack.address + 0x7000 < frame.rsp <= bench.stack.address + 0x8000


def test_frame_on_the_alternate_stack_lies_below_the_one_before(bench):
    bench.reset()
    stack = (bench.stack.address, 0x8000, 0)
    frame = bench.frame(rsp=bench.stack.address + 0x5000)
    assert bench.push(frame, stack=stack, flags=SA_RESTORER | SA_ONSTACK)
    assert frame.rsp < bench.stack.address + 0x5000


def test_autodisarmed_stack_starts_at_its_top_again(bench):
    bench.reset()
    stack = (bench.stack.address, 0x8000, 1 << 31)
    frame = bench.frame(rsp=bench.stack.address + 0x5000)
    assert bench.push(frame, stack=stack, flags=SA_RESTORER | SA_ONSTACK)
    assert frame.rsp > bench.stack.address + 0x5000


@pytest.mark.parametrize("size", [0x800, 600, 1])
def test_alternate_stack_that_overflows_is_refused(bench, size):
    if size == 0x800 and bench.size < 1200:
        pytest.skip("it fits")
    bench.reset()
    frame = bench.frame()
    before = bytes(frame)
    assert not bench.push(frame, stack=(bench.stack.address + 0x4000, size, 0), flags=SA_RESTORER | SA_ONSTACK)
    assert bytes(frame) == before


@pytest.mark.parametrize("rsp", [0, 8, 600, 2**63, 2**64 - 1, 0x7FFFFFFFF000, 0xFFFF800000000000])
def test_push_to_no_stack_is_refused_and_changes_nothing(bench, rsp):
    bench.reset()
    frame = bench.frame(rsp=rsp)
    before = bytes(frame)
    assert not bench.push(frame)
    assert bytes(frame) == before


def test_push_without_a_restorer_is_refused(bench):
    bench.reset()
    assert not bench.push(bench.frame(), flags=4)


def pushed(bench, **values):
    bench.reset()
    frame = bench.frame(rip=0x1000, **values)
    assert bench.push(frame)
    frame.rsp += 8
    return frame


def poke(bench, frame, field, value, size=8):
    """Change the pushed sigcontext as a handler may."""
    bench.stack.set_word(context_place(bench, frame, field) - 8, value, size)


@pytest.mark.parametrize("rip", [0x7FFFFFFFF000, 0x800000000000, 2**63, 2**64 - 1, 0xFFFFFFFF80000000])
def test_return_to_an_address_outside_user_space_is_refused(bench, rip):
    frame = pushed(bench)
    poke(bench, frame, "rip", rip)
    before = bytes(frame)
    assert bench.pop(frame) is None
    assert bytes(frame) == before


@pytest.mark.parametrize("cs", [0, 8, 0x10, 0x1B, 0x33, 0xFFFF])
def test_return_to_a_segment_that_is_not_the_programs_is_refused(bench, cs):
    frame = pushed(bench)
    poke(bench, frame, "cs", cs, 2)
    assert bench.pop(frame) is None


def test_return_keeps_to_the_flags_that_a_program_may_set(bench):
    frame = pushed(bench)
    poke(bench, frame, "flags", 2**64 - 1)
    assert bench.pop(frame)
    assert frame.rflags == 0x202 | 0x40DD5 | (frame.rflags & 1 << 21)
    assert frame.rflags & 0x3000 == 0 and frame.cs == 0x23 and frame.ss == 0x1B


def test_return_without_vector_state_starts_afresh(bench):
    frame = pushed(bench)
    poke(bench, frame, "float_address", 0)
    bench.area[32:416] = b"\xaa" * 384
    assert bench.pop(frame)
    assert bench.area[32:416] == bytes(384)


@pytest.mark.parametrize("address", [8, 0x1000, 2**64 - 64, 0xFFFF800000000000, 0x7FFFFFFFEFC0])
def test_return_with_vector_state_nowhere_is_refused(bench, address):
    frame = pushed(bench)
    poke(bench, frame, "float_address", address)
    assert bench.pop(frame) is None


def test_return_with_an_impossible_mxcsr_is_refused(bench):
    frame = pushed(bench)
    floats = bench.stack.word(context_place(bench, frame, "float_address") - 8) - bench.stack.address
    bench.stack.set_word(floats + 24, 0x1F80 | 1 << 16, 4)
    assert bench.pop(frame) is None


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_nothing_a_program_writes_into_the_frame_hurts(bench, data):
    """Whatever is accepted loads into the processor's registers and returns to the program's own code and stack."""
    frame = pushed(bench)
    floats = bench.stack.word(context_place(bench, frame, "float_address") - 8) - bench.stack.address
    start = frame.rsp - bench.stack.address
    places = st.one_of(
        st.integers(start, start + sizeof(signal_frame.SignalFrame) - 16),
        st.integers(floats, floats + 36),
        st.sampled_from([464, 468, 472, 480, 512, 520, 528]).map(lambda place: floats + place),
        st.integers(floats + 464, floats + min(bench.size + 4, 700)),
    )  # fmt: skip
    small = st.integers(0, 8)
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(places)
        bench.stack[place : place + 8] = data.draw(st.one_of(word, small)).to_bytes(8, "little")
    if bench.pop(frame) is None:
        return
    assert frame.cs == 0x23 and frame.ss == 0x1B and frame.rip < 0x7FFFFFFFF000
    assert frame.rflags & ~0x240DD5 == 0x202
    if bench.xcr0:
        bench.unit.call(loads, bench.area.address, bench.keep.address)


LIVE = """
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdint.h>
#include <ucontext.h>
static void handler(int n, siginfo_t *info, void *context) {
    ucontext_t *u = context;
    uintptr_t floats = (uintptr_t) u->uc_mcontext.fpregs;
    uint32_t *software = (uint32_t *) (floats + 464);
    printf("%d %d %d %d %d %d\\n", (int) ((uintptr_t) info - (uintptr_t) u), (int) ((uintptr_t) u % 16),
        (int) u->uc_flags, (int) (floats % 64), software[0] == 0x46505853,
        *(uint32_t *) (floats + software[4]) == 0x46505845);
}
int main(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, 0);
    raise(SIGUSR1);
}
"""


@needs_linux_oracle
def test_linux_lays_its_frame_the_same_way():
    bench = Bench()
    frame = bench.frame()
    assert bench.push(frame)
    floats = bench.stack.word(context_place(bench, frame, "float_address"))
    user = frame.rsp + signal_frame.USER_OFFSET
    flags = bench.stack.word(user - bench.stack.address)
    ours = [signal_frame.INFORMATION_OFFSET - signal_frame.USER_OFFSET, user % 16, flags, floats % 64, 1, 1]
    assert [int(each) for each in output(LIVE).split()] == ours
