"""The kernel's build on the host: once for each state of its sources, whole or not at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from goanna.failure import Failure
from goanna.kernel import build
from tests import stub

Builds = list[str]


@pytest.fixture(scope="module")
def stub_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    made = stub.build_stub(tmp_path_factory.mktemp("stub"), [stub.hang()])
    return made.elf.read_bytes(), made.panic_table.read_bytes()


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources of two files, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for room in ("metal", "kernel"):
        (tmp_path / "src" / room).mkdir(parents=True)
        (tmp_path / "src" / room / "file.py").write_text("x = 1\n")
    monkeypatch.setattr(build, "_SOURCES", tmp_path / "src")
    return tmp_path / "src"


@pytest.fixture
def builds(sources: Path, stub_files: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch) -> Builds:
    """The folders that were built into; building copies the stub."""
    done: Builds = []

    def build_now(_: str, network: bool, folder: Path) -> None:
        done.append(folder.name)
        time.sleep(0.05)
        (folder / "kernel.elf").write_bytes(stub_files[0])
        (folder / "panic.table").write_bytes(stub_files[1])
        build.record(folder)

    monkeypatch.setattr(build, "_build_in_child", build_now)
    return done


def test_same_sources_are_built_once(builds: Builds) -> None:
    assert build.find_kernel() is None
    first = build.built_kernel()
    assert build.built_kernel() == first == build.find_kernel()
    assert len(builds) == 1
    assert first.elf.exists() and first.header_address > 0x100000


def test_kernels_with_the_network_and_without_are_two(builds: Builds) -> None:
    small, large = build.built_kernel(network=False), build.built_kernel(network=True)
    assert small.elf != large.elf and len(builds) == 2
    assert build.find_kernel(network=False) == small and build.find_kernel() == large


@pytest.mark.parametrize("change", [
    lambda sources: (sources / "kernel" / "file.py").write_text("x = 2\n"),
    lambda sources: (sources / "metal" / "file.py").write_text("x = 2\n"),
    lambda sources: (sources / "kernel" / "other.py").write_text(""),
    lambda sources: (sources / "kernel" / "file.py").rename(sources / "kernel" / "name.py"),
])  # fmt: skip
def test_any_change_of_the_sources_builds_anew(builds: Builds, sources: Path, change: Callable[[Path], object]) -> None:
    build.built_kernel()
    change(sources)
    build.built_kernel()
    assert len(builds) == 2


def test_two_at_once_build_once(builds: Builds) -> None:
    threads = [threading.Thread(target=build.built_kernel) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(builds) == 1


def test_build_that_was_interrupted_is_done_again(builds: Builds) -> None:
    made = build.built_kernel()
    (made.elf.parent / "kernel.json").unlink()
    build.built_kernel()
    assert len(builds) == 2


def test_old_kernels_go_the_latest_stay(builds: Builds, sources: Path) -> None:
    for number in range(12):
        (sources / "kernel" / "file.py").write_text(f"x = {number}\n")
        latest = build.built_kernel()
    assert len(list(latest.elf.parent.parent.iterdir())) == 8
    assert latest.elf.exists()


def test_failing_compiler_is_a_failure(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.sys, "executable", "false")
    with pytest.raises(Failure, match="can't be built"):
        build.built_kernel()


def test_symbol_that_is_missing_is_named(stub_files: tuple[bytes, bytes], tmp_path: Path) -> None:
    (tmp_path / "kernel.elf").write_bytes(stub_files[0])
    with pytest.raises(Failure, match="no symbol nothing"):
        build.physical_address(tmp_path / "kernel.elf", "nothing")


def test_built_kernel_is_found_without_loading_a_compiler() -> None:
    script = (
        "import sys, goanna.kernel.build as b; b.find_kernel(); assert not {'llvmlite', 'ziglang'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


COMPILED = """
import sys
from pathlib import Path
from goanna.kernel.memory import pages
from goanna.metal.compile import compile_object
from goanna.metal.target import kernel_target
compile_object([pages.allocate_zeroed, pages.add_range], kernel_target("x86_64"), Path(sys.argv[1]))
"""


def test_kernels_are_the_same_wherever_their_sources_lie(tmp_path: Path) -> None:
    made = []
    for home in ("one", "a second"):
        shutil.copytree(build._SOURCES, tmp_path / home / "goanna", ignore=shutil.ignore_patterns("__pycache__"))
        environment = {**os.environ, "GOANNA_ARCH": "x86_64", "PYTHONPATH": str(tmp_path / home)}
        subprocess.run([sys.executable, "-c", COMPILED, tmp_path / "object"], cwd=tmp_path, env=environment, check=True)
        made.append((tmp_path / "object").read_bytes())
    assert made[0] == made[1] and b"goanna/kernel/memory" in made[0]
