"""A kernel of a few instructions that plays the guest: it prints, sends records, waits, echoes, stops.

It is assembled for each test from the steps that the test names, and linked by the same script as the real kernel, so
that images, ports and the life of a machine are tried on real machines.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from goanna.kernel.build import BuiltKernel, physical_address
from goanna.kernel.shared import control
from goanna.kernel.shared.boot import ImageHeader
from goanna.layouts import packed
from goanna.machine.control import record
from goanna.metal.backend import assemble
from goanna.metal.link import kernel_script, link
from goanna.metal.target import kernel_target

_CONSOLE, _CONTROL = 0x3F8, 0x2F8

_FRAME = """
    .section .note.Xen, "a", @note
    .long 4, 4, 18
    .asciz "Xen"
    .long _start
    .section .data.image_header, "aw"
    .globl image_header
    .p2align 3
image_header:
    .byte {header}
    .section .bss.room, "aw", @nobits
    .skip 4096
    .section .boot, "ax"
    .code32
    .globl _start
_start:
    # FIFOs on, which empties them: what the host sent before is lost, as on the real kernel
    mov $0x3fa, %edx
    mov $7, %al
    out %al, %dx
    mov $0x2fa, %edx
    out %al, %dx
{steps}
    hlt
    jmp . - 1

put:    # the byte in bl to the port in esi
    lea 5(%esi), %edx
1:  in %dx, %al
    test $0x20, %al
    jz 1b
    mov %esi, %edx
    mov %bl, %al
    out %al, %dx
    ret

get:    # a byte from the port in esi to bl
    lea 5(%esi), %edx
1:  in %dx, %al
    test $1, %al
    jz 1b
    mov %esi, %edx
    in %dx, %al
    mov %al, %bl
    ret
"""


def send(port: int, data: bytes) -> str:
    """Write bytes to a port."""
    lines = [f"    mov ${port}, %esi"]
    for byte in data:
        lines += [f"    mov ${byte}, %bl", "    call put"]
    return "\n".join(lines)


def console(data: bytes) -> str:
    """Print on the console."""
    return send(_CONSOLE, data)


def tell(kind: int, payload: bytes = b"") -> str:
    """Send a record."""
    return send(_CONTROL, record(kind, payload))


def listening() -> str:
    """Say that both ports are set up."""
    return tell(control.LISTENING)


def exit_with(status: int) -> str:
    """Tell a program's exit status and stop the machine."""
    return tell(control.EXIT, packed(control.Exit, status=status)) + stop()


def stop() -> str:
    """Stop the machine by isa-debug-exit, with a status that nobody asks for."""
    return "\n    mov $1, %al\n    out %al, $0xf4"


def hang() -> str:
    """Do nothing for ever."""
    return "    cli\n9: hlt\n    jmp 9b"


def triple_fault() -> str:
    """Make the processor give up, which resets the machine."""
    return "    push $0\n    push $0\n    lidt (%esp)\n    int3"


def echo_console(count: int) -> str:
    """Print back as many bytes of the console's input."""
    return f"    mov ${count}, %edi\n8: mov ${_CONSOLE}, %esi\n    call get\n    call put\n    dec %edi\n    jnz 8b"


def print_control(count: int) -> str:
    """Print the next bytes that the host sends on the control channel."""
    take = f"    mov ${_CONTROL}, %esi\n    call get\n    mov ${_CONSOLE}, %esi\n    call put"
    return f"    mov ${count}, %edi\n7:{take}\n    dec %edi\n    jnz 7b"


def build_stub(folder: Path, steps: Sequence[str], panic_table: bytes = b"no panics") -> BuiltKernel:
    """Assemble and link a stub kernel."""
    target = kernel_target("x86_64")
    header = ", ".join(str(byte) for byte in packed(ImageHeader))
    part, elf, table = folder / "stub.o", folder / "kernel.elf", folder / "panic.table"
    assemble(_FRAME.format(header=header, steps="\n".join(steps)), target, part)
    script = kernel_script(target, 0xFFFFFFFF80200000, 0x200000)
    link([part], script, elf, gc_sections=False)
    table.write_bytes(panic_table)
    return BuiltKernel(elf, table, physical_address(elf, "image_header"))
