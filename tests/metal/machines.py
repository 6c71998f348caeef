"""Bare machines for the compiler's tests: the least start code for each architecture, and a main function that calls
metal functions and writes their results to the serial port, 16 hexadecimal digits a line.

There is no virtual memory but x86-64's identity map, and no trap handler that goes on: a failed check ends the machine,
so the results after it are missing.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from goanna.metal import Array, Fn, constant, metal, u8, u16, u64, unsafe
from goanna.metal.backend import assemble
from goanna.metal.compile import compile_object, compile_parts
from goanna.metal.link import kernel_script, link
from goanna.metal.runtime import runtime_object
from goanna.metal.target import kernel_target

# PVH starts in 32-bit protected mode (xen/include/public/arch-x86/hvm/start_info.h). The first GiB is mapped where it
# is, in pages of 2 MiB; the exit port is isa-debug-exit's.
_X86_64 = """
.section .note.Xen,"a",@note
.long 4, 8, 18
.asciz "Xen"
.quad _start
.section .boot,"ax",@progbits
.code32
.globl _start
_start:
    movl $page_directory, %edi
    movl $0x83, %eax
1:  movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $0x200000, %eax
    addl $8, %edi
    cmpl $page_directory + 4096, %edi
    jne 1b
    movl $page_directory + 3, page_directories
    movl $page_directories + 3, page_root
    movl $page_root, %eax
    movl %eax, %cr3
    movl $0x20, %eax
    movl %eax, %cr4
    movl $0xc0000080, %ecx
    movl $0x100, %eax
    xorl %edx, %edx
    wrmsr
    movl $0x80000001, %eax
    movl %eax, %cr0
    lgdtl table_register
    ljmpl $8, $2f
.code64
2:  movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movq $stack_top, %rsp
    xorl %ebp, %ebp
    call metal_main
    movl $0, %eax
    outl %eax, $0xf4
3:  hlt
    jmp 3b
.p2align 3
descriptors:
    .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff
table_register:
    .word 23
    .long descriptors
.section .bss.start,"aw",@nobits
.p2align 12
page_root: .skip 4096
page_directories: .skip 4096
page_directory: .skip 4096
.skip 65536
stack_top:
"""

# Every exception, whatever it is, ends the machine: PSCI SYSTEM_OFF (Arm DEN0022 5.10) by hvc.
_AARCH64 = """
.section .boot,"ax",%progbits
.globl _start
_start:
    ldr x0, =vectors
    msr vbar_el1, x0
    ldr x0, =stack_top
    mov sp, x0
    msr tpidr_el1, xzr
    mov x29, xzr
    isb
    bl metal_main
off:
    ldr x0, =0x84000008
    hvc #0
    b off
.p2align 11
vectors:
.rept 16
    b off
    .p2align 7
.endr
.section .bss.start,"aw",%nobits
.p2align 4
.skip 65536
stack_top:
"""

# The machine's test finisher ends it; 0x5555 is its word for success.
_RISCV64 = """
.section .boot,"ax",%progbits
.globl _start
_start:
    la t0, off
    csrw mtvec, t0
    la sp, stack_top
    li tp, 0
    li s0, 0
    call metal_main
.p2align 2
off:
    li t0, 0x100000
    li t1, 0x5555
    sw t1, 0(t0)
    j off
.section .bss.start,"aw",%nobits
.p2align 4
.skip 65536
stack_top:
"""

_START = {"x86_64": _X86_64, "aarch64": _AARCH64, "riscv64": _RISCV64}
_LOADED_AT = {"x86_64": 0x200000, "aarch64": 0x40200000, "riscv64": 0x80000000}
_QEMU = {
    "x86_64": ["-M", "microvm,isa-serial=on", "-cpu", "max", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"],
    "aarch64": ["-M", "virt", "-cpu", "cortex-a57"],
    "riscv64": ["-M", "virt", "-bios", "none"],
}
SECONDS = 120


def put_for(architecture: str) -> Any:
    """A metal function that writes a byte to the serial port."""
    address = {"x86_64": 0x3F8, "aarch64": 0x0900_0000, "riscv64": 0x1000_0000}[architecture]

    @metal
    def put(byte: u8) -> None:
        if architecture == "x86_64":
            unsafe.asm("outb %al, %dx", "{al},{dx}", byte, u16(address))
        else:
            unsafe.store(u8, address, byte, volatile=True)

    return put


def main_for(architecture: str, programs: Sequence[Any]) -> Any:
    """The function that the start code calls: it calls all programs."""
    put = put_for(architecture)
    count = len(programs)
    table = constant(Array[Fn[[], u64], count], list(programs))
    digits = constant(Array[u8, 16], b"0123456789abcdef")

    @metal(export="metal_main")
    def metal_main() -> None:
        for index in range(count):
            result = table[index]()
            for digit in range(16):
                put(digits[(result >> (60 - 4 * digit)) & 15])
            put(10)

    return metal_main


def build(
    architecture: str, level: int, programs: Sequence[Any], folder: Path, part_of: Callable[[str], str] | None = None
) -> Path:
    """The path of a kernel that calls the programs; divided, at level 2, if `part_of` says how."""
    target = kernel_target(architecture)
    parts, roots = [folder / "main.o"], [main_for(architecture, programs)]
    if part_of is None:
        compile_object(roots, target, parts[0], level=level)
    else:
        parts, _ = compile_parts(roots, target, folder, part_of)
    assemble(_START[architecture], target, folder / "start.o")
    runtime_object(target, folder / "runtime.o")
    base = _LOADED_AT[architecture]
    objects = [folder / "start.o", *parts, folder / "runtime.o"]
    link(objects, kernel_script(target, base, base), folder / "kernel.elf")
    return folder / "kernel.elf"


def command(architecture: str, kernel: Path) -> list[str]:
    """What starts a kernel on a machine of that architecture, its serial port on standard output."""
    machine = [f"qemu-system-{architecture}", *_QEMU[architecture], "-accel", "tcg", "-m", "128", "-nodefaults"]
    return [*machine, "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", str(kernel)]


def results(
    architecture: str, level: int, programs: Sequence[Any], folder: Path, part_of: Callable[[str], str] | None = None
) -> list[int]:
    """What each program (a metal function without parameters that gives a u64) gives on a machine of that architecture.

    Shorter than `programs` if one of them stopped the machine.
    """
    start = command(architecture, build(architecture, level, programs, folder, part_of))
    done = subprocess.run(start, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
    assert not done.stderr, done.stderr.decode()
    return [int(line, 16) for line in done.stdout.split()]
