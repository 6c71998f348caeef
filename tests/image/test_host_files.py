"""Folders of this computer become trees: what fsck.erofs takes out of them is what was there."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import time
from io import BytesIO
from pathlib import Path

import pytest

from goanna.failure import Failure
from goanna.image.erofs import FileSystem, Folder
from goanna.image.host_files import HostFiles
from goanna.image.tree_cache import cached_tree, read_tree

needs_fsck = pytest.mark.skipif(not shutil.which("fsck.erofs"), reason="needs erofs-utils")


def written(folder: Path) -> bytes:
    top = HostFiles().node(folder)
    assert isinstance(top, Folder)
    stream = BytesIO()
    FileSystem(top).write(stream)
    return stream.getvalue()


def sample(folder: Path) -> Path:
    (folder / "sub/empty").mkdir(parents=True)
    for size in (0, 1, 2048, 2049, 4095, 4096, 4097, 70_000):
        (folder / f"file-{size}").write_bytes(bytes(index % 251 for index in range(size)))
    (folder / "sub/program").write_bytes(b"#!" * 50)
    (folder / "sub/program").chmod(0o755)
    os.link(folder / "file-4097", folder / "sub/same")
    (folder / "link").symlink_to("sub/program")
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(folder / "pipe", 0o600)
    (folder / "sub").chmod(0o1770)
    os.utime(folder / "file-1", ns=(1, 1_600_000_000_123_456_789))
    os.utime(folder / "sub", ns=(1, 1_500_000_000_000_000_001))
    return folder


def facts(top: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for path in [top, *top.rglob("*")]:
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        target = os.readlink(path) if path.is_symlink() else ""
        time = 0 if path.is_symlink() else status.st_mtime_ns
        found[str(path.relative_to(top))] = (status.st_mode, time, content, target)
    return found


@needs_fsck
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gets modes out as they are")
def test_a_folder_comes_out_as_it_went_in(tmp_path: Path) -> None:
    folder = sample(tmp_path / "here")
    image = tmp_path / "image"
    image.write_bytes(written(folder))
    done = subprocess.run(["fsck.erofs", f"--extract={tmp_path / 'there'}", image], capture_output=True, text=True)
    assert done.returncode == 0 and "<E>" not in done.stderr, done.stdout + done.stderr
    assert facts(tmp_path / "there") == facts(folder)


@pytest.mark.skipif(not shutil.which("dump.erofs"), reason="needs erofs-utils")
def test_two_names_of_a_file_stay_one_file(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(written(sample(tmp_path / "here")))
    commands = [["dump.erofs", f"--path={path}", image] for path in ("/file-4097", "/sub/same")]
    texts = [subprocess.run(command, capture_output=True, text=True).stdout for command in commands]
    inodes = [re.search(r"NID: (\d+) +Links: (\d+)", text) for text in texts]
    assert inodes[0] and inodes[1] and inodes[0].groups() == inodes[1].groups() and inodes[0][2] == "2"


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = sample(tmp_path / "here")
    assert written(folder) == written(folder)


def test_owners_here_don_t_count(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    before = written(tmp_path)
    if os.geteuid() == 0:
        os.chown(tmp_path / "f", 1000, 1000)
    assert written(tmp_path) == before


def test_small_files_share_blocks(tmp_path: Path) -> None:
    for index in range(500):
        (tmp_path / f"{index}").write_bytes(b"x" * 100)
    assert len(written(tmp_path)) < 500 * 300


def test_twenty_thousand_files_take_seconds(tmp_path: Path) -> None:
    for index in range(20_000):
        folder = tmp_path / f"{index % 100}"
        folder.mkdir(exist_ok=True)
        (folder / f"{index}").write_bytes(b"y" * 1000)
    before = time.process_time()
    assert len(written(tmp_path)) >= 20_000 * 1000
    assert time.process_time() - before < 10


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_can_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"")
    (tmp_path / "secret").chmod(0)
    with pytest.raises(Failure, match="secret: can't be read: Permission denied"):
        HostFiles().node(tmp_path)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="nothing: there is no such file or folder"):
        HostFiles().node(tmp_path / "nothing")


def marked(path: Path, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value, follow_symlinks=False)
    except OSError as error:
        pytest.skip(f"{path}: has no attribute {name} here: {error.strerror}")


CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
# user_obj rw, user 1000 r, group_obj r, mask rw, other r (struct posix_acl_xattr_entry).
ACCESS_LIST = bytes.fromhex(
    "02000000 01000600ffffffff 02000400e8030000 04000400ffffffff 10000600ffffffff 20000400ffffffff"
)


def test_extended_attributes_are_kept(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("sub/file")
    marked(tmp_path / "sub/file", "user.origin", b"\0https://example.org")
    marked(tmp_path / "sub", "user.of folder", b"")
    marked(tmp_path, "user.top", b"top")
    top = HostFiles().node(tmp_path)
    assert isinstance(top, Folder) and top.attributes == {b"user.top": b"top"}
    assert top.entries[b"link"].attributes == {}
    below = top.entries[b"sub"]
    assert isinstance(below, Folder) and below.attributes == {b"user.of folder": b""}
    assert below.entries[b"file"].attributes == {b"user.origin": b"\0https://example.org"}
    assert HostFiles().node(tmp_path / "link").attributes == {b"user.origin": b"\0https://example.org"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives programs capabilities")
def test_capabilities_of_programs_are_kept_and_what_is_this_computer_s_own_is_not(tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(b"")
    marked(tmp_path / "program", "security.capability", CAPABILITY)
    marked(tmp_path / "program", "trusted.mine", b"1")
    assert HostFiles().node(tmp_path / "program").attributes == {b"security.capability": CAPABILITY}


def test_access_lists_are_left_out_and_told(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"x")
        marked(tmp_path / name, "system.posix_acl_access", ACCESS_LIST)
    files = HostFiles()
    top = files.node(tmp_path)
    assert isinstance(top, Folder) and top.entries[b"a"].attributes == {}
    assert files.lists == [str(tmp_path / "a"), str(tmp_path / "b")]


def test_an_attribute_too_large_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # No file system in common use on this computer may take one of 65,536 bytes, which only some do.
    (tmp_path / "f").write_bytes(b"x")
    monkeypatch.setattr(os, "listxattr", lambda *_, **__: ["user.big"])
    monkeypatch.setattr(os, "getxattr", lambda *_, **__: bytes(65536))
    with pytest.raises(Failure, match=r"f: its attribute user.big has 65,536 bytes"):
        HostFiles().node(tmp_path / "f")
    monkeypatch.setattr(os, "listxattr", lambda *_, **__: [f"user.{index}" for index in range(5)])
    monkeypatch.setattr(os, "getxattr", lambda *_, **__: bytes(65535))
    with pytest.raises(Failure, match="f: its extended attributes have 327,"):
        HostFiles().node(tmp_path / "f")


def test_a_new_attribute_is_a_new_state_of_a_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "tree"
    folder.mkdir()
    first = cached_tree(folder, read_tree(folder, lambda path: True))
    marked(folder, "user.a", b"1")
    assert cached_tree(folder, read_tree(folder, lambda path: True)) != first


def test_a_tree_is_made_once_for_each_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "f").write_bytes(b"1")
    (folder / "hidden").write_bytes(b"1")
    built = []

    def tree() -> Path:
        return cached_tree(folder, read_tree(folder, lambda path: not path.endswith("hidden")), lambda: built.append(1))

    first = tree()
    assert tree() == first and built == [1]
    (folder / "hidden").write_bytes(b"other")
    assert tree() == first
    (folder / "f").write_bytes(b"22")
    second = tree()
    assert second != first and first.exists() and len(built) == 2
    for each in (first, second):
        os.utime(each, (0, 0))
    (folder / "f").write_bytes(b"333")
    third = tree()
    assert sorted((tmp_path / "cache/goanna/trees").glob("*.erofs")) == [third]
