"""What LLVM must know of each machine: triple, data layout, features, code model, and the few words of assembly that
the front end weaves into every function. One value per architecture and profile; nothing else in metal asks which
machine it compiles for.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache

import llvmlite.binding as llvm

__all__ = ["ARCHITECTURES", "FRAME_LIMIT", "Target", "host_target", "kernel_target", "vdso_target"]

ARCHITECTURES = ("x86_64", "aarch64", "riscv64")


@dataclass(frozen=True)
class Target:
    """One machine in one profile.

    `attributes` goes into each function's attribute group. `trap` is the one instruction a failed check executes;
    the program counter of the exception it raises is that instruction's address. In the kernel profile
    `trap_assembly` is that instruction with the record that ties it to a number (see `trap_call`).
    """

    name: str
    profile: str
    triple: str
    datalayout: str
    cpu: str
    features: tuple[str, ...]
    code_model: str
    relocation: str
    attributes: str
    trap: str
    abi: str = ""
    pointer_bits: int = 64

    @property
    def header(self) -> str:
        """The two lines an IR text begins with: loads take their alignment from the layout while the text is parsed."""
        return f'target datalayout = "{self.datalayout}"\ntarget triple = "{self.triple}"\n'

    @property
    def trap_assembly(self) -> str:
        """Inline assembly of a failed check, quoted for IR; its operand is the number of the check."""
        return (
            f"1: {self.trap}\\0A.pushsection .goanna.traps,\\22\\22,%progbits\\0A"
            ".quad 1b\\0A.long ${0:c}\\0A.popsection"
        )

    def failure(self, check: int) -> str:
        """The IR of a failed check, one or two lines: it must end a block, no terminator is to be added.

        In the host profile the module declares `void @metal_fail(i32)`, which the host engine defines.
        """
        if self.profile == "host":
            return f"  call void @metal_fail(i32 {check}) cold noreturn nounwind\n  unreachable"
        return (
            f'  call void asm sideeffect "{self.trap_assembly}", "i"(i32 {check}) cold noreturn nounwind\n  unreachable'
        )

    @property
    def per_processor_base(self) -> str:
        """An IR expression (without a result name) for the i64 to add to a per-processor variable's address.

        Per-processor variables lie in section `.percpu`. On x86-64 they are in address space 256, so a plain load or
        store reaches the running processor's own (`%gs:variable`); the base is wanted only for their address.
        The start code sets gsbase (TPIDR_EL1, tp) to `block - __percpu_start` and, on x86-64, stores the same number in
        the block's first word, which the linker script reserves as `__percpu_base`.
        """
        return {
            "x86_64": 'call i64 asm sideeffect "movq %gs:__percpu_base, $0", "=r"()',
            "aarch64": 'call i64 asm sideeffect "mrs $0, tpidr_el1", "=r"()',
            "riscv64": 'call i64 asm sideeffect "mv $0, tp", "=r"()',
        }[self.name]

    @property
    def per_processor_space(self) -> str:
        """The address-space words of a per-processor variable's definition and pointers: "" but on x86-64."""
        return "addrspace(256) " if self.name == "x86_64" and self.profile == "kernel" else ""


@dataclass(frozen=True)
class _Machine:
    datalayout: str
    cpu: str
    features: tuple[str, ...]
    code_model: str
    trap: str
    abi: str = ""


_MACHINES = {
    "x86_64": _Machine(
        "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128",
        "x86-64",
        ("-mmx", "-sse", "-sse2", "-sse3", "-ssse3", "-sse4.1", "-sse4.2", "-avx", "-avx2", "-x87", "+soft-float"),
        "kernel",
        "ud2",
    ),
    "aarch64": _Machine(
        "e-m:e-p270:32:32-p271:32:32-p272:64:64-i8:8:32-i16:16:32-i64:64-i128:128-n32:64-S128-Fn32",
        "generic",
        ("-fp-armv8", "-neon", "+strict-align", "+tpidr-el1"),
        "small",
        "brk #1",
    ),
    # The trap is `csrrw x0, cycle, x0`: what the assembler calls unimp, kept at 4 bytes whatever the features are.
    "riscv64": _Machine(
        "e-m:e-p:64:64-i64:64-i128:128-n32:64-S128",
        "generic-rv64",
        ("+m", "+a", "+c", "+zicsr", "+zifencei", "-f", "-d", "-relax"),
        "medium",
        ".insn 4, 0xc0001073",
        "lp64",
    ),
}


# Kernel stacks are 16 KiB over a guard page of 4 KiB: no frame may step over the guard without touching it, and one
# that takes a large part of the stack is an error of the build.
FRAME_LIMIT = 6144
# A kernel is mostly code that runs once or seldom: an image is small, and an emulator translates little, where nothing
# is unrolled, aligned or copied for speed. It costs the longest paths one instruction in a hundred.
_SMALL = "optsize"
_STACK = f'"probe-stack"="inline-asm" "stack-probe-size"="4096" "warn-stack-size"="{FRAME_LIMIT}"'


def _attributes(cpu: str, features: tuple[str, ...]) -> str:
    # Loops that look for a zero become calls of the C library's functions unless they are refused by name. The memory
    # functions stay allowed: `runtime` has them.
    return (
        'nounwind noredzone noimplicitfloat "frame-pointer"="all" "no-builtin-strlen" "no-builtin-wcslen" '
        f'"target-cpu"="{cpu}" "target-features"="{",".join(features)}"'
    )


@cache
def kernel_target(name: str) -> Target:
    """The kernel profile of an architecture. Raises KeyError for one that is not in ARCHITECTURES."""
    each = _MACHINES[name]
    attributes = f"{_attributes(each.cpu, each.features)} {_SMALL} {_STACK}"
    return Target(
        name, "kernel", f"{name}-unknown-none-elf", each.datalayout, each.cpu, each.features, each.code_model, "static",
        attributes, each.trap, each.abi,
    )  # fmt: skip


@cache
def vdso_target(name: str) -> Target:
    """The vDSO profile: position-independent code that user mode runs, so it reads no register of the kernel's."""
    each = _MACHINES[name]
    features = tuple(feature for feature in each.features if feature != "+tpidr-el1")
    model = "small" if name != "riscv64" else "medium"
    attributes = _attributes(each.cpu, features)
    return Target(
        name, "vdso", f"{name}-unknown-none-elf", each.datalayout, each.cpu, features, model, "pic", attributes,
        each.trap, each.abi,
    )  # fmt: skip


@cache
def host_target() -> Target:
    """The machine this process runs on, for the JIT. Frame pointers are kept so that gdb walks JIT code."""
    llvm.initialize_native_target()
    triple = llvm.get_process_triple()
    machine = llvm.Target.from_triple(triple).create_target_machine(jit=True)
    name = {"x86_64": "x86_64", "amd64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}.get(
        platform.machine().lower(), platform.machine()
    )
    trap = _MACHINES[name].trap if name in _MACHINES else "unreachable"
    attributes = 'nounwind "frame-pointer"="all"'
    return Target(name, "host", triple, str(machine.target_data), "", (), "small", "pic", attributes, trap)
