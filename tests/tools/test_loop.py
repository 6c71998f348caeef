"""make loop: what fails is shown, at once, and ends what runs beside it."""

import importlib.util
import time
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies

from tests.examples import draw_less

PATH = Path(__file__).resolve().parents[2] / "tools" / "loop.py"
specification = importlib.util.spec_from_file_location("loop", PATH)
loop = importlib.util.module_from_spec(specification)
specification.loader.exec_module(loop)


def step(name: str, code: str) -> object:
    return loop.Step(name, ["-c", code], {})


def test_steps_that_go_well_say_their_last_line(capsys):
    assert loop.run(step("one", "print('first'); print('last')"), step("two", ""))
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2
    assert [line.split()[0] for line in sorted(shown)] == ["one", "two"]
    assert "s  last" in " ".join(shown) and "first" not in " ".join(shown)


def test_a_failure_is_shown_whole_and_ends_the_others_with_what_they_started(capsys, tmp_path):
    child = tmp_path / "child"
    long = f"""
import subprocess, sys, time
made = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open({str(child)!r} + ".new", "w") as file:
    file.write(str(made.pid))
import os; os.rename({str(child)!r} + ".new", {str(child)!r})
made.wait()
"""
    waiting = f"""
import os, sys, time
while not os.path.exists({str(child)!r}):
    time.sleep(0.01)
print("file.py:5: what is wrong"); print("more", file=sys.stderr); sys.exit(3)
"""
    start = time.monotonic()
    assert not loop.run(step("long", long), step("bad", waiting))
    assert time.monotonic() - start < 300
    shown = capsys.readouterr().out
    assert "file.py:5: what is wrong\n" in shown and "more" in shown and "failed" in shown and "long" not in shown
    # The child of the step that was ended is gone, or nobody's but init's to fetch.
    end = time.monotonic() + 120
    while running(int(child.read_text())):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_properties_are_tried_with_a_part_of_their_examples():
    tried = []

    @settings(max_examples=80, database=None)
    @given(strategies.integers())
    def holds(number):
        tried.append(number)

    draw_less(holds, 4)
    holds()
    assert len(tried) == 20


def running(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("words", [[], ["no-such-room"], ["file", "more"], [".."]])
def test_a_room_that_is_none_is_said_with_the_rooms_that_are(monkeypatch, capsys, words):
    monkeypatch.setattr("sys.argv", ["loop.py", *words])
    assert loop.main() == 2
    shown = capsys.readouterr().err
    assert "ROOM=" in shown and " file " in shown and " signal " in shown


@pytest.mark.parametrize("bad", ["check", "hello", "tests"])
def test_any_step_that_fails_fails_the_loop(monkeypatch, capsys, bad):
    made, started = loop.Step, []

    def simple(name, command, environment):
        started.append(name)
        return made(name, ["-c", f"import sys; sys.exit({int(name == bad)})"], {})

    monkeypatch.setattr(loop, "Step", simple)
    assert not loop.loop("file")
    assert started == ["check", "hello", "tests"]
    assert f"{bad:<8}" in capsys.readouterr().out
