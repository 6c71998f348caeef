"""Each file of /proc and /sys in an image looks as on Linux: its kind, how reading it ends, the shape of its lines.

The guest tests/guest/trees walks both trees in a machine; then it looks at the same paths here. What an image has and
Linux has not, or shows otherwise, stands below with the reason.
"""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests.boot import toolchains
from tests.boot.catalogue import GUESTS, Guest
from tests.boot.running import GOANNA

# Paths that need not be on this Linux.
ONLY_HERE = (
    r"/proc/self/(task/TID/)?fd(info)?/\d+",  # the runtime's own descriptors
    r"/proc/buddyinfo|/proc/cgroups|/proc/vmstat",  # of kernels that are configured so
    r"/sys/devices/system/(cpu/cpu\d+/cache|cpu/enabled|cpu/cpu\d+/topology/(core|die|package)_).*",  # newer than 5.15
    r"/sys/devices/system/node.*|/sys/module|/sys/firmware|/sys/bus|/sys/block",  # of machines that have such things
    r"/proc/self/(task/TID/)?net/(hosts|pnp)",  # what /etc/hosts and resolv.conf lead to
    r"/sys/kernel/(address_bits|cpu_byteorder|mm/transparent_hugepage.*)",
)

# Lines whose shapes are the machine's, with the reason.
OTHER_LINES = {
    r".*/mounts|.*/mountinfo|.*/mountstats": "other file systems are mounted",
    r".*/cgroup": "no hierarchy of control groups is mounted",
    r".*/environ|.*/cmdline|/proc/cmdline": "nothing was said",
    r".*/maps|.*/smaps": "the program has another path",
    r"/proc/cpuinfo": "another processor",
    r"/proc/consoles|/proc/diskstats|/proc/misc": "other devices",
    r"/proc/sys/kernel/random/(uuid|boot_id)": "digits and letters as chance has it",
    r"/proc/version|/proc/sys/kernel/version": "another kernel",
    r"/sys/devices/system/clocksource/.*": "one clock source",
    r"/sys/kernel/mm/transparent_hugepage/.*": "another choice is in force",
    r"/sys/devices/system/cpu/cpu\d+/cache/.*|/sys/devices/system/cpu/(offline|isolated)": "other caches",
}
OTHER_KEYS = {"Mems_allowed:": "as many digits as there can be memory nodes"}

# Links and files whose kind differs: settings that can't be changed here are read-only.
READ_ONLY = re.compile(r"/proc/sys/.*|/sys/.*")
OTHER_KIND = re.compile(r"/proc/self/(task/TID/)?fd/\d+")


def _looks(text: str) -> dict[str, dict]:
    looks = (json.loads(line) for line in text.splitlines())
    return {look["Path"]: look for look in looks}


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict], dict[str, dict]]:
    """What the image has, and Linux at the same paths."""
    guest = Guest("trees", GUESTS / "trees", "go", (), False, ())
    program = toolchains.build_go(guest, toolchains.newest_go())
    there = subprocess.run(
        [*GOANNA, "run", "-c", "2", "--timeout", "240", program], capture_output=True, text=True, check=True
    )
    image = _looks(there.stdout)
    here = subprocess.run([program, "look"], input="\n".join(image), capture_output=True, text=True, check=True)
    return image, _looks(here.stdout)


def test_both_trees_are_walked(trees: tuple[dict, dict]) -> None:
    image, _ = trees
    assert len(image) > 200
    for path in ("/proc/self/stat", "/proc/self/task/TID/status", "/proc/meminfo", "/sys/devices/system/cpu/online"):
        assert path in image


def test_every_file_can_be_read_as_on_linux(trees: tuple[dict, dict]) -> None:
    image, linux = trees
    wrong = []
    for path, look in image.items():
        there = linux[path]
        if there["Error"] == "no such file or directory":
            if not any(re.fullmatch(each, path) for each in ONLY_HERE):
                wrong.append(f"{path}: only in the image")
        elif look["Error"] != there["Error"]:
            wrong.append(f"{path}: {look['Error'] or 'good'}, on Linux {there['Error'] or 'good'}")
    assert not wrong, "\n".join(wrong)


def test_every_file_is_of_the_same_kind(trees: tuple[dict, dict]) -> None:
    image, linux = trees
    wrong = []
    for path, look in image.items():
        mine, there = look["Kind"], linux[path]["Kind"]
        if linux[path]["Error"] or OTHER_KIND.fullmatch(path) or mine == there:
            continue
        if READ_ONLY.fullmatch(path) and mine == "-r--r--r--" and there[0] == "-":
            continue
        wrong.append(f"{path}: {mine}, on Linux {there}")
    assert not wrong, "\n".join(wrong)


def test_lines_have_the_same_shapes(trees: tuple[dict, dict]) -> None:
    image, linux = trees
    wrong = []
    for path, look in image.items():
        if linux[path]["Error"] or any(re.fullmatch(each, path) for each in OTHER_LINES):
            continue
        more = set(look["Shapes"] or []) - set(linux[path]["Shapes"] or [])
        more = {shape for shape in more if not shape.startswith(tuple(OTHER_KEYS))}
        if more:
            wrong.append(f"{path}: {sorted(more)}, on Linux {sorted(linux[path]['Shapes'] or [])[:10]}")
    assert not wrong, "\n".join(wrong)
