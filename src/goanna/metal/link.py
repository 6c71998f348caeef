"""Links objects with the lld of the ziglang wheel, and writes the linker script that lays out a kernel.

The layout is the same on all machines: identity-mapped start code, then text, read-only data, data and zeroed data,
each from a page border on, so that page tables can give each its own rights. A section that the script doesn't know is
an error: statics with a place of their own use the names `.boot.*`, `.text.*`, `.rodata.*`, `.data.*`, `.bss.*`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from .backend import run_zig
from .target import Target

__all__ = ["kernel_script", "link", "link_vdso"]

_KERNEL = """\
ENTRY({entry})
PHDRS {{
  boot PT_LOAD FLAGS(7);
  note PT_NOTE FLAGS(4);
  text PT_LOAD FLAGS(5);
  rodata PT_LOAD FLAGS(4);
  data PT_LOAD FLAGS(6);
}}
__virtual_base = {virtual:#x};
__physical_base = {physical:#x};
__virtual_offset = __virtual_base - __physical_base;
SECTIONS {{
  . = __physical_base;
  __boot_start = .;
  .boot : {{ KEEP(*(.boot .boot.*)) }} :boot
  .note.Xen : ALIGN(4) {{ KEEP(*(.note.Xen)) }} :boot :note
  . = ALIGN(4096);
  __boot_end = .;
  . = . + __virtual_offset;

  __text_start = .;
  .text : AT(ADDR(.text) - __virtual_offset) {{ *(.text .text.*) }} :text
  . = ALIGN(4096);
  __text_end = .;

  __rodata_start = .;
  .rodata : AT(ADDR(.rodata) - __virtual_offset) {{
    *(.rodata .rodata.* .srodata .srodata.*)
    *(.got .got.plt)
    . = ALIGN(8);
    __extable_start = .;
    KEEP(*(.goanna.extable))
    __extable_end = .;
  }} :rodata
  . = ALIGN(4096);
  __rodata_end = .;

  __data_start = .;
  .percpu : AT(ADDR(.percpu) - __virtual_offset) ALIGN(64) {{
    __percpu_start = .;
    __percpu_base = .;
    QUAD(0)
    *(.percpu .percpu.*)
    . = ALIGN(64);
    __percpu_end = .;
  }} :data
  .data : AT(ADDR(.data) - __virtual_offset) {{ *(.data .data.* .sdata .sdata.*) }} :data
  . = ALIGN(4096);
  __data_end = .;

  __bss_start = .;
  .bss : AT(ADDR(.bss) - __virtual_offset) {{ *(.bss .bss.* .sbss .sbss.* COMMON) }} :data
  . = ALIGN(4096);
  __bss_end = .;
  __kernel_end = .;
  __physical_end = . - __virtual_offset;

  .goanna.traps 0 (INFO) : {{ KEEP(*(.goanna.traps)) }}
{debug}
  /DISCARD/ : {{ *(.comment .note.GNU-stack .eh_frame .llvm_addrsig .riscv.attributes .ARM.attributes) }}
}}
"""

_DEBUG_SECTIONS = (
    ".debug_abbrev", ".debug_addr", ".debug_aranges", ".debug_frame", ".debug_info", ".debug_line", ".debug_line_str",
    ".debug_loclists", ".debug_rnglists", ".debug_str", ".debug_str_offsets", ".symtab", ".shstrtab", ".strtab",
)  # fmt: skip


def kernel_script(target: Target, base_virtual: int, base_physical: int, entry: str = "_start") -> str:
    """The linker script of a kernel that is loaded at `base_physical` and runs at `base_virtual` (both page-aligned).

    `.boot` (start code, linked at its physical address; its pages are readable, writable and executable) comes first;
    what lies `n` bytes into the image is at `base_physical + n`, and, from `.text` on, runs at `base_virtual + n`.

    Symbols: __boot_start, __boot_end, __text_start, __text_end, __rodata_start, __rodata_end, __data_start, __data_end,
    __bss_start, __bss_end, __kernel_end (all page borders), __physical_base, __physical_end, __virtual_base,
    __virtual_offset (virtual less physical), __extable_start, __extable_end, __percpu_start, __percpu_end (64-byte
    borders) and __percpu_base, the template's first word. Records of failed checks go to a section that isn't loaded.
    """
    if target.profile != "kernel" or base_virtual % 4096 or base_physical % 4096:
        raise ValueError("a kernel script wants a kernel target and page-aligned addresses")
    debug = "\n".join(f"  {name} 0 : {{ *({name}) }}" for name in _DEBUG_SECTIONS)
    return _KERNEL.format(entry=entry, virtual=base_virtual, physical=base_physical, debug=debug)


def link(
    objects: Sequence[str | os.PathLike[str]],
    script_text: str,
    out_path: str | os.PathLike[str],
    gc_sections: bool = True,
    entry: str | None = None,
    keep: Sequence[str] = (),
) -> None:
    """Link objects into a static ELF file by a script.

    `gc_sections` drops the functions and variables that nothing reaches from the entry, from kept sections and from the
    symbols in `keep`. `entry` overrides the script's. Raises InternalError with lld's words: undefined symbols,
    sections without a place, overflows.
    """
    flags = ["--orphan-handling=error", "-z", "dead-reloc-in-nonalloc=.goanna.traps=0"]
    flags += ["--gc-sections"] if gc_sections else []
    flags += ["-e", entry] if entry else []
    for symbol in keep:
        flags += ["-u", symbol]
    _link(objects, script_text, out_path, flags)


def _link(
    objects: Sequence[str | os.PathLike[str]], script: str, out_path: str | os.PathLike[str], flags: list[str]
) -> None:
    common = ["--build-id=none", "-z", "norelro", "-z", "max-page-size=4096", "--no-dynamic-linker"]
    with tempfile.TemporaryDirectory(prefix="goanna-") as folder:
        path = Path(folder, "script.ld")
        path.write_text(script)
        inputs = [os.fspath(each) for each in objects]
        run_zig(["ld.lld", *common, *flags, "-T", os.fspath(path), *inputs, "-o", os.fspath(out_path)])


_VDSO = """\
PHDRS {
  all PT_LOAD FILEHDR PHDRS FLAGS(5);
  dynamic PT_DYNAMIC FLAGS(4);
  note PT_NOTE FLAGS(4);
}
SECTIONS {
  __vdso_data = . - %d;
  . = SIZEOF_HEADERS;
  .hash : { *(.hash) } :all
  .gnu.hash : { *(.gnu.hash) } :all
  .dynsym : { *(.dynsym) } :all
  .dynstr : { *(.dynstr) } :all
  .gnu.version : { *(.gnu.version) } :all
  .gnu.version_d : { *(.gnu.version_d) } :all
  .note : { *(.note.*) } :all :note
  .dynamic : { *(.dynamic) } :all :dynamic
  .rodata : { *(.rodata .rodata.* .srodata .srodata.*) } :all
  .text : { *(.text .text.*) } :all
  .symtab : { *(.symtab) }
  .strtab : { *(.strtab) }
  .shstrtab : { *(.shstrtab) }
  /DISCARD/ : { *(.comment .note.GNU-stack .eh_frame .llvm_addrsig .riscv.attributes .goanna.traps .debug_*) }
}
"""


def link_vdso(
    objects: Sequence[str | os.PathLike[str]],
    out_path: str | os.PathLike[str],
    versions: Mapping[str, Sequence[str]],
    data_size: int = 4096,
) -> None:
    """Link a vDSO: a shared object of one segment without relocations, data or imports.

    `versions` maps a symbol version to the symbols that carry it: {"LINUX_2.6": ["__vdso_clock_gettime"]}. Addresses in
    it are offsets into the file. The symbol `__vdso_data` lies `data_size` bytes (whole pages) before its first byte:
    what is mapped there is the kernel's affair. Raises InternalError with lld's words; writable data has no place and
    is such an error.
    """
    nodes = [f"{version} {{ global: {'; '.join(names)}; }};" for version, names in versions.items()]
    nodes[-1] = nodes[-1].replace(" };", " local: *; };")
    flags = ["-shared", "-Bsymbolic", "--hash-style=both", "-soname", "linux-vdso.so.1", "--orphan-handling=error"]
    flags += ["--gc-sections", "--no-undefined", "-z", "text", "--strip-all"]
    with tempfile.NamedTemporaryFile("w", suffix=".map") as file:
        file.write("\n".join(nodes))
        file.flush()
        _link(objects, _VDSO % data_size, out_path, [*flags, "--version-script", file.name])
