"""Writes the results down for people: docs/fidelity.md, and docs/fidelity-others.md."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace

from fidelity.packages import Census
from fidelity.results import Result, Run

# As many tests are named where several differ alike.
_NAMED = 6
_HEAD = """\
# Fidelity: Go's own tests in a booted image and on Linux

`make fidelity` runs the tests of the Go distribution's packages, with `-short`, as root, without cgo and without a `go`
command, with as many processors, on Linux and in a booted image with the same files around them, and compares the
verdicts by name.

{facts}.

**{same:,} of {tests:,} top-level tests ({share}%) of the {count} packages measured have Linux's verdict;** of their
{below:,} subtests, {same_below:,}.{missing}

{census} Other modules and other releases of Go: [fidelity-others.md](fidelity-others.md).
{kernels}
| package | tests | same | subtests | same | seconds on Linux | in the image |
|---|--:|--:|--:|--:|--:|--:|
"""
_CENSUS = (
    "The library has {all} packages without cgo (`go list std`). The {tested} with test files are measured{empty}. "
    "Of the other {rest}, {vendored} are taken over from other modules without their tests (vendored), {otherwise} "
    "{has} tests for other settings only (cgo, build tags), and {without} have no test file."
)
_OTHERS = """\
# Fidelity: tests of other modules and of other releases of Go

What docs/fidelity.md is for the whole standard library, measured in the same way for packages of published modules
(`make fidelity MODULE=FOLDER`) and for a choice of the standard library's of other releases of Go
(`make fidelity-quick GO=PATH`): a test counts as the same where it has Linux's verdict.

| what | Go | packages | tests | same | subtests | same |
|---|---|--:|--:|--:|--:|--:|
"""
_KERNEL = "Kernel {name} (commit {commit}) ran {which}."
_EMULATED = """
## Compared with a Linux in the same QEMU

These measure time, or look for something that an emulated machine hasn't, like a processor's instructions or a device:
a Linux in the same QEMU has the image's verdict, and this computer's has another.
"""
_AGAIN = """
## The same when they ran once more

The first time they ran beside the others of their package, on a computer that had other things to do; by themselves
they have Linux's verdict.
"""


def page(facts: dict[str, str], results: Iterable[Result], census: Census, unmeasured: Iterable[str] = ()) -> str:
    """The page that people read; `unmeasured` are the packages that have tests and no result."""
    ordered = sorted(results, key=lambda each: each.package)
    tests, same = sum(each.tests for each in ordered), sum(each.same for each in ordered)
    below, same_below = sum(each.subtests for each in ordered), sum(each.same_subtests for each in ordered)
    share = f"{100 * same / tests:.2f}" if tests else "0"
    lines = _HEAD.format(
        facts=", ".join(f"{key} {value}" for key, value in facts.items()), tests=tests, same=same, share=share,
        count=len(ordered), below=below, same_below=same_below, kernels=_kernels(ordered),
        missing="".join(f"\nNot measured: {name}." for name in unmeasured), census=_census(census, ordered),
    ).splitlines()  # fmt: skip
    for each in ordered:
        lines.append(
            f"| {each.package} | {each.tests} | {each.same} | {each.subtests} | {each.same_subtests} "
            f"| {each.linux_seconds:.1f} | {each.image_seconds:.1f} |"
        )
    lines += _differences(ordered)
    lines += _list(_EMULATED, {each.package: each.emulated for each in ordered})
    lines += _list(_AGAIN, {each.package: each.again for each in ordered})
    return "\n".join(lines) + "\n"


def others_page(runs: list[Run]) -> str:
    """The page about everything else that was run."""
    lines, shown = _OTHERS.splitlines(), []
    for run in runs:
        numbers = [
            sum(getattr(each, name) for each in run.results) for name in ("tests", "same", "subtests", "same_subtests")
        ]
        words = [run.title, run.facts["Go"], str(len(run.results)), *(f"{each:,}" for each in numbers)]
        lines.append(f"| {' | '.join(words)} |")
        standard = f" ({run.facts['Go']})" if run.standard else ""
        shown += [(f"{each.package}{standard}", each) for each in run.results]
    lines += ["", "The packages:", ""]
    lines += [f"- {run.title}: {', '.join(each.package for each in run.results)}" for run in runs if not run.standard]
    renamed = [replace(each, package=name) for name, each in shown]
    lines += _kernels(renamed).splitlines()
    lines += _differences(renamed)
    lines += _list(_EMULATED, {each.package: each.emulated for each in renamed})
    lines += _list(_AGAIN, {each.package: each.again for each in renamed})
    return "\n".join(lines) + "\n"


def _differences(results: list[Result]) -> list[str]:
    lines = ["", "## Differences", "", "| package | tests | Linux | image | because |", "|---|---|---|---|---|"]
    for each in results:
        alike: dict[tuple[str, str, str], list[str]] = {}
        for one in each.differences:
            alike.setdefault((one.linux, one.image, one.reason), []).append(one.test)
        for (here, there, reason), names in alike.items():
            lines.append(f"| {each.package} | {_named(names)} | {here} | {there} | {reason} |")
    return lines


def _census(census: Census, results: list[Result]) -> str:
    empty = sum(not each.tests for each in results)
    return _CENSUS.format(
        **asdict(census), rest=census.all - census.tested, has="has" if census.otherwise == 1 else "have",
        empty=f"; {empty} of these have benchmarks alone" if empty else "",
    )  # fmt: skip


def _kernels(results: list[Result]) -> str:
    """Which kernels it was, where it was more than one: the one that ran the most packages first."""
    which: dict[tuple[str, str], list[str]] = {}
    for each in results:
        which.setdefault((each.identity.rpartition(" ")[2], each.commit), []).append(each.package)
    if not which:
        return ""
    most, *others = sorted(which.items(), key=lambda pair: -len(pair[1]))
    said = [(most[0], "all of them" if not others else "all that no other is named for")]
    said += [(kernel, ", ".join(packages)) for kernel, packages in others]
    return "".join(f"\n{_KERNEL.format(name=name, commit=commit, which=text)}\n" for (name, commit), text in said)


def _list(head: str, tests: dict[str, list[str]]) -> list[str]:
    found = {package: names for package, names in tests.items() if names}
    if not found:
        return []
    lines = [f"| {package} | {_named(names)} |" for package, names in found.items()]
    return [*head.splitlines(), "", "| package | tests |", "|---|---|", *lines]


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
