"""Measures fidelity: the tests of Go's standard library in a booted image, compared with Linux.

    python -m fidelity [--quick] [--go PATH] [--module FOLDER] [PACKAGE ...]

A run keeps what it has after each package and goes on where it stopped. It writes docs/fidelity.md and
docs/fidelity.json when all packages of the library were asked for. Of a module it says what differs; --record puts
that, or what a part of the library gave, into docs/fidelity-others.md and its JSON.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.linux import PeerUnavailable
from fidelity import emulated, linux
from fidelity.measuring import Session
from fidelity.packages import PROJECT, QUICK, Package, Toolchain, census, packages, toolchain
from fidelity.page import others_page, page
from fidelity.results import UNEXPLAINED, Reasons, Result, Run, load, publish, record, worse
from fidelity.running import Side, emulated_side, image_side
from goanna.failure import Failure
from goanna.kernel.build import built_kernel
from goanna.program.around import around

KEPT = PROJECT / "build" / "fidelity"


def main() -> int:
    """The command. Its status is 1 if a verdict is worse than Linux's and nothing explains it."""
    # Background jobs ignore these, and so would every test.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="python -m fidelity", description="Go's own tests in a booted image.")
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help="some packages; all of the library if none")
    parser.add_argument("--quick", action="store_true", help="a choice of packages that takes minutes")
    parser.add_argument("--go", type=Path, metavar="PATH", help="another go command than the one on PATH")
    parser.add_argument("--module", type=Path, metavar="FOLDER", help="the packages of this module, not the library's")
    parser.add_argument("--again", action="store_true", help="run what was run already")
    parser.add_argument("--any-kernel", action="store_true", help="what was run with an earlier kernel counts as run")
    parser.add_argument("--kept", action="store_true", help="run nothing: tell what earlier runs found")
    parser.add_argument("--record", action="store_true", help="put what is found into docs/fidelity-others.md")
    parser.add_argument("--limit", type=float, default=600, metavar="S", help="seconds for a package on each side")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="packages side by side")
    parser.add_argument("--keep", type=Path, default=KEPT, metavar="FOLDER", help="where a run keeps what it has")
    parser.add_argument("--cpus", type=int, default=min(os.cpu_count() or 1, 4), metavar="N", help="processors")
    parser.add_argument("--memory", default="1G", metavar="SIZE", help="what machines have; 1G if nobody says")
    options = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        print("fidelity: needs root and util-linux, to give the tests equal surroundings on Linux", file=sys.stderr)
        return 2
    try:
        return _measure(options)
    except Failure as failure:
        print(f"fidelity: {failure}", file=sys.stderr)
        return failure.status
    except KeyboardInterrupt:
        print("fidelity: stopped; the same command goes on from here", file=sys.stderr)
        return 128 + signal.SIGINT


def _measure(options: argparse.Namespace) -> int:
    tools = toolchain(options.go)
    kernel = "" if options.kept else built_kernel().elf.parent.name
    asked = options.packages or (QUICK if options.quick else None)
    module = options.module and options.module.resolve()
    chosen = [each for each in packages(tools, module) if asked is None or each.path in asked]
    unknown = sorted(set(options.packages) - {each.path for each in chosen})
    if unknown or not chosen:
        raise Failure(f"there is no package with tests: {', '.join(unknown) or module}")
    options.keep.mkdir(parents=True, exist_ok=True)
    keep = options.keep / f"{tools.version}{module.as_posix().replace('/', '_') if module else ''}.json"
    machine = emulated.Machine(options.cpus, options.memory)
    facts = {"Go": tools.version, "date": time.strftime("%Y-%m-%d")}
    with TemporaryDirectory(prefix="fidelity-") as folder:
        files = Path(folder, "files")
        surroundings = around(module or tools.root / "src")
        linux.write_files(files, surroundings)
        session = Session(
            tools=tools, tree=surroundings.top, limit=options.limit, processors=options.cpus,
            image=image_side(machine), emulated=_emulated(options, tools, machine, Path(folder)), place=files,
            identity=f"{tools.version} {kernel}", commit=_commit(), reasons=Reasons(), facts=facts,
            results=load(keep), keep=keep,
            # A module may be another one the next time: go's cache knows.
            binaries=Path(folder, "binaries") if module else KEPT / tools.version,
        )  # fmt: skip
        left = [each for each in chosen if options.again or not session.is_known(each, options.any_kernel)]
        left = [] if options.kept else left
        with ThreadPoolExecutor(options.jobs) as pool:
            try:
                for done in [pool.submit(session.measure, each, len(left)) for each in left]:
                    done.result()
            except BaseException:
                session.processes.stop()
                pool.shutdown(cancel_futures=True)
                raise
    if options.record:
        title = _title(module) if module else f"{'quick choice' if options.quick else 'a part'} of {tools.version}"
        run = Run(title, module is None, facts, _found(session, chosen))
        docs = PROJECT / "docs"
        (docs / "fidelity-others.md").write_text(others_page(record(docs / "fidelity-others.json", run)))
    return _finish(session, chosen, asked is None and module is None)


def _title(module: Path) -> str:
    """A module's path, and its version where the folder is called PATH@VERSION as in the module cache."""
    found = re.search(r"^module\s+(\S+)", (module / "go.mod").read_text(), re.MULTILINE)
    version = module.name.partition("@")[2]
    return f"{found[1] if found else module.name}{f' {version}' if version else ''}"


def _emulated(options: argparse.Namespace, tools: Toolchain, machine: emulated.Machine, folder: Path) -> Side | None:
    """The Linux in QEMU. A full run builds it (minutes) if it isn't there; a part of one does without."""
    if options.kept:
        return None
    if not emulated.is_built():
        if options.quick or options.packages or options.module:
            return None
        print("building a Linux to compare with, once; this takes minutes", flush=True)
    try:
        return emulated_side(tools, machine, folder)
    except PeerUnavailable as error:
        print(f"fidelity: nothing is compared with a Linux in QEMU: {error}", file=sys.stderr)
        return None


def _commit() -> str:
    """The state of the project, as git names it."""
    words = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True)
    return done.stdout.strip()


def _found(session: Session, chosen: list[Package]) -> list[Result]:
    """The results of the packages that were asked for, explained by the reasons of today."""
    found = [session.results[each.path] for each in chosen if each.path in session.results]
    for result in found:
        for each in result.differences:
            each.reason = session.reasons.of(result.package, each.test)
    return found


def _finish(session: Session, chosen: list[Package], everything: bool) -> int:
    found = _found(session, chosen)
    if everything:
        missing = [each.path for each in chosen if each.path not in session.results]
        counted = census(session.tools)
        publish(PROJECT / "docs" / "fidelity.json", session.facts, found, counted)
        (PROJECT / "docs" / "fidelity.md").write_text(page(session.facts, found, counted, missing))
    tests, same = sum(each.tests for each in found), sum(each.same for each in found)
    print(
        f"{same:,} of {tests:,} top-level tests have Linux's verdict"
        + (f": {100 * same / tests:.2f}%" if tests else "")
    )
    open_ones = [
        f"{result.package} {each.test}: {each.linux} on Linux, {each.image} in the image"
        for result in found
        for each in result.differences
        if worse(each) and each.reason == UNEXPLAINED
    ]
    print("\n".join(open_ones + session.unmeasured))
    return 1 if open_ones or session.unmeasured else 0


if __name__ == "__main__":
    sys.exit(main())
