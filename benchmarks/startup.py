"""How long from QEMU's start to the program's line, in how little memory, and how large the kernel is."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import floor, programs
from benchmarks.linux import PeerUnavailable
from benchmarks.machines import Machine, linux_machine, seconds_to_line
from benchmarks.result import Measurement
from goanna.image.reading import read_image

ROUNDS = 15
LARGE = 46  # MB of an image that carries a large file
FILES = 20_000  # in an image that carries many
LINE = b"Hello from"
FLOOR_RATIO = 2.5
KERNEL_KIB = 512
SMALLEST_MEMORY = 8
# In this many starts of as many, the smallest memory must do.
STARTS = 5


def start_times(folder: Path) -> Iterator[Measurement]:
    """Medians over interleaved rounds, so that a busy moment of the computer hits all alike."""
    hello = programs.hello(folder)
    goanna = Machine(programs.image(hello))
    bare = Machine(floor.write_floor(folder))
    contestants: dict[str, tuple[Machine, bytes]] = {"floor": (bare, floor.LINE.strip()), "Goanna": (goanna, LINE)}
    sized = _sized(folder, hello)
    note = ""
    try:
        contestants["Linux"] = (linux_machine(hello, folder), LINE)
    except PeerUnavailable as reason:
        note = str(reason).splitlines()[0]
    for machine in ("microvm", "q35"):
        started = contestants | (sized if machine == "microvm" else {})
        times: dict[str, list[float]] = {name: [] for name in started}
        for _ in range(ROUNDS):
            for name, (kernel, wanted) in started.items():
                seconds = seconds_to_line(kernel.command(machine), wanted)
                if seconds is not None:
                    times[name].append(seconds * 1000)
        medians = {name: statistics.median(each) for name, each in times.items() if each}
        group = f"QEMU start to the line, {machine}"
        for name, median in medians.items():
            yield Measurement(group, name, median, "ms", samples=times[name], note=f"median of {len(times[name])}")
        ratio = medians["Goanna"] / medians["floor"]
        yield Measurement(group, "Goanna / floor", ratio, "x", FLOOR_RATIO if machine == "microvm" else None)
        if "Linux" in medians:
            yield Measurement(group, "Linux / floor", medians["Linux"] / medians["floor"], "x")
        elif note:
            yield Measurement(group, "Linux", 0, "ms", note=f"not measured: {note}")


def _sized(folder: Path, hello: Path) -> dict[str, tuple[Machine, bytes]]:
    """Hello with a large file, and with many small ones; and the floor in images of the same sizes, since QEMU takes
    time to load them."""
    made = {f"{LARGE} MB": programs.large_image(hello, LARGE), f"{FILES:,} files": programs.crowded_image(hello, FILES)}
    found = {}
    for name, image in made.items():
        bare = Machine(floor.write_floor(folder, image.stat().st_size))
        found[f"floor, {name}"] = (bare, floor.LINE.strip())
        found[f"Goanna, {name}"] = (Machine(image), LINE)
    return found


def smallest_memory(folder: Path) -> Iterator[Measurement]:
    """The fewest MiB in which hello says its line in five starts of five."""
    hello = programs.hello(folder)
    group = "smallest memory for hello"
    goanna = Machine(programs.image(hello))
    note = f"{STARTS} starts of {STARTS}, microvm"
    yield Measurement(group, "Goanna", _smallest(goanna, 2, 64), "MiB", SMALLEST_MEMORY, note)
    try:
        yield Measurement(group, "Linux", _smallest(linux_machine(hello, folder), 16, 128), "MiB", note=note)
    except PeerUnavailable as reason:
        yield Measurement(group, "Linux", 0, "MiB", note=f"not measured: {str(reason).splitlines()[0]}")


def _smallest(machine: Machine, low: int, high: int) -> int:
    def works(mebibytes: int) -> bool:
        return all(
            seconds_to_line(machine.command("microvm", mebibytes), LINE, limit=8) is not None for _ in range(STARTS)
        )

    return _first(works, low, high)


def _first(works: Callable[[int], bool], low: int, high: int) -> int:
    """The least number for which `works` holds, where all above it work, too."""
    while low < high:
        middle = (low + high) // 2
        if works(middle):
            high = middle
        else:
            low = middle + 1
    return low


def sizes(folder: Path) -> Iterator[Measurement]:
    """The kernel's part of hello's image, panic tables counted in; and of a program's that opens sockets."""
    image = read_image(programs.image(programs.hello(folder)))
    web = read_image(programs.image(programs.httpd(folder)))
    group = "size"
    yield Measurement(group, "kernel part of the image", image.kernel_size / 1024, "KiB", KERNEL_KIB)
    note = "TCP/IP and its drivers take the difference"
    yield Measurement(group, "the same with the network", web.kernel_size / 1024, "KiB", KERNEL_KIB, note)
    yield Measurement(group, "whole image of hello", image.size / 1024, "KiB")
