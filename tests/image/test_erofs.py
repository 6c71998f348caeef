"""EROFS trees: what erofs-utils reads out of them is what was put in."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.image.erofs import BLOCK, Device, File, FileChanged, FileSystem, Folder, Link, Node
from goanna.image.tree import entries

needs_fsck = pytest.mark.skipif(not shutil.which("fsck.erofs"), reason="needs erofs-utils")


def written(root: Folder) -> bytes:
    stream = BytesIO()
    made = FileSystem(root)
    made.write(stream)
    assert len(stream.getvalue()) == made.size
    return stream.getvalue()


def extracted(root: Folder, folder: Path) -> Path:
    image, tree = folder / "image", folder / "tree"
    image.write_bytes(written(root))
    done = subprocess.run(["fsck.erofs", f"--extract={tree}", image], capture_output=True, text=True)
    # Old releases name an error and end with status 0.
    assert done.returncode == 0 and "<E>" not in done.stderr, done.stdout + done.stderr
    return tree


def sample() -> Folder:
    root = Folder(time=1_700_000_000_123_456_789)
    root.add("bin/hello", File(data=bytes(range(256)) * 50, mode=0o755, time=5_000_000_001))
    root.add("etc/empty", File())
    root.add("etc/old", File(time=-5_000_000_001))
    root.add("etc/exact", File(data=b"x" * BLOCK))
    root.add("etc/link", Link(target=b"../bin/hello"))
    root.add("tmp", Folder(mode=0o1777))
    return root


@needs_fsck
def test_extracted_tree_equals_what_was_written(tmp_path: Path) -> None:
    tree = extracted(sample(), tmp_path)
    assert (tree / "bin/hello").read_bytes() == bytes(range(256)) * 50
    assert (tree / "etc/empty").read_bytes() == b""
    assert (tree / "etc/exact").read_bytes() == b"x" * BLOCK
    assert os.readlink(tree / "etc/link") == "../bin/hello"


@needs_fsck
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gets modes and owners out as they are")
def test_modes_owners_and_times_are_kept(tmp_path: Path) -> None:
    root = sample()
    root.add("owned", File(data=b"mine", mode=0o640, uid=1000, gid=70000))
    tree = extracted(root, tmp_path)
    assert stat.S_IMODE((tree / "bin/hello").stat().st_mode) == 0o755
    assert (tree / "bin/hello").stat().st_mtime_ns == 5_000_000_001
    assert tree.stat().st_mtime_ns == 1_700_000_000_123_456_789
    assert (tree / "etc/old").stat().st_mtime_ns == -5_000_000_001
    assert stat.S_IMODE((tree / "tmp").stat().st_mode) == 0o1777
    owned = (tree / "owned").stat()
    assert (stat.S_IMODE(owned.st_mode), owned.st_uid, owned.st_gid) == (0o640, 1000, 70000)


@needs_fsck
def test_folder_of_many_names_spans_blocks(tmp_path: Path) -> None:
    root = Folder()
    names = [f"a name that is rather long, so that blocks fill, number {index:04}" for index in range(500)] + ["-", "!"]
    for name in names:
        root.add(f"many/{name}", File(data=name.encode()))
    tree = extracted(root, tmp_path)
    assert sorted(os.listdir(tree / "many")) == sorted(names)
    assert all((tree / "many" / name).read_text() == name for name in names)


@needs_fsck
def test_one_file_at_two_names_is_a_hard_link(tmp_path: Path) -> None:
    root, file = Folder(), File(data=b"twice")
    root.add("a", file)
    root.add("folder/b", file)
    image = written(root)
    assert image.count(b"twice") == 1
    assert [each.size for each in entries(image) if stat.S_ISREG(each.mode)] == [5, 5]
    extracted(root, tmp_path)


@needs_fsck
def test_device_numbers(tmp_path: Path) -> None:
    root = Folder()
    root.add("dev/null", Device(major=1, minor=3, mode=0o666))
    root.add("dev/big", Device(major=259, minor=70000, mode=0o600, type=stat.S_IFBLK))
    image = tmp_path / "image"
    image.write_bytes(written(root))
    done = subprocess.run(["fsck.erofs", image], capture_output=True, text=True)
    assert done.returncode == 0 and "<E>" not in done.stderr, done.stderr
    modes = {each.path: each.mode for each in entries(image.read_bytes())}
    assert stat.S_ISCHR(modes["/dev/null"]) and stat.S_ISBLK(modes["/dev/big"])


@needs_fsck
def test_checksum_of_the_superblock_is_looked_at_and_right(tmp_path: Path) -> None:
    image = bytearray(written(sample()))
    image[1024 + 20] ^= 1
    (tmp_path / "image").write_bytes(image)
    done = subprocess.run(["fsck.erofs", tmp_path / "image"], capture_output=True, text=True)
    assert "superblock checksum" in done.stdout + done.stderr


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """The sample tree as Linux itself shows it."""
    (tmp_path / "image").write_bytes(written(sample()))
    place = tmp_path / "place"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "erofs", "-o", "loop,ro", tmp_path / "image", place], capture_output=True)
    if done.returncode != 0:
        pytest.skip("this system mounts no EROFS")
    yield place
    subprocess.run(["umount", place], check=True)


def test_linux_shows_what_was_written(mounted: Path) -> None:
    assert (mounted / "bin/hello").read_bytes() == bytes(range(256)) * 50
    assert (mounted / "bin/hello").stat().st_mtime_ns == 5_000_000_001
    assert os.readlink(mounted / "etc/link") == "../bin/hello"
    assert sorted(os.listdir(mounted / "etc")) == ["empty", "exact", "link", "old"]
    assert (mounted / "etc/old").stat().st_mtime_ns == -5_000_000_001
    assert mounted.stat().st_nlink == 5


def test_the_same_tree_gives_the_same_bytes() -> None:
    assert written(sample()) == written(sample())


def test_file_data_begins_on_a_block() -> None:
    root = sample()
    made = FileSystem(root)
    hello = root.entries[b"bin"].entries[b"hello"]  # type: ignore[attr-defined]
    place = made.place_of(hello)
    assert place % BLOCK == 0
    assert written(root)[place : place + 256] == bytes(range(256))


def test_file_from_a_path_equals_file_from_bytes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"content" * 1000)
    one, two = Folder(), Folder()
    one.add("f", File(data=tmp_path / "f"))
    two.add("f", File(data=b"content" * 1000))
    assert written(one) == written(two)


def test_file_that_shrinks_between_layout_and_writing_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"content" * 1000)
    root = Folder()
    root.add("f", File(data=path))
    made = FileSystem(root)
    path.write_bytes(b"less")
    with pytest.raises(FileChanged, match="changed"):
        made.write(BytesIO())


@pytest.mark.parametrize("name", [b"", b"..", b"a/b", b"a\0b", b"n" * 256])
def test_impossible_names_are_refused(name: bytes) -> None:
    with pytest.raises(ValueError, match="name of a file"):
        FileSystem(Folder(entries={name: File()}))


def test_file_in_the_way_of_a_folder_is_refused() -> None:
    root = Folder()
    root.add("a", File())
    with pytest.raises(ValueError, match="not a folder"):
        root.add("a/b", File())


names = st.binary(min_size=1, max_size=40).filter(lambda name: not {0, 47} & set(name) and name not in (b".", b".."))
nodes = st.recursive(
    st.builds(lambda data: File(data=data), st.binary(max_size=9000))
    | st.builds(lambda target: Link(target=target), st.binary(min_size=1, max_size=4090).filter(lambda t: 0 not in t)),
    lambda below: st.builds(lambda found: Folder(entries=found), st.dictionaries(names, below, max_size=8)),
    max_leaves=30,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(names, nodes, max_size=8))
def test_reading_a_tree_gives_what_was_written(found: dict[bytes, Node]) -> None:
    def listed(folder: Folder, path: str = "") -> list[tuple[str, int, int]]:
        lines = []
        for name, node in sorted(folder.entries.items()):
            here = f"{path}/{name.decode(errors='replace')}"
            lines.append((here, node.type, -1 if isinstance(node, Folder) else node.size))
            if isinstance(node, Folder):
                lines += listed(node, here)
        return lines

    root = Folder(entries=found)
    read = [
        (each.path, stat.S_IFMT(each.mode), -1 if stat.S_ISDIR(each.mode) else each.size)
        for each in entries(written(root))
    ]
    assert read == listed(root)
