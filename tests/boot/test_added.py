"""A folder full of odd things is the same in an image as here: kinds, modes, sizes, times, links, content, extended
attributes.
"""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.boot.running import GOANNA

_PROGRAM = r"""package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
)

func main() {
	os.Chdir(os.Args[1])
	filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		status, err := os.Lstat(path)
		if err != nil {
			fmt.Println(path, err)
			return nil
		}
		raw := status.Sys().(*syscall.Stat_t)
		fmt.Print(path, " ", entry.Type(), " ", status.Mode(), " ", raw.Nlink, " ", raw.Rdev, " ", raw.Mtim)
		if status.Mode()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			fmt.Print(" ", target, " ", err)
		}
		if status.Mode().IsRegular() {
			sum := sha256.New()
			file, err := os.Open(path)
			if err == nil {
				_, err = io.Copy(sum, file)
				file.Close()
			}
			fmt.Printf(" %d %x %v", status.Size(), sum.Sum(nil), err)
		}
		fmt.Println()
		if status.Mode().IsRegular() || status.IsDir() {
			show(path)
		}
		return nil
	})
	// What is written lies over the tree of the image.
	if file, err := os.OpenFile("marked", os.O_WRONLY|os.O_APPEND, 0); err == nil {
		fmt.Fprintln(file, "more")
		file.Close()
		fmt.Println(os.Rename("marked", "moved"), syscall.Removexattr("moved", "user.empty"))
		fmt.Println(syscall.Setxattr("moved", "user.common", []byte("another"), 2))
		show("moved")
	}
}

// show tells the extended attributes of a file.
func show(path string) {
	all := make([]byte, 65536)
	size, err := syscall.Listxattr(path, all)
	if err != nil {
		fmt.Println(err)
		return
	}
	names := strings.Split(string(all[:size]), "\x00")
	sort.Strings(names)
	for _, name := range names {
		if strings.HasPrefix(name, "user.") || name == "security.capability" {
			value := make([]byte, 65536)
			size, err := syscall.Getxattr(path, name, value)
			fmt.Printf("\t%q %x %v\n", name, value[:max(size, 0)], err)
		}
	}
}
"""
LINKS = 3000
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


@pytest.fixture
def program(tmp_path: Path, go: str) -> Path:
    (tmp_path / "main.go").write_text(_PROGRAM)
    environment = os.environ | {"CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": "amd64", "GO111MODULE": "off"}
    subprocess.run([go, "build", "-o", "program", "main.go"], cwd=tmp_path, env=environment, check=True)
    return tmp_path / "program"


def fill(folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / "fifo", 0o620)
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(folder)  # a socket's path has at most 107 bytes
        made.bind("socket")
        os.chdir(here)
    if os.geteuid() == 0:
        (folder / "nobody").touch(0)
        os.mknod(folder / "null", 0o20666, os.makedev(1, 3))
        os.mknod(folder / "disk", 0o60660, os.makedev(259, 70000))
    for name, mode in (("suid", 0o4755), ("sgid", 0o2755), ("sticky", 0o1644), ("all", 0o7777)):
        (folder / name).write_text(name)
        (folder / name).chmod(mode)
    for name, time in (
        ("old", -1_000_000_000_000_000_001),
        ("epoch", 0),
        ("before", -1),
        ("late", 5_000_000_000 * 10**9),
    ):
        (folder / name).touch()
        os.utime(folder / name, ns=(time, time))
    with (folder / "sparse").open("wb") as file:
        file.truncate(24 << 20)
        file.seek(10 << 20)
        file.write(b"in the middle")
    (folder / "links").mkdir()
    (folder / "links/0").write_text("one file")
    for number in range(1, LINKS):
        os.link(folder / "links/0", folder / f"links/{number}")
    (folder / "soft").symlink_to("links/5")
    (folder / "round").symlink_to("round")
    (folder / "n" / ("ä" * 127)).mkdir(parents=True)
    (folder / os.fsdecode(b"no \xff utf\n8 ")).write_text("x")
    (folder / "n").chmod(0o3711)
    (folder / "marked").write_text("marked")
    marks = {"user.common": b"x" * 100, "user.empty": b"", "user.zero": b"\0" * 9, "user." + "n" * 250: b"long"}
    with suppress(OSError):  # of a file system that has none
        for name in ("marked", "links/0", "links", "."):
            for mark, value in marks.items():
                os.setxattr(folder / name, mark, value)
        os.setxattr(folder / "suid", "security.capability", CAPABILITY)


def test_a_folder_of_odd_things_is_the_same_there(program: Path, tmp_path: Path, processors: int) -> None:
    fill(tmp_path / "odd")
    command = [*GOANNA, "run", "-c", str(processors), "--add", f"{tmp_path}/odd:/odd", program, "--", "/odd"]
    done = subprocess.run(command, capture_output=True, timeout=300)
    assert done.returncode == 0 and done.stderr == b"", done.stderr
    here = subprocess.run([program, tmp_path / "odd"], capture_output=True, check=True).stdout
    assert done.stdout.split(b"\n") == here.split(b"\n")


def test_two_images_of_it_have_the_same_bytes(program: Path, tmp_path: Path) -> None:
    fill(tmp_path / "odd")
    for name in ("one", "two"):
        subprocess.run([*GOANNA, "build", "-o", tmp_path / name, "--add", f"{tmp_path}/odd:/odd", program], check=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
