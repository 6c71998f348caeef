"""Which packages there are, and their test binaries, built once for each Go."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from goanna.failure import Failure
from goanna.program.toolchain import find_go, go_version

PROJECT = Path(__file__).resolve().parent.parent

# A choice that touches every room of the kernel and takes minutes.
QUICK = (
    "archive/tar", "archive/zip", "bufio", "bytes", "compress/flate", "compress/gzip", "container/heap", "context",
    "crypto/sha256", "crypto/rand", "database/sql", "embed", "encoding/binary", "encoding/json", "errors", "fmt",
    "hash/crc32", "io", "io/fs", "io/ioutil", "log", "log/syslog", "maps", "math", "math/rand", "mime", "net/http",
    "net/http/httptest", "os", "os/exec", "os/signal", "os/user", "path", "path/filepath", "reflect", "regexp",
    "runtime/debug", "slices", "sort", "strconv", "strings", "sync", "sync/atomic", "syscall", "testing/fstest",
    "text/template", "time", "unicode/utf8", "internal/poll", "internal/syscall/unix",
)  # fmt: skip


@dataclass(frozen=True)
class Toolchain:
    """A Go distribution: its command, its version, its folder."""

    go: Path
    version: str
    root: Path


@dataclass(frozen=True)
class Package:
    """A package with tests: its import path and the folder of its sources."""

    path: str
    folder: Path


def toolchain(named: Path | None) -> Toolchain:
    """The Go that is measured: the one that was named, or else the user's. Raises goanna's Failure where it is none."""
    go = find_go() if named is None else named.resolve()
    version = go_version(go)
    root = subprocess.run([go, "env", "GOROOT"], capture_output=True, text=True, check=True).stdout.strip()
    return Toolchain(go, version, Path(root))


@dataclass(frozen=True)
class Census:
    """How many packages the standard library has: in all; with tests; of the rest, those taken over from other modules
    (`vendored`), those whose tests are for other settings (build tags, cgo), and those that have none.
    """

    all: int
    tested: int
    vendored: int
    otherwise: int
    without: int


def census(tools: Toolchain) -> Census:
    """Counts the packages. Raises goanna's Failure."""
    form = (
        "{{if or .TestGoFiles .XTestGoFiles}}tested{{else}}{{.ImportPath}}{{end}}{{range .IgnoredGoFiles}} {{.}}{{end}}"
    )
    counts = dict.fromkeys(("tested", "vendored", "otherwise", "without"), 0)
    lines = _listed(tools, form, "std", None)
    for line in lines:
        name, *ignored = line.split()
        if name == "tested":
            counts["tested"] += 1
        elif any(each.endswith("_test.go") for each in ignored):
            counts["otherwise"] += 1
        else:
            counts["vendored" if name.startswith("vendor/") else "without"] += 1
    return Census(len(lines), **counts)


def packages(tools: Toolchain, module: Path | None = None) -> list[Package]:
    """The packages that have tests, in order: of the standard library, or of the module in a folder. Raises goanna's
    Failure.
    """
    form = "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}\t{{.Dir}}{{end}}"
    lines = _listed(tools, form, "std" if module is None else "./...", module)
    pairs = [line.split("\t") for line in lines]
    return [Package(path, Path(folder)) for path, folder in pairs]


def _listed(tools: Toolchain, form: str, which: str, module: Path | None) -> list[str]:
    """What `go list` prints of packages in a form, a line each. Raises goanna's Failure."""
    words = [str(tools.go), "list", "-e", "-f", form, which]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(), cwd=module)
    if done.returncode != 0:
        raise Failure(f"the packages can't be listed: {done.stderr.strip()}", "")
    return [line for line in done.stdout.splitlines() if line]


def environment() -> dict[str, str]:
    """The environment of the go command."""
    return os.environ | {"CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": "amd64", "GOFLAGS": "", "GOTOOLCHAIN": "local"}


def test_binary(tools: Toolchain, package: Package, folder: Path) -> Path | None:
    """The package's test binary, built if it isn't there; None where it can't be built."""
    binary = folder / f"{package.path.replace('/', '_')}.test"
    if not binary.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [str(tools.go), "test", "-c", "-vet=off", "-o", str(binary), package.path]
        subprocess.run(command, cwd=package.folder, env=environment(), stderr=subprocess.DEVNULL, check=False)
    return binary if binary.exists() else None
