"""A module that only a proxy has: a folder in a proxy's form (go.dev/ref/mod, the GOPROXY protocol)."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

__all__ = ["publish"]

_VERSION = "v1.2.3"


def publish(folder: Path, module: str, program: str) -> dict[str, str]:
    """Put version v1.2.3 of a module with one program into a proxy below a folder; gives go's settings that lead there.

    Modules are kept below the folder, too, so that nothing of it stays with the user's.
    """
    versions = folder / "proxy" / module / "@v"
    versions.mkdir(parents=True)
    manifest = f"module {module}\n\ngo 1.21\n"
    (versions / "list").write_text(f"{_VERSION}\n")
    (versions / f"{_VERSION}.info").write_text(f'{{"Version": "{_VERSION}", "Time": "2024-01-01T00:00:00Z"}}')
    (versions / f"{_VERSION}.mod").write_text(manifest)
    with ZipFile(versions / f"{_VERSION}.zip", "w") as archive:
        archive.writestr(f"{module}@{_VERSION}/go.mod", manifest)
        archive.writestr(f"{module}@{_VERSION}/main.go", program)
    return {
        "GOPROXY": f"file://{folder}/proxy", "GONOSUMDB": module, "GOMODCACHE": f"{folder}/modules",
        "GOFLAGS": "-modcacherw",
    }  # fmt: skip
