"""What the processor reads: gates, segments, the task state, and the frame's layout."""

from hypothesis import given
from hypothesis import strategies as st

from goanna.kernel.arch.x86_64 import descriptor, frame
from goanna.metal import jit, offsetof

unit = jit(descriptor.gate, descriptor.task_descriptor, frame.Frame, frame.describe_frame)


@given(st.integers(0, 2**64 - 1), st.integers(0, 7), st.sampled_from([0, 3]))
def test_a_gate_has_its_parts_where_the_manual_says(handler, stack, level):
    low, high = unit.call(descriptor.gate, handler, stack, level)
    assert low & 0xFFFF | (low >> 48) << 16 | high << 32 == handler
    assert low >> 16 & 0xFFFF == frame.KERNEL_CODE
    assert low >> 32 & 0xFF == stack
    assert low >> 40 & 0xFF == 0x8E | level << 5  # present, interrupt gate


@given(st.integers(0, 2**64 - 1))
def test_a_task_descriptor_has_its_parts_where_the_manual_says(base):
    low, high = unit.call(descriptor.task_descriptor, base)
    assert low & 0xFFFF == 103
    assert low >> 16 & 0xFFFFFF | (low >> 56) << 24 | high << 32 == base
    assert low >> 40 & 0xFF == 0x89 and low >> 48 & 0xFF == 0


def test_user_segments_lie_where_sysret_expects_them():
    assert frame.USER_DATA == frame.KERNEL_DATA + 8 | 3
    assert frame.USER_CODE == frame.KERNEL_DATA + 16 | 3


def test_the_assemblys_offsets_are_the_frames():
    names = ("r11", "rcx", "rip", "cs", "rflags", "rsp")
    assert [offsetof(frame.Frame, name) for name in names] == [48, 88, 136, 144, 152, 160]


def test_a_restarted_call_is_at_its_instruction_with_its_number():
    registers = unit.new(frame.Frame)
    unit.call(frame.Frame.start, registers, 0x401000, 0x7FFF0000)
    registers.code, registers.rip, registers.rax = 202, 0x401002, 2**64 - 4
    assert unit.call(frame.Frame.result, registers) == -4
    unit.call(frame.Frame.restart_call, registers)
    assert (registers.rip, registers.rax) == (0x401000, 202)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_a_frame_made_safe_returns_to_user_mode_at_a_user_address(rip, flags, cs, ss):
    registers = unit.new(frame.Frame, rip=rip, rflags=flags, cs=cs, ss=ss, vector=frame.CALL)
    unit.call(frame.Frame.make_safe, registers)
    assert registers.cs == frame.USER_CODE and registers.ss == frame.USER_DATA
    assert registers.rip < 2**47
    assert registers.rflags & 0x3000 == 0 and registers.rflags & 0x202 == 0x202
    assert not unit.call(frame.Frame.is_call, registers)


def test_the_dump_names_every_register_once():
    registers = unit.new(frame.Frame, rip=0x1234, r15=0xFEDCBA9876543210)
    text, line = [], 0
    while True:
        buffer = bytearray(frame.FRAME_LINE)
        length = unit.call(frame.describe_frame, registers, line, buffer)
        if not length:
            break
        text.append(bytes(buffer[:length]).decode())
        line += 1
    words = " ".join(text).split()
    assert words[:2] == ["rip", "0000000000001234"]
    assert words[words.index("r15") + 1] == "fedcba9876543210"
    assert sorted(words[::2]) == sorted(frame.Frame.fields)
