"""What the flags about a program's surroundings put into an image, and what is said of those that can't be followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from goanna.cli.guest import DEFAULT_PATH
from goanna.failure import Failure
from goanna.image.reading import Image, read_image
from goanna.image.tree import content, entries
from goanna.kernel.build import BuiltKernel
from goanna.kernel.shared.boot import FLAG_SOCKETS, FLAG_USER, BootInformation
from goanna.layouts import unpacked
from tests.cli.test_commands import Goanna, goanna, kernel, program

__all__ = ["goanna", "kernel"]


def files(image: Image) -> dict[str, bytes]:
    return {
        each.path: content(image.bundle, each) for each in entries(image.bundle) if each.mode & 0o170000 == 0o100000
    }


def boot(image: Path, kernel: BuiltKernel) -> object:
    data = image.read_bytes()
    return unpacked(BootInformation, data[data.index(b"GoannaBt") :])


def test_added_files_and_folders_are_in_the_image(goanna: Goanna) -> None:
    Path("www/css").mkdir(parents=True)
    Path("www/index.html").write_text("<p>")
    Path("www/css/a.css").write_text("p{}")
    Path("hosts").write_text("10.0.0.1 me\n")
    assert goanna("build", program(), "--add", "www:/srv/www", "--add=hosts:/etc/hosts", "--add", "www")[0] == 0
    found = files(read_image(Path("program.img")))
    assert found["/srv/www/index.html"] == found["/www/index.html"] == b"<p>" and found["/www/css/a.css"] == b"p{}"
    assert found["/etc/hosts"] == b"10.0.0.1 me\n" and b"root:x:0:0" in found["/etc/passwd"]


def test_the_same_input_gives_the_same_bytes(goanna: Goanna) -> None:
    Path("data").mkdir()
    for index in range(50):
        Path(f"data/{index}").write_text("x" * index * 100)
    flags = ["--add", "data", "--user", "nobody", "--tz", "UTC", "--hostname", "box"]
    assert (
        goanna("build", program(), *flags, "-o", "one.img")[0]
        == goanna("build", "program", *flags, "-o", "two.img")[0]
        == 0
    )
    assert Path("one.img").read_bytes() == Path("two.img").read_bytes()


def test_surroundings_are_in_boot_information(goanna: Goanna, kernel: BuiltKernel) -> None:
    Path("passwd").write_text("web:x:33:34::/:\n")
    flags = ["-u", "web", "-w", "/srv/app/", "--hostname", "box", "--memory-files", "32M"]
    assert goanna("build", program(), "--add", "passwd:/etc/passwd", *flags)[0] == 0
    said = boot(Path("program.img"), kernel)
    assert (said.user, said.group, said.files_limit, said.flags) == (33, 34, 32 << 20, FLAG_SOCKETS | FLAG_USER)  # type: ignore[attr-defined]
    assert "/srv/app" in [each.path for each in entries(read_image(Path("program.img")).bundle)]


def test_variables_come_from_files_then_flags(goanna: Goanna, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_HERE", "here")
    Path("vars").write_text("# comment\n\nA=1\nB=two words\nFROM_HERE\nABSENT_HERE\n")
    assert goanna("build", program(), "--env-file", "vars", "-e", "A=2", "--tz", "Europe/Berlin")[0] == 0
    image = read_image(Path("program.img"))
    said = {b"A": b"2", b"B": b"two words", b"FROM_HERE": b"here", b"TZ": b"Europe/Berlin"}
    assert image.environment == {b"PATH": DEFAULT_PATH, b"HOME": b"/root", **said}


def test_settings_name_paths_from_where_they_are(goanna: Goanna, monkeypatch: pytest.MonkeyPatch) -> None:
    program()
    Path("below").mkdir()
    Path("data").write_text("d")
    Path("vars").write_text("A=1\n")
    Path("goanna.toml").write_text('add = { data = "/etc/data" }\nenv-file = ["vars"]\nhostname = "box"\nuser = "1"\n')
    monkeypatch.chdir("below")
    assert goanna("build", "../program", "-o", "x.img")[0] == 0
    image = read_image(Path("x.img"))
    assert files(image)["/etc/data"] == b"d" and image.environment[b"A"] == b"1"


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--add", "gone:/x"], "--add gone:/x: there is no such file or folder"),
        (["--add", "f:x"], "--add f:x: 'x' is no absolute path"),
        (["--add", ":/x"], "--add :/x: names nothing"),
        (["--add", "f:/x", "--add", "g:/x"], "/x: is claimed by --add f:/x and by --add g:/x"),
        (["--add", "f:/bin/program"], "/bin/program: is claimed by --add f:/bin/program and by the program"),
        (["--add", "f:/a/" + "n" * 256], "has 256 bytes"),
        (["--add", "tree:/t"], "/t/out: this link leads to ../../../secret"),
        (["--add", "f:/srv", "--workdir", "/srv/here"], "/srv: is claimed by --add f:/srv and by --workdir"),
        (["--workdir", "here"], "here: is no absolute path"),
        (["--env-file", "gone"], "--env-file gone: can't be read"),
        (["-e", "=x"], "no name before the `=`"),
        (["--user", "somebody"], "--user somebody: 'somebody' is no user"),
        (["--hostname", "a b"], "--hostname a b: "),
        (["--tz", "Nowhere"], "--tz Nowhere: there is no such time zone"),
    ],
)  # fmt: skip
def test_what_can_not_be_followed_is_a_sentence_and_no_image(goanna: Goanna, flags: list[str], text: str) -> None:
    for name in ("f", "g"):
        Path(name).write_text(name)
    Path("tree").mkdir()
    Path("tree/out").symlink_to("../../../secret")
    status, output, errors = goanna("build", program(), *flags)
    assert (status, output) == (125, "") and text in errors
    assert not [each for each in os.listdir() if "img" in each]


def test_file_that_changes_while_it_is_read_is_named(goanna: Goanna, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("f").write_bytes(b"x" * 100_000)
    from goanna.cli import prepare

    whole = prepare.put_together

    def shrink_first(*arguments: object) -> None:
        Path("f").write_bytes(b"y")
        whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(prepare, "put_together", shrink_first)
    status, _, errors = goanna("build", program(), "--add", "f")
    assert status == 125 and "f: changed while it was read" in errors and not Path("program.img").exists()


def test_files_too_large_for_an_image_are_refused_before_they_are_read(goanna: Goanna) -> None:
    with Path("huge").open("wb") as file:
        file.truncate(5 << 30)
    status, _, errors = goanna("build", program(), "--add", "huge")
    assert status == 125 and "the image would have 5.0 GiB" in errors and "--share" in errors
    assert not [each for each in os.listdir() if "img" in each]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('memory = "lots"', "goanna.toml:1: memory: 'lots' is no amount of memory: write it like 64M or 1G"),
        ("\n\ncpus = 99", "goanna.toml:3: cpus: "),
        ('machine = "cray"', "goanna.toml:1: machine: "),
        ('timeout = "soon"', "goanna.toml:1: timeout: "),
    ],
)
def test_settings_that_no_flag_takes_are_said_by_their_line(goanna: Goanna, text: str, said: str) -> None:
    Path("goanna.toml").write_text(text)
    status, output, errors = goanna("run", program())
    assert (status, output) == (125, "") and said in errors


def test_an_image_takes_no_more_files(goanna: Goanna) -> None:
    Path("f").write_text("f")
    goanna("build", program())
    status, _, errors = goanna("run", "program.img", "--add", "f")
    assert status == 125 and "program.img: is made already, so --add f can't be followed" in errors


def test_users_of_an_image_are_its_own(goanna: Goanna) -> None:
    goanna("build", program())
    status, _, errors = goanna("run", "program.img", "--user", "somebody")
    assert status == 125 and "is no user in the image's /etc/passwd" in errors
    assert goanna("run", "program.img", "--user", "nobody", "--timeout", "120")[0] == 42


def test_exec_runs_what_is_built(goanna: Goanna, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Path("work").mkdir()
    monkeypatch.chdir("work")
    assert goanna("exec", "--timeout", "120", program(), "-test.v", "--timeout", "1") == (42, "booted\n", "")
    assert goanna("exec", "gone")[0] == 127 and goanna("exec", "--mistake", "program")[0] == 125


def test_test_is_go_test_with_exec(goanna: Goanna, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    go = tmp_path / "bin/go"
    go.parent.mkdir()
    go.write_text('#!/bin/sh\nfor word; do echo "[$word]"; done\necho $CGO_ENABLED $GOOS\nexit 3\n')
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("CGO_ENABLED", raising=False)
    status, output, _ = goanna("test", "-run", "X", "--memory", "2G", "./...", "-v", "--add=a b:/c", "-args", "--cpus")
    assert status == 3
    first, runner, *rest = output.splitlines()
    assert first == "[test]" and rest == ["[-run]", "[X]", "[./...]", "[-v]", "[-args]", "[--cpus]", "0 linux"]
    where = Path.cwd() / "a b"  # go calls the runner in each package's folder
    assert runner.startswith("[-exec=") and runner.endswith(f"goanna.cli.main exec --memory 2G --add '{where}:/c']")
    assert goanna("test", "-exec", "x", "./...")[0] == 125


def test_words_that_go_could_not_read_are_refused() -> None:
    from goanna.cli.test import test

    with pytest.raises(Failure, match="quotes of both kinds"):
        test([], ["--add", "'\""])
