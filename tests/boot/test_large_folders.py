"""What one call costs in a folder doesn't grow with how many files are in it: counted in guest instructions, in memory
and in the image. (In the image a name is searched, so a little, with the logarithm.)
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.boot import toolchains
from tests.boot.catalogue import GUESTS, Guest
from tests.boot.running import GOANNA
from tests.boot.test_bare import run

FEW, MANY = 500, 6000
COUNTING = ["-icount", "shift=0,sleep=off", "-seed", "1", "-rtc", "clock=vm"]
KINDS = ["create", "list", "stat", "absent", "rename", "unlink"]


def costs(folder: Path, count: int) -> dict[tuple[str, str], int]:
    guest = Guest("large_folder", GUESTS / "large_folder", "c", (), False, ())
    large = folder / str(count)
    large.mkdir()
    for number in range(count):
        (large / f"f{number}").write_text("x")
    image = folder / f"{count}.img"
    program = toolchains.build_c(guest, "musl")
    subprocess.run([*GOANNA, "build", "-o", image, "--add", f"{large}:/large", program, "--", str(count)], check=True)
    words = ["-machine", "microvm,rtc=on,isa-serial=on", "-cpu", "max", "-m", "512M", *COUNTING]
    output, _ = run(image, *words, limit=600)
    found = [line.split() for line in output.splitlines()]
    assert [line[1] for line in found] == [*KINDS, "list", "rmdir", *KINDS[1:], "list", "rmdir"], output
    # A list of the emptied folder comes again: the full one is of interest.
    return {(where, what): int(cost) for where, what, cost in reversed(found)}


def test_a_call_costs_the_same_in_a_folder_of_many_files(tmp_path: Path) -> None:
    few, many = costs(tmp_path, FEW), costs(tmp_path, MANY)
    for kind in KINDS:
        assert many["/tmp/made", kind] < 1.5 * few["/tmp/made", kind], (kind, few, many)
        if kind != "create":
            assert many["/large", kind] < 4 * few["/large", kind] + 100, (kind, few, many)
