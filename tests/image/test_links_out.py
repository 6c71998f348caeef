"""What links in testdata lead to outside of a module is put into its machine, as far as it is not too much."""

from __future__ import annotations

from pathlib import Path

import pytest

from goanna.image import links_out
from goanna.image.assembly import Assembly
from goanna.image.erofs import File, Folder, Link
from goanna.image.links_out import add_links_out
from goanna.image.tree_cache import read_tree


@pytest.fixture
def module(tmp_path: Path) -> Path:
    made = tmp_path / "m"
    (made / "p/testdata/deep").mkdir(parents=True)
    (made / "p/own").write_text("own")
    (tmp_path / "shared/deep").mkdir(parents=True)
    (tmp_path / "shared/one").write_text("one")
    (tmp_path / "shared/deep/two").write_text("two")
    return made


def added(module: Path) -> tuple[Assembly, list[str]]:
    tree = Assembly()
    return tree, add_links_out(tree, module, read_tree(module, lambda path: True))


def content(tree: Assembly, path: Path) -> bytes | None:
    node = tree.find(str(path))
    return node.data.read_bytes() if isinstance(node, File) and isinstance(node.data, Path) else None


def test_files_folders_and_links_to_links_come_along(module: Path, tmp_path: Path) -> None:
    (module / "p/testdata/file").symlink_to("../../../shared/one")
    (module / "p/testdata/deep/folder").symlink_to(tmp_path / "shared/deep")
    (tmp_path / "shared/deep/on").symlink_to("../far")
    (tmp_path / "shared/far").symlink_to("further")
    (tmp_path / "shared/further").write_text("end")
    (tmp_path / "shared/deep/back").symlink_to(module / "p/own")
    tree, left_out = added(module)
    shared = tmp_path / "shared"
    assert left_out == []
    assert [content(tree, shared / name) for name in ("one", "deep/two", "deep/on")] == [b"one", b"two", b"end"]
    folder = tree.find(str(shared))
    assert isinstance(folder, Folder) and isinstance(folder.entries[b"far"], Link)
    assert tree.find(str(module)) is None  # it is there anyway


def test_links_within_the_module_to_nothing_or_elsewhere_than_in_testdata_bring_nothing(
    module: Path, tmp_path: Path
) -> None:
    (module / "p/testdata/own").symlink_to("../own")
    (module / "p/testdata/gone").symlink_to("../../../gone")
    (module / "p/testdata/null").symlink_to("/dev/null")
    (module / "p/testdata/loop").symlink_to("loop")
    (module / "cache").symlink_to("../shared")
    tree, left_out = added(module)
    assert (tree.root.entries, left_out) == ({}, [])


def test_links_that_lead_round_come_to_an_end(module: Path, tmp_path: Path) -> None:
    (module / "p/testdata/round").symlink_to("../../../shared/a")
    (tmp_path / "shared/a").symlink_to("b")
    (tmp_path / "shared/b").symlink_to("a")
    tree, left_out = added(module)
    assert left_out == [] and tree.find(str(tmp_path / "shared/a")) is None


def test_too_much_is_left_out_and_said(module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_out, "MOST_FILES", 2)
    (module / "p/testdata/above").symlink_to("../../..")
    (module / "p/testdata/file").symlink_to("../../../shared/one")
    (module / "p/testdata/many").symlink_to("../../../shared")
    tree, left_out = added(module)
    assert len(left_out) == 2 and all("the machine is without it" in each for each in left_out)
    assert f"{module}/p/testdata/many leads to {tmp_path}/shared" in left_out[1]
    assert content(tree, tmp_path / "shared/one") == b"one" and tree.find(str(tmp_path / "shared/deep")) is None
