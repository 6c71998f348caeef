"""Measures a package: its tests on this computer's Linux and in an image; those that differ once more by themselves;
and those that still do, on a Linux in the same QEMU.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from fidelity.packages import Package, Toolchain, test_binary
from fidelity.results import Reasons, Result, compare, save
from fidelity.running import Outcome, Processes, Side, linux_side, run_package, test_names
from fidelity.verdicts import FAIL, MISSING, PASS, SKIP, differing, of_test
from goanna.failure import Failure


@dataclass
class Session:
    """One run: what it works with, and what it has found so far. `tree` is the distribution or the module; `emulated`
    the Linux in QEMU, where there is one; `identity` says what Go and kernel it is about; `commit` names the state of
    the project; `place` has the files that surround a test; `unmeasured` are the packages that couldn't be.
    """

    tools: Toolchain
    tree: Path
    limit: float
    processors: int
    image: Side
    emulated: Side | None
    place: Path
    identity: str
    commit: str
    reasons: Reasons
    facts: dict[str, str]
    results: dict[str, Result]
    keep: Path
    binaries: Path
    processes: Processes = field(default_factory=Processes)
    lock: threading.Lock = field(default_factory=threading.Lock)
    unmeasured: list[str] = field(default_factory=list)
    done: int = 0

    def is_known(self, package: Package, any_kernel: bool) -> bool:
        """Whether an earlier run measured a package, with this kernel or with any."""
        known = self.results.get(package.path)
        return known is not None and (any_kernel or known.identity == self.identity)

    def measure(self, package: Package, total: int) -> None:
        """Run a package on both sides, compare, keep, and say so. Raises Stopped; then nothing of it is kept."""
        binary = test_binary(self.tools, package, self.binaries)
        if binary is None:
            self.give_up(package, total, "can't be built")
            return
        result = Result(package.path, self.identity, self.commit)
        with TemporaryDirectory(prefix="fidelity-") as root:
            here = linux_side(self.tree, self.processors, self.place, Path(root))
            try:
                names = test_names(self.processes, here, package, binary)
            except Failure as failure:
                self.give_up(package, total, str(failure))
                return

            def run(side: Side, some: list[str], alone: bool) -> Outcome:
                if not some:
                    return Outcome({}, 0, [])
                return run_package(self.processes, side, package, binary, some, self.limit, alone)

            examine(result, names, run, here, self.image, self.emulated, self.reasons)
        with self.lock:
            self.results[package.path] = result
            save(self.keep, self.facts, self.results.values())
        others = len(result.differences)
        self.tell(package, total, f"{result.same} of {result.tests} the same{f', {others} not' if others else ''}")

    def give_up(self, package: Package, total: int, text: str) -> None:
        """Say why a package can't be measured."""
        with self.lock:
            self.unmeasured.append(f"{package.path}: {text}")
        self.tell(package, total, text)

    def tell(self, package: Package, total: int, text: str) -> None:
        """Say what came of a package."""
        with self.lock:
            self.done += 1
            seconds = self.results[package.path].image_seconds if package.path in self.results else 0
            print(f"{self.done:>3}/{total} {package.path}: {text} ({seconds:.0f} s)", flush=True)


def examine(
    result: Result,
    names: list[str],
    run: Callable[[Side, list[str], bool], Outcome],
    here: Side,
    image: Side,
    emulated: Side | None,
    reasons: Reasons,
) -> None:
    """Fill in a result. `run` runs tests, all or some of them alone, on a side."""
    first, second = run(here, names, False), run(image, names, False)
    linux, found = dict(first.verdicts), dict(second.verdicts)
    result.linux_seconds, result.image_seconds = round(first.seconds, 1), round(second.seconds, 1)
    result.last = second.last
    # A computer that has much to do makes tests fail that have a time limit: they get one more chance, by themselves.
    again = differing(names, linux, found)
    once_more = run(here, again, True).verdicts, run(image, again, True).verdicts
    other = differing(again, *once_more)
    for name in again:
        if name not in other:
            _replace(linux, once_more[0], name)
            _replace(found, once_more[1], name)
            result.again.append(name)
    measure = run(emulated, other, True).verdicts if emulated is not None else {}
    for name in other:
        _replace(found, once_more[1], name)
        if measure.get(name, MISSING) in (PASS, FAIL, SKIP) and not differing([name], measure, found):
            _replace(linux, measure, name)
            result.emulated.append(name)
    compare(result, names, linux, found, reasons)


def _replace(verdicts: dict[str, str], others: dict[str, str], name: str) -> None:
    """Take a test's verdict, and those of its subtests, from others."""
    for each in of_test(verdicts, name):
        del verdicts[each]
    verdicts.update(of_test(others, name))
