"""The floor: the smallest kernel there can be, which prints one line on the serial port and stops.

What QEMU and its firmware take to start it is what any kernel pays before it can do anything. It is an ELF file of a
few hundred bytes with a PVH entry, made here from its machine code, so that it needs no assembler. Its sister prints
the time-stamp counter at the kernel's entry.
"""

from __future__ import annotations

import struct
from pathlib import Path

LINE = b"HELLO from go\n"

_BASE = 0x100000
_HEADERS = 64 + 2 * 56
_NOTE_SIZE = 20
# 32-bit code for the end of both: leave by isa-debug-exit where the machine has it (port 0xf4), and else halt.
_STOP = bytes.fromhex("30c0 e6f4 fa f4 ebfd")  # xor %al,%al; outb %al,$0xf4; cli; 1: hlt; jmp 1b


def floor_image(size: int = 0) -> bytes:
    """Prints LINE on COM1 and stops. Zeros follow up to `size` bytes, which the loader loads like the rest."""
    # mov $message,%esi; mov $0x3f8,%dx; 1: lodsb; test %al,%al; jz 2f; outb %al,%dx; jmp 1b; 2:
    code = bytes.fromhex("66ba f803 ac 84c0 7403 ee ebf8") + _STOP
    message = _entry() + 5 + len(code)
    code = b"\xbe" + struct.pack("<I", message) + code + LINE + b"\0"
    return _image(code.ljust(max(0, size - _HEADERS - _NOTE_SIZE), b"\0"))


def entry_counter_image() -> bytes:
    """Prints the counter, as it was at the first instruction, in 16 hexadecimal digits, and stops."""
    code = bytes.fromhex(
        "0f31"  # rdtsc
        "89c5 89d7"  # mov %eax,%ebp; mov %edx,%edi
        "66ba f803"  # mov $0x3f8,%dx
        "b9 10000000"  # mov $16,%ecx
        # 1: the highest four bits of edi:ebp become a digit
        "89f8 c1e8 1c"  # mov %edi,%eax; shr $28,%eax
        "3c0a 7202 0427"  # cmp $10,%al; jb 2f; add $39,%al
        "0430 ee"  # 2: add $48,%al; outb %al,%dx
        "0fa4ef 04 c1e5 04"  # shld $4,%ebp,%edi; shl $4,%ebp
        "e2e9"  # loop 1b
        "b00a ee"  # mov $10,%al; outb %al,%dx
    )
    return _image(code + _STOP)


def _entry() -> int:
    return _BASE + _HEADERS + _NOTE_SIZE


def _image(code: bytes) -> bytes:
    """An ELF file: header, one segment with everything, the Xen note that names the entry (type 18, PVH)."""
    note = _BASE + _HEADERS
    body = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", _entry()) + code
    size = _HEADERS + len(body)
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("<16sHHIQQQIHHHHHH", identity, 2, 62, 1, _entry(), 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 7, 0, _BASE, _BASE, size, size, 4096)
    noted = struct.pack("<IIQQQQQQ", 4, 4, _HEADERS, note, note, _NOTE_SIZE, _NOTE_SIZE, 4)
    return header + load + noted + body


def write_floor(folder: Path, size: int = 0) -> Path:
    """Writes the image into a folder and gives its path."""
    path = folder / f"floor-{size}.elf"
    path.write_bytes(floor_image(size))
    return path
