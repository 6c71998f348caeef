"""Which word of a command is whose, and what goanna.toml adds to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from goanna.cli.project import find_settings, settings_words
from goanna.cli.words import Words, split
from goanna.failure import Failure, NotFound

OWN = {"-m": True, "--memory": True, "-e": True, "--env": True, "--trace": False, "-o": True}


def test_goannas_flags_are_taken_wherever_they_stand() -> None:
    words = split(["-m", "64M", "./cmd", "--trace", "-e=A=b", "--memory=1G"], OWN)
    assert words.own == ["-m", "64M", "--trace", "-e", "A=b", "--memory", "1G"]
    assert words.programs == ["./cmd"] and words.go_flags == [] and words.arguments is None


def test_other_flags_are_gos_with_their_values() -> None:
    words = split(["-ldflags", "-s -w", "-trimpath", "-tags=a,b", "-race", "--gcflags", "-N", "./cmd"], OWN)
    assert words.go_flags == ["-ldflags", "-s -w", "-trimpath", "-tags=a,b", "-race", "--gcflags", "-N"]
    assert words.programs == ["./cmd"] and words.own == []


def test_flag_of_go_that_begins_like_one_of_ours_is_gos() -> None:
    assert split(["-mod", "vendor", "-overlay", "f", "."], OWN).go_flags == ["-mod", "vendor", "-overlay", "f"]


def test_gos_folder_flag_comes_first_as_go_wants_it() -> None:
    assert split(["-trimpath", "-C", "there", "."], OWN).go_flags == ["-C", "there", "-trimpath"]


def test_everything_after_the_dashes_is_the_programs() -> None:
    words = split(["x.elf", "--", "-m", "--", "-trimpath"], OWN)
    assert words.arguments == ["-m", "--", "-trimpath"] and words.programs == ["x.elf"]
    assert split(["x.elf", "--"], OWN).arguments == []


def test_value_that_is_missing_is_left_to_the_flags_owner() -> None:
    assert split([".", "-m"], OWN).own == ["-m"]
    assert split([".", "-tags"], OWN).go_flags == ["-tags"]


def test_program_is_a_finished_file_or_gos_to_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "done").write_bytes(b"\x7fELF")
    for name in ("main.go", "a.go", "b.go"):
        (tmp_path / name).write_text("package main")
    assert Words(programs=["done"]).finished() == Path("done")
    for package in (["."], ["main.go"], ["a.go", "b.go"], ["example.com/x/cmd"], ["./..."]):
        assert Words(programs=package).finished() is None
    assert Words(programs=["done"], go_flags=["-C", "there"]).finished() is None


def test_words_that_name_no_program(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="PROGRAM is missing"):
        Words().finished()
    with pytest.raises(NotFound, match=r"\./nothing"):
        Words(programs=["./nothing"]).finished()
    with pytest.raises(NotFound):
        Words(programs=[str(tmp_path / "nothing")]).finished()
    for word in ("gone.go", "./gone.go", "cmd/gone.go", str(tmp_path / "gone.go")):
        with pytest.raises(NotFound, match="there is no such file"):
            Words(programs=[word]).finished()
    assert Words(programs=["example.com/nats.go"]).finished() is None
    assert Words(programs=["gone.go"], go_flags=["-C", "elsewhere"]).finished() is None


def test_second_program_is_told_where_arguments_go() -> None:
    with pytest.raises(Failure, match="after `--`"):
        Words(programs=["./cmd", "argument"]).finished()
    with pytest.raises(Failure, match=r"after `--`\. Flags that Goanna hasn't got went to go build: -z"):
        Words(programs=["value", "./cmd"], go_flags=["-z", "-tags=a"]).finished()


def test_flags_of_go_build_can_not_follow_a_finished_program(tmp_path: Path) -> None:
    (tmp_path / "done").write_bytes(b"\x7fELF")
    with pytest.raises(Failure, match="already built"):
        Words(programs=[str(tmp_path / "done")], go_flags=["-race"]).finished()


def settings(folder: Path, text: str) -> list[str]:
    path = folder / "goanna.toml"
    path.write_text(text)
    return settings_words(path, OWN, {*OWN, "--timeout"})


def test_settings_become_flags(tmp_path: Path) -> None:
    text = 'memory = "64M"\ntrace = true\nenv = ["A=b", "C"]\ntimeout = 5\ntrimpath = true\nldflags = "-s -w"\n'
    assert settings(tmp_path, text) == [
        "--memory=64M", "--trace", "--env=A=b", "--env=C", "-trimpath=true", "-ldflags=-s -w",
    ]  # fmt: skip


def test_environment_may_be_a_table(tmp_path: Path) -> None:
    assert settings(tmp_path, "[env]\nA = 'b c'\nN = 5\n") == ["--env=A=b c", "--env=N=5"]


def test_switch_that_is_off_adds_nothing(tmp_path: Path) -> None:
    assert settings(tmp_path, "trace = false") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\ncolour = 1", "goanna.toml:2: colour is no flag"),
        ("[section]\na = 1", "goanna.toml:1: section is no flag"),
        ("memory = [[1]]", "goanna.toml:1: memory is a text or a number, not [[1]]"),
        ('# of the machine\n"memory" = true', "goanna.toml:2: memory is a text or a number, not true"),
        ('memory = ["64M"]', "goanna.toml:1: memory is a text or a number, not ['64M']"),
        ("env.A = true", "goanna.toml:1: env is a text, a list or a table of them, not true"),
        ("trace = 5", "goanna.toml:1: trace is true or false, not 5"),
        ("not toml", "goanna.toml: is not TOML"),
        ("memory = 1\nmemory = 2\n", "(at line 2"),
    ],
)
def test_wrong_settings_name_the_file_the_line_and_what_is_expected(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Failure) as caught:
        settings(tmp_path, text)
    assert said in str(caught.value)


def test_settings_are_looked_for_up_to_the_projects_top(tmp_path: Path) -> None:
    below = tmp_path / "project" / "cmd" / "server"
    below.mkdir(parents=True)
    (tmp_path / "goanna.toml").write_text("")
    assert find_settings(below) == tmp_path / "goanna.toml"
    (tmp_path / "project" / "go.mod").write_text("")
    assert find_settings(below) is None
    (tmp_path / "project" / "goanna.toml").write_text("")
    assert find_settings(below) == tmp_path / "project" / "goanna.toml"
