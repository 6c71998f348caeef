"""Trees put together out of claims: folders flow into each other, everything else is said to whom it concerns."""

from __future__ import annotations

import pytest

from goanna.failure import Failure
from goanna.image.assembly import Assembly
from goanna.image.erofs import File, Folder, Link


def folder(**entries: object) -> Folder:
    return Folder(entries={name.encode(): node for name, node in entries.items()})  # type: ignore[misc]


def test_folders_flow_into_each_other() -> None:
    tree = Assembly()
    tree.claim("/srv/www", folder(a=File(data=b"1")), "--add a")
    tree.claim("/srv/www/", Folder(entries={b"b": File(data=b"2")}, mode=0o700, time=5), "--add b")
    www = tree.find("/srv/www")
    assert isinstance(www, Folder) and sorted(www.entries) == [b"a", b"b"] and (www.mode, www.time) == (0o700, 5)


def test_two_that_claim_one_path_are_both_named() -> None:
    tree = Assembly()
    tree.claim("/etc/motd", File(data=b"1"), "--add one:/etc/motd")
    with pytest.raises(Failure, match=r"/etc/motd: is claimed by --add one:/etc/motd and by --add two:/etc/motd"):
        tree.claim("/etc/motd", File(data=b"2"), "--add two:/etc/motd")
    with pytest.raises(Failure, match=r"/etc/motd: is claimed by --add one:/etc/motd and by --add three"):
        tree.claim("/etc/motd/below", File(data=b"3"), "--add three")
    with pytest.raises(Failure, match=r"/etc: is claimed by --add one:/etc/motd and by --add four"):
        tree.claim("/etc", File(data=b"4"), "--add four")


def test_what_is_offered_gives_way() -> None:
    tree = Assembly()
    tree.claim("/etc/hosts", File(data=b"mine"), "--add hosts")
    tree.claim("/usr", File(data=b"odd"), "--add usr")
    tree.offer("/etc/hosts", File(data=b"ours"))
    tree.offer("/usr/share/zoneinfo/UTC", File(data=b"ours"))
    tree.offer("/etc/group", File(data=b"ours"))
    hosts, group = tree.find("/etc/hosts"), tree.find("/etc/group")
    assert isinstance(hosts, File) and hosts.data == b"mine" and isinstance(group, File) and group.data == b"ours"
    assert tree.find("/usr/share") is None


def test_a_folder_at_the_root_is_the_root() -> None:
    tree = Assembly()
    tree.claim("/", folder(x=File(data=b"1")), "--add tree:/")
    assert isinstance(tree.find("/x"), File)
    with pytest.raises(Failure, match="can't be the root"):
        tree.claim("/", File(), "--add file:/")


@pytest.mark.parametrize("target", [b"gone", b"below/../gone", b"/data/x/gone", b"/etc/hosts", b"../../etc/hosts"])
def test_links_inside_or_to_what_is_there_are_kept(target: bytes) -> None:
    tree = Assembly()
    tree.claim("/data/x", folder(link=Link(target=target)), "--add x")
    tree.offer("/etc/hosts", File())
    tree.check_links()


@pytest.mark.parametrize("target", [b"/home/me/secret", b"../../../elsewhere", b"../xx"])
def test_link_that_leaves_the_tree_is_named(target: bytes) -> None:
    tree = Assembly()
    tree.claim(
        "/data/x", folder(inner=folder(link=Link(target=b"../" + target if target[:1] == b"." else target))), "--add x"
    )
    with pytest.raises(Failure, match=r"/data/x/inner/link: this link leads to .*, outside of --add x"):
        tree.check_links()


def test_links_are_followed_to_their_end() -> None:
    tree = Assembly()
    tree.claim("/a", folder(f=File(data=b"1"), up=Link(target=b"../b/f"), loop=Link(target=b"loop")), "--add a")
    tree.claim("/b", Link(target=b"a"), "--add b")
    found = tree.find("/b/up")
    assert isinstance(found, File) and found.data == b"1"
    assert tree.find("/a/loop") is None


@pytest.mark.parametrize(
    ("path", "text"),
    [("relative", "no absolute path"), ("/" + "n" * 256, "the name nnn.* has 256 bytes"),
     ("/ok/" + "ä" * 128 + "/f", "has 256 bytes"), ("/d" * 2100, "a path has at most 4,095"), ("/a\0b", "zero byte")],
)  # fmt: skip
def test_impossible_paths_are_a_sentence(path: str, text: str) -> None:
    with pytest.raises(Failure, match=text):
        Assembly().claim(path, File(), "--add x")
