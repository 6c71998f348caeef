"""Measures fidelity: the tests of Go's standard library in a booted image, compared with Linux.

    python -m fidelity [--quick] [--go PATH] [PACKAGE ...]

A run keeps what it has after each package and goes on where it stopped. It writes docs/fidelity.md and
docs/fidelity.json when all packages of the library were asked for.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from fidelity import linux
from fidelity.packages import NETWORK, QUICK, Package, Toolchain, packages, test_binary, toolchain
from fidelity.results import UNEXPLAINED, Reasons, Result, compare, load, save, table, worse
from fidelity.running import Outcome, Side, image_side, linux_side, run_package, test_names
from goanna.failure import Failure
from goanna.kernel.build import built_kernel

PROJECT = Path(__file__).resolve().parent.parent
KEPT = PROJECT / "build" / "fidelity"


@dataclass
class Session:
    """One run: what it works with, and what it has found so far."""

    tools: Toolchain
    limit: float
    processors: int
    image: Side
    place: Path
    identity: str
    reasons: Reasons
    facts: dict[str, str]
    results: dict[str, Result]
    keep: Path
    lock: threading.Lock = field(default_factory=threading.Lock)
    done: int = 0

    def measure(self, package: Package, total: int) -> None:
        """Run a package on both sides, compare, keep, and say so."""
        binary = test_binary(self.tools, package, KEPT / self.tools.version)
        if binary is None:
            self.tell(package, total, "can't be built")
            return
        result = Result(package.path, self.identity)
        with TemporaryDirectory(prefix="fidelity-") as root:
            here = linux_side(self.tools, self.place, Path(root))
            names = test_names(here, package, binary)
            first = run_package(here, package, binary, names, self.limit)
            second = run_package(self.image, package, binary, names, self.limit) if names else Outcome({}, 0, [])
        result.linux_seconds, result.image_seconds = round(first.seconds, 1), round(second.seconds, 1)
        result.last = second.last
        compare(result, names, first.verdicts, second.verdicts, self.reasons)
        with self.lock:
            self.results[package.path] = result
            save(self.keep, self.facts, self.results.values())
        others = len(result.differences)
        self.tell(package, total, f"{result.same} of {result.tests} the same{f', {others} not' if others else ''}")

    def tell(self, package: Package, total: int, text: str) -> None:
        with self.lock:
            self.done += 1
            seconds = self.results[package.path].image_seconds if package.path in self.results else 0
            print(f"{self.done:>3}/{total} {package.path}: {text} ({seconds:.0f} s)", flush=True)


def main() -> int:
    """The command. Its status is 1 if a verdict is worse than Linux's and nothing explains it."""
    # Background jobs ignore these, and so would every test.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    parser = argparse.ArgumentParser(prog="python -m fidelity", description="Go's own tests in a booted image.")
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help="some packages; all of the library if none")
    parser.add_argument("--quick", action="store_true", help="a choice of packages that takes minutes")
    parser.add_argument("--go", type=Path, metavar="PATH", help="another go command than the one on PATH")
    parser.add_argument("--again", action="store_true", help="run what was run already")
    parser.add_argument("--limit", type=float, default=600, metavar="S", help="seconds for a package on each side")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="packages side by side")
    parser.add_argument("--cpus", type=int, default=min(os.cpu_count() or 1, 4), metavar="N", help="processors")
    options = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        print("fidelity: needs root and util-linux, to give the tests equal surroundings on Linux", file=sys.stderr)
        return 2
    try:
        return _measure(options)
    except Failure as failure:
        print(f"fidelity: {failure}", file=sys.stderr)
        return failure.status


def _measure(options: argparse.Namespace) -> int:
    tools = toolchain(options.go)
    kernel = built_kernel().elf.parent.name
    asked = options.packages or (QUICK if options.quick else None)
    chosen = [each for each in packages(tools) if asked is None or each.path in asked]
    KEPT.mkdir(parents=True, exist_ok=True)
    keep = KEPT / f"{tools.version}.json"
    facts = {"Go": tools.version, "kernel": kernel, "date": time.strftime("%Y-%m-%d")}
    with TemporaryDirectory(prefix="fidelity-") as folder:
        files = Path(folder, "files")
        linux.write_files(files)
        session = Session(
            tools=tools, limit=options.limit, processors=options.cpus, image=image_side(options.cpus), place=files,
            identity=f"{tools.version} {kernel}", reasons=Reasons(), facts=facts, results=load(keep), keep=keep,
        )  # fmt: skip
        left = [each for each in chosen if options.again or not _is_known(session, each)]
        with ThreadPoolExecutor(options.jobs) as pool:
            for done in [pool.submit(session.measure, each, len(left)) for each in left]:
                done.result()
    return _finish(session, chosen, asked is None)


def _is_known(session: Session, package: Package) -> bool:
    known = session.results.get(package.path)
    return known is not None and known.identity == session.identity


def _finish(session: Session, chosen: list[Package], everything: bool) -> int:
    found = [session.results[each.path] for each in chosen if each.path in session.results]
    for result in found:
        for each in result.differences:
            each.reason = session.reasons.of(result.package, each.test)
    if everything:
        save(PROJECT / "docs" / "fidelity.json", session.facts, found, last=False)
        (PROJECT / "docs" / "fidelity.md").write_text(table(session.facts, found, NETWORK))
    counted = [each for each in found if each.package not in NETWORK]
    tests, same = sum(each.tests for each in counted), sum(each.same for each in counted)
    print(
        f"{same:,} of {tests:,} top-level tests have Linux's verdict"
        + (f": {100 * same / tests:.2f}%" if tests else "")
    )
    open_ones = [
        f"{result.package} {each.test}: {each.linux} on Linux, {each.image} in the image"
        for result in counted
        for each in result.differences
        if worse(each) and each.reason == UNEXPLAINED
    ]
    print("\n".join(open_ones))
    return 1 if open_ones else 0


if __name__ == "__main__":
    sys.exit(main())
