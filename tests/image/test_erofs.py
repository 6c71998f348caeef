"""EROFS trees: what erofs-utils reads out of them is what was put in."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def as_linux_shows(image: Path, place: Path) -> Iterator[Path]:
    """An image mounted by Linux itself."""
    place.mkdir()
    done = subprocess.run(["mount", "-t", "erofs", "-o", "loop,ro", image, place], capture_output=True)
    if done.returncode != 0:
        pytest.skip("this system mounts no EROFS")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """The sample tree as Linux itself shows it."""
    (tmp_path / "image").write_bytes(written(sample()))
    with as_linux_shows(tmp_path / "image", tmp_path / "place") as place:
        yield place


def many_attributes() -> Folder:
    """Attributes of every kind: inline, shared, at block ends, too many for a block, on each kind of file."""
    root = Folder(attributes={b"user.root": b"/"})
    common = {b"user.origin": b"https://example.org/archive.tar", b"user.short": b"x"}
    for size in (0, 1, 100, 2048, 4000, 4096, 5000):
        own = {b"user.size": str(size).encode()}
        root.add(f"data/{size}", File(data=bytes([size % 251]) * size, attributes={**common, **own}))
    for size in (1000, 3900, 4000, 4096, 9000, 65535):
        root.add(f"large/{size}", File(data=b"content", attributes={b"user.large": bytes([size % 251]) * size}))
    many = {f"user.{index:04}".encode(): b"v" * (index % 9) for index in range(700)}
    root.add("many", Folder(attributes=many))
    root.add("many/file", File(data=b"y" * 300, attributes=many))
    root.add("none", File(data=b"z" * 300))
    root.add("link", Link(target=b"t" * 3000, attributes={b"trusted.t": b"t"}))
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    root.add("program", File(mode=0o755, attributes={b"security.capability": capability, b"user." + b"n" * 250: b""}))
    return root


def attributes_of(folder: Folder, path: str = "") -> dict[str, dict[bytes, bytes]]:
    found = {path: folder.attributes}
    for name, node in folder.entries.items():
        here = f"{path}/{name.decode()}"
        found |= attributes_of(node, here) if isinstance(node, Folder) else {here: node.attributes}
    return found


@needs_fsck
def test_extended_attributes_are_no_mistake_to_fsck(tmp_path: Path) -> None:
    tree = extracted(many_attributes(), tmp_path)
    assert (tree / "data/5000").read_bytes() == bytes([5000 % 251]) * 5000
    assert (tree / "large/65535").read_bytes() == b"content"
    assert os.readlink(tree / "link") == "t" * 3000


@pytest.mark.skipif(not shutil.which("dump.erofs"), reason="needs erofs-utils")
def test_dump_tells_the_size_of_extended_attributes(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(written(many_attributes()))
    command = ["dump.erofs", "--path=/data/100", tmp_path / "image"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and re.search(r"Xattr size: *[1-9]", done.stdout), done.stdout + done.stderr


def test_linux_shows_extended_attributes(tmp_path: Path) -> None:
    root = many_attributes()
    (tmp_path / "image").write_bytes(written(root))
    with as_linux_shows(tmp_path / "image", tmp_path / "place") as place:
        shown = {}
        for path in attributes_of(root):
            full = f"{place}{path}"
            names = os.listxattr(full, follow_symlinks=False)
            shown[path] = {name.encode(): os.getxattr(full, name, follow_symlinks=False) for name in names}
        assert shown == attributes_of(root)


def test_what_several_files_have_is_written_once() -> None:
    root = Folder()
    for index in range(50):
        root.add(f"{index}", File(attributes={b"user.long": b"of all files" * 20}))
    assert written(root).count(b"of all files" * 20) == 1


@pytest.mark.parametrize("attributes", [{b"user.v": bytes(65536)}, {b"user.": b""}, {b"system.a": b""},
                                        {f"user.{index}".encode(): bytes(60000) for index in range(5)}])  # fmt: skip
def test_impossible_attributes_are_refused(attributes: dict[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="extended attribute"):
        FileSystem(Folder(entries={b"f": File(attributes=attributes)}))


def test_linux_shows_what_was_written(mounted: Path) -> None:
    assert (mounted / "bin/hello").read_bytes() == bytes(range(256)) * 50
    assert (mounted / "bin/hello").stat().st_mtime_ns == 5_000_000_001
    assert os.readlink(mounted / "etc/link") == "../bin/hello"
    assert sorted(os.listdir(mounted / "etc")) == ["empty", "exact", "link", "old"]
    assert (mounted / "etc/old").stat().st_mtime_ns == -5_000_000_001
    assert mounted.stat().st_nlink == 5


def test_the_same_tree_gives_the_same_bytes() -> None:
    assert written(sample()) == written(sample())
    assert written(many_attributes()) == written(many_attributes())


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
