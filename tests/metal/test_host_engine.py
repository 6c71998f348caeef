"""Compiled code on the host: arguments and results pass through blocks of slots, failed checks come back as numbers."""

import ctypes
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from goanna.metal.errors import CheckFailed, InternalError
from goanna.metal.host_engine import HostModule, slots, thunk_ir
from goanna.metal.host_entry import time_limit
from goanna.metal.target import host_target


def block(*values: int) -> tuple[ctypes.Array[ctypes.c_uint64], int]:
    """An arguments block and its address."""
    made = (ctypes.c_uint64 * max(len(values), 8))(*values)
    return made, ctypes.addressof(made)


DIVIDE = """
declare void @metal_fail(i32)
@calls = global i64 0
define i32 @divide(i32 %a, i32 %b) {
  %old = load i64, ptr @calls
  %new = add i64 %old, 1
  store i64 %new, ptr @calls
  %zero = icmp eq i32 %b, 0
  br i1 %zero, label %bad, label %good
bad:
  call void @metal_fail(i32 42)
  unreachable
good:
  %quotient = udiv i32 %a, %b
  ret i32 %quotient
}
""" + thunk_ir("divide", ["i32", "i32"], "i32")


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_failed_check_comes_back_as_its_number_and_the_module_goes_on(level: int) -> None:
    module = HostModule(DIVIDE, level)
    function = module.address("divide$thunk")
    for _ in range(3):
        values, address = block(100, 7)
        assert module.call(function, address) is None
        assert values[0] == 14
        values, address = block(100, 0)
        assert module.call(function, address) == 42
    assert ctypes.c_uint64.from_address(module.address("calls")).value == 6


def test_two_modules_of_the_same_symbols_live_side_by_side() -> None:
    one, two = HostModule(DIVIDE), HostModule(DIVIDE)
    assert one.address("divide") != two.address("divide")
    _, address = block(1, 0)
    assert one.call(one.address("divide$thunk"), address) == 42
    assert two.call(two.address("divide$thunk"), address) == 42


def test_check_numbers_use_all_31_bits() -> None:
    module = HostModule(DIVIDE.replace("i32 42", "i32 2147483647"))
    _, address = block(1, 0)
    assert module.call(module.address("divide$thunk"), address) == 2**31 - 1


def test_slices_and_tuples_take_a_slot_for_each_scalar() -> None:
    result = "{{ptr, i64}, i1, i8}"
    text = f"""
define {result} @cut({{ptr, i64}} %s, i8 %n, i1 %flag) {{
  %r0 = insertvalue {result} poison, {{ptr, i64}} %s, 0
  %r1 = insertvalue {result} %r0, i1 %flag, 1
  %r2 = insertvalue {result} %r1, i8 %n, 2
  ret {result} %r2
}}
"""
    module = HostModule(text + thunk_ir("cut", ["{ptr, i64}", "i8", "i1"], result))
    assert (slots(result), slots("{ptr, i64}"), slots("void"), slots("i1")) == (4, 2, 0, 1)
    values, address = block(0x1234, 3, 0x1FF, 0xFE)
    assert module.call(module.address("cut$thunk"), address) is None
    assert list(values)[:4] == [0x1234, 3, 0, 0xFF]


def test_a_failure_inside_a_call_from_metal_to_python_ends_the_inner_call_only() -> None:
    text = """
declare void @metal_fail(i32)
define i64 @outer(ptr %python, i64 %then) {
  %inner = call i64 %python()
  %fails = icmp ne i64 %then, 0
  br i1 %fails, label %bad, label %good
bad:
  call void @metal_fail(i32 2)
  unreachable
good:
  ret i64 %inner
}
define void @fails() {
  call void @metal_fail(i32 1)
  unreachable
}
"""
    module = HostModule(text + thunk_ir("outer", ["ptr", "i64"], "i64") + thunk_ir("fails", [], "void"))
    seen: list[int | None] = []

    @ctypes.PYFUNCTYPE(ctypes.c_int64)
    def inner() -> int:
        _, address = block()
        seen.append(module.call(module.address("fails$thunk"), address))
        return 5

    pointer = ctypes.cast(inner, ctypes.c_void_p).value or 0
    values, address = block(pointer, 0)
    assert module.call(module.address("outer$thunk"), address) is None
    assert values[0] == 5
    values, address = block(pointer, 1)
    assert module.call(module.address("outer$thunk"), address) == 2
    assert seen == [1, 1]


SWITCH = {
    "x86_64": '"movq %rsp, %rbx\\0Amovq $0, %rsp\\0Acallq *$1\\0Amovq %rbx, %rsp", "r,r,~{rbx},~{memory}"',
    "aarch64": '"mov x19, sp\\0Amov sp, $0\\0Ablr $1\\0Amov sp, x19", "r,r,~{x19},~{x30},~{memory}"',
}


def test_a_failure_on_another_stack_returns_to_the_stack_that_python_called_on() -> None:
    text = f"""
declare void @metal_fail(i32)
define void @coroutine() {{
  call void @metal_fail(i32 9)
  unreachable
}}
define void @elsewhere(i64 %top) {{
  call void asm sideeffect {SWITCH[host_target().name]}(i64 %top, ptr @coroutine)
  ret void
}}
"""
    module = HostModule(text + thunk_ir("elsewhere", ["i64"], "void"))
    stack = ctypes.create_string_buffer(65536)
    top = (ctypes.addressof(stack) + len(stack)) & ~15
    for _ in range(3):
        _, address = block(top)
        assert module.call(module.address("elsewhere$thunk"), address) == 9


FAULTS = """
define i64 @load(ptr %p) {
  %value = load volatile i64, ptr %p
  ret i64 %value
}
define void @deep(i64 %n) noinline {
  %memory = alloca [4096 x i8]
  call void asm sideeffect "", "r,~{memory}"(ptr %memory)
  call void @deep(i64 %n)
  call void asm sideeffect "", "r,~{memory}"(ptr %memory)
  ret void
}
define void @forever() {
  br label %loop
loop:
  call void asm sideeffect "", ""()
  br label %loop
}
declare void @llvm.trap()
define void @refused() {
  call void @llvm.trap()
  unreachable
}
""" + "".join(
    [
        thunk_ir("load", ["ptr"], "i64"),
        thunk_ir("deep", ["i64"], "void"),
        thunk_ir("forever", [], "void"),
        thunk_ir("refused", [], "void"),
    ]
)


def test_a_fault_is_a_failed_check_and_the_module_goes_on() -> None:
    module = HostModule(FAULTS)
    word = ctypes.c_uint64(77)
    for _ in range(3):
        _, address = block(0x123450)
        with pytest.raises(CheckFailed, match="memory at 0x123450"):
            module.call(module.address("load$thunk"), address)
        values, address = block(ctypes.addressof(word))
        assert module.call(module.address("load$thunk"), address) is None
        assert values[0] == 77


def test_an_instruction_that_the_processor_refuses_is_a_failed_check() -> None:
    module = HostModule(FAULTS)
    _, address = block()
    with pytest.raises(CheckFailed, match="refuses"):
        module.call(module.address("refused$thunk"), address)


def test_a_recursion_without_end_is_a_failed_check() -> None:
    module = HostModule(FAULTS)
    _, address = block(1)
    for _ in range(2):
        with pytest.raises(CheckFailed, match="memory at"):
            module.call(module.address("deep$thunk"), address)


def test_a_loop_without_end_meets_the_time_limit() -> None:
    module = HostModule(FAULTS)
    _, address = block()
    for _ in range(2):
        with pytest.raises(CheckFailed, match="time limit"), time_limit(0.05):
            module.call(module.address("forever$thunk"), address)
    with time_limit(0.02), pytest.raises(CheckFailed, match="time limit"):
        sum(range(3_000_000))  # the limit passes here, outside of metal
        module.call(module.address("forever$thunk"), address)


def test_a_fault_outside_of_metal_ends_the_process_as_before() -> None:
    script = "import ctypes\nfrom goanna.metal.host_entry import entry\nentry()\nctypes.string_at(16)\n"
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", script], capture_output=True, text=True)
    assert done.returncode == -signal.SIGSEGV
    assert "Segmentation fault" in done.stderr


def test_memory_functions_come_from_the_process() -> None:
    text = """
declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)
define void @move(ptr %to, ptr %from, i64 %n) {
  call void @llvm.memmove.p0.p0.i64(ptr %to, ptr %from, i64 %n, i1 false)
  ret void
}
"""
    module = HostModule(text + thunk_ir("move", ["ptr", "ptr", "i64"], "void"))
    data = ctypes.create_string_buffer(b"abcdefgh")
    _, address = block(ctypes.addressof(data) + 1, ctypes.addressof(data), 4)
    assert module.call(module.address("move$thunk"), address) is None
    assert data.value == b"aabcdfgh"


def test_ir_that_llvm_refuses_is_an_internal_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(InternalError):
        HostModule("define void @f() { ret i32 0 }")
