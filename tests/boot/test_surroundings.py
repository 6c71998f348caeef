"""What a program finds around it in an image: the flags of `goanna build` and `run`, seen from inside."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from goanna.cli.guest import DEFAULT_PATH
from tests.boot.running import GOANNA

_PROGRAM = """package main

import (
	"crypto/x509"
	"fmt"
	"mime"
	"net"
	"os"
	"os/user"
	"time"
)

func main() {
	if _, err := time.LoadLocation("America/New_York"); err != nil {
		fmt.Println(err)
	}
	fmt.Println(time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC).Local().Format(time.RFC3339))
	me, err := user.Current()
	if err != nil {
		fmt.Println(err)
	} else {
		fmt.Println(me.Username, me.Uid, me.Gid, me.HomeDir)
	}
	fmt.Println(mime.TypeByExtension(".vcf"))
	fmt.Println(net.LookupPort("tcp", "postgresql"))
	roots, err := x509.SystemCertPool()
	fmt.Println(err, roots != nil && !roots.Equal(x509.NewCertPool()))
	fmt.Println(os.Getuid(), os.Getegid())
	host, _ := os.Hostname()
	here, _ := os.Getwd()
	fmt.Println(host, here, os.Getenv("A"))
	data, err := os.ReadFile("data")
	fmt.Printf("%q %v\\n", data, err)
	for _, name := range []string{"/etc/x", "/tmp/x"} {
		fmt.Println(os.WriteFile(name, nil, 0o644))
	}
	status, err := os.Stat("data")
	if err == nil {
		fmt.Println(status.Mode(), status.ModTime().Unix())
	}
	link, err := os.Readlink("link")
	fmt.Println(link, err)
	groups, err := os.Getgroups()
	fmt.Println(groups, err)
	fmt.Println(os.Getenv("HOME"), os.Getenv("PATH"))
}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, go: str) -> Path:
    """The program, and beside it an image of it with everything that can be said."""
    folder = tmp_path_factory.mktemp("surroundings")
    (folder / "main.go").write_text(_PROGRAM)
    environment = os.environ | {"CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": "amd64"}
    subprocess.run([go, "build", "-o", folder / "program", "main.go"], cwd=folder, env=environment, check=True)
    (folder / "files").mkdir()
    (folder / "files/data").write_text("hi\n")
    (folder / "files/data").chmod(0o640)
    os.utime(folder / "files/data", (1_500_000_000, 1_500_000_000))
    (folder / "files/link").symlink_to("data")
    (folder / "passwd").write_text("web:x:33:34::/home/web:\n")
    (folder / "group").write_text("root:x:0:\nweb:x:34:\nlogs:x:77:you,web\nmail:x:78:web\nother:x:79:you\n")
    (folder / "env").write_text("A=from a file\n")
    flags = ["--tz", "Europe/Berlin", "--hostname", "box", "--user", "web:0", "--workdir", "/srv", "--env-file", "env"]
    added = ["--add", "files:/srv", "--add", "passwd:/etc/passwd", "--add", "group:/etc/group"]
    subprocess.run([*GOANNA, "build", *flags, *added, "program"], cwd=folder, check=True)
    return folder


def seen(folder: Path, *words: str) -> list[str]:
    command = [*GOANNA, "run", "--timeout", "240", *words, "program.img"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout.splitlines()


def test_what_an_image_says_is_what_the_program_sees(built: Path, processors: int) -> None:
    assert seen(built, "-c", str(processors)) == [
        "2026-07-01T14:00:00+02:00",
        "web 33 34 /home/web",
        "text/vcard; charset=utf-8",
        "5432 <nil>",
        "<nil> true",
        "33 0",
        "box /srv from a file",
        '"hi\\n" <nil>',
        "open /etc/x: permission denied",
        "<nil>",
        "-rw-r----- 1500000000",
        "data <nil>",
        "[] <nil>",
        f"/home/web {os.fsdecode(DEFAULT_PATH)}",
    ]


def test_a_run_may_say_otherwise(built: Path, processors: int) -> None:
    flags = ["--tz", "Asia/Tokyo", "--hostname", "other", "--user", "0", "--workdir", "/", "-e", "A=b"]
    lines = seen(built, "-c", str(processors), *flags)
    assert lines[0] == "2026-07-01T21:00:00+09:00" and lines[6] == "other / b"
    assert lines[7] == '"" open data: no such file or directory' and lines[8] == "<nil>"
    assert lines[-1] == f"/ {os.fsdecode(DEFAULT_PATH)}"  # this image's table has no user 0


def test_a_user_is_in_all_groups_that_list_it_and_at_home_where_its_line_says(built: Path) -> None:
    assert seen(built, "--user", "web", "-e", "PATH=/bin")[-2:] == ["[77 78] <nil>", "/home/web /bin"]
    assert seen(built, "--user", "web", "-e", "HOME=/srv")[-1].startswith("/srv ")
    assert seen(built, "--user", "5")[-2:] == ["[] <nil>", f"/ {os.fsdecode(DEFAULT_PATH)}"]


def test_a_working_directory_that_is_not_there_is_said(built: Path, processors: int) -> None:
    done = subprocess.run(
        [*GOANNA, "run", "-c", str(processors), "--workdir", "/gone", "program.img"],
        cwd=built,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (125, "") and "the working directory is not in the image" in done.stderr


def test_memory_for_files_ends(built: Path, go: str, processors: int) -> None:
    (built / "fill").mkdir(exist_ok=True)
    (built / "fill/main.go").write_text(
        'package main\n\nimport (\n\t"fmt"\n\t"os"\n)\n\nfunc main() {\n\tdata := make([]byte, 1<<20)\n'
        '\tfile, _ := os.Create("/tmp/big")\n\tcount := 0\n\tfor ; count < 64; count++ {\n'
        "\t\tif _, err := file.Write(data); err != nil {\n\t\t\tfmt.Println(err)\n\t\t\tbreak\n\t\t}\n\t}\n"
        '\tfile.Close()\n\tfmt.Println(count, os.Remove("/tmp/big"), os.WriteFile("/tmp/small", data, 0o644))\n}\n'
    )
    command = [*GOANNA, "run", "-c", str(processors), "--memory-files", "8M", "--timeout", "240", "fill/main.go"]
    done = subprocess.run(command, cwd=built, capture_output=True, text=True, env=os.environ | {"GO111MODULE": "off"})
    assert done.stdout.splitlines() == ["write /tmp/big: no space left on device", "7 <nil> <nil>"], done.stderr
