"""From IR text to machine code. Ahead of time the clang inside the ziglang wheel does all of it, in a process of its
own; for the JIT llvmlite does, in this one. Both are LLVM of the same release.

clang, because llvmlite's LLVM has an assembly parser for x86 alone, and takes half as long again.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import llvmlite.binding as llvm
import ziglang

from .errors import InternalError
from .target import Target

__all__ = ["assemble", "emit_object", "machine", "object_flags", "parse", "run_passes", "zig"]


# LLVM's measure of a callee that is worth a copy at each call, where both caller and callee are compiled for speed. Its
# own 225 makes the kernel a third larger, and an emulator translate more, for a tenth less work in the longest paths.
# Such callees carry the attribute `inlinehint`, because the limit for all functions, if it is given, holds for those
# too that are to be small: they would take a tenth more.
INLINING = 75

# The beginning of what a module defines or declares for others, without the intrinsics.
_DEFINED = re.compile(r"^define (?!internal |private |hidden )(available_externally )?", re.MULTILINE)
_DECLARED = re.compile(r"^declare (?!hidden |[^@\n]*@llvm\.)", re.MULTILINE)
_VARIABLE = re.compile(
    r'^(@(?:[\w.$]+|"[^"\n]*") = (?:available_externally )?)(?!internal |private |external |hidden |available_)',
    re.MULTILINE,
)
_OUTSIDE = re.compile(r'^(@(?:[\w.$]+|"[^"\n]*") = external )(?!hidden )', re.MULTILINE)


@cache
def zig() -> str:
    """The path of the zig program, which is clang and ld.lld too."""
    return str(Path(ziglang.__file__).parent / "zig")


def run_zig(arguments: list[str], stdin: bytes | None = None) -> None:
    """Run a tool of zig's. Raises InternalError if it fails or has anything to say: a warning here is an
    unknown feature or a directive that was ignored, and each has cost somebody a day."""
    done = subprocess.run([zig(), *arguments], input=stdin, capture_output=True, check=False)
    text = (done.stderr + done.stdout).decode(errors="replace")
    if done.returncode or text.strip():
        raise InternalError(f"{' '.join(arguments[:2])} on {arguments[-1]} (status {done.returncode}):\n{text}")


@cache
def machine(target: Target, level: int) -> llvm.TargetMachine:
    """LLVM's code generator for a target."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.initialize_native_asmparser()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu or llvm.get_host_cpu_name(),
        features=",".join(target.features),
        opt=level,
        reloc=target.relocation,
        codemodel=target.code_model,
        jit=target.profile == "host",
        abiname=target.abi,
    )


def parse(ir_text: str, target: Target) -> llvm.ModuleRef:
    """Parse and verify. The text must not name a triple or data layout of its own.

    Raises InternalError that quotes the verifier and names a file with the whole text.
    """
    text = target.header + ir_text
    try:
        module = llvm.parse_assembly(text)
        module.verify()
    except RuntimeError as error:
        raise InternalError(f"LLVM refuses the module ({_kept(text)}):\n{error}") from None
    return module


def _kept(text: str) -> str:
    """The path of a file with a text that LLVM refuses."""
    descriptor, path = tempfile.mkstemp(suffix=".ll", prefix="goanna-")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return path


def run_passes(module: llvm.ModuleRef, target: Target, level: int) -> None:
    """Run LLVM's pipeline for an optimisation level (0 to 3) without vectorisation, which pays off in no kernel."""
    tuning = llvm.create_pipeline_tuning_options(level)
    tuning.loop_vectorization = tuning.slp_vectorization = False
    tuning.inlining_threshold = INLINING
    builder = llvm.create_pass_builder(machine(target, level), tuning)
    builder.getModulePassManager().run(module, builder)


def _hidden(ir_text: str, target: Target) -> str:
    """The text with hidden symbols, so that code reaches them directly and not through a table of addresses; in the
    vDSO, which exports what it defines, only those that it doesn't."""
    text = _DECLARED.sub("declare hidden ", ir_text)
    text = _OUTSIDE.sub(r"\1hidden ", text)
    if target.profile != "vdso":
        text = _DEFINED.sub(r"define \1hidden ", text)
        text = _VARIABLE.sub(r"\1hidden ", text)
    return text


def _machine_flags(target: Target) -> list[str]:
    flags = ["-triple", target.triple, "-target-cpu", target.cpu]
    for feature in target.features:
        flags += ["-target-feature", feature]
    if target.abi:
        flags += ["-target-abi", target.abi]
    return flags


def object_flags(target: Target, level: int) -> list[str]:
    """What clang is told for object files."""
    flags = [
        "clang", "-cc1", *_machine_flags(target), "-emit-obj", f"-O{level}",
        "-mllvm", f"-inlinehint-threshold={INLINING}",
        f"-mcmodel={target.code_model}", "-mrelocation-model", target.relocation, "-mframe-pointer=all",
        "-ffunction-sections", "-fdata-sections", "-Wno-override-module",
    ]  # fmt: skip
    return [*flags, "-pic-level", "2"] if target.relocation == "pic" else flags


def emit_object(ir_text: str, target: Target, out_path: str | os.PathLike[str], level: int = 2) -> None:
    """Make an object file of IR text: verified, optimised as `run_passes` does, frame pointers kept, a section for each
    function and variable, and no symbol that other objects could put one of theirs in place of.

    The text must not name a triple or data layout of its own. Raises InternalError if clang fails or warns; it names a
    file with the whole text.
    """
    text = target.header + _hidden(ir_text, target)
    try:
        run_zig([*object_flags(target, level), "-o", os.fspath(out_path), "-x", "ir", "-"], text.encode())
    except InternalError as error:
        raise InternalError(f"LLVM refuses the module ({_kept(text)}):\n{error}") from None


def assemble(text: str, target: Target, out_path: str | os.PathLike[str]) -> None:
    """Make an object file of assembly text (AT&T syntax on x86-64). Raises InternalError if clang fails or warns."""
    flags = ["clang", "-cc1as", *_machine_flags(target), "-filetype", "obj"]
    run_zig([*flags, "-o", os.fspath(out_path), "-"], text.encode())
