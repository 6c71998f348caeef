"""What programs expect to find, and whom they run as."""

from __future__ import annotations

import pytest

from goanna.failure import Failure
from goanna.image.assembly import Assembly
from goanna.image.erofs import File, Folder, Link
from goanna.image.surroundings import Needs, add_surroundings, find_needs
from goanna.image.users import User, find_user

GO = b"\xff Go buildinf:"


def tree_of(needs: Needs = Needs(), **said: str) -> Assembly:
    tree = Assembly()
    add_surroundings(tree, needs, **said)
    return tree


def text(tree: Assembly, path: str) -> str:
    found = tree.find(path)
    assert isinstance(found, File) and isinstance(found.data, bytes)
    return found.data.decode()


def test_tables_that_programs_read() -> None:
    tree = tree_of(hostname="box")
    assert "root:x:0:0:" in text(tree, "/etc/passwd") and "nogroup:x:65534:" in text(tree, "/etc/group")
    etc = tree.root.entries[b"etc"]
    assert isinstance(etc, Folder)
    hosts = etc.entries[b"hosts"]
    assert isinstance(hosts, Link) and hosts.target == b"../proc/net/hosts"  # the kernel writes it
    assert text(tree, "/etc/hostname") == "box\n" and "hosts: files dns\n" in text(tree, "/etc/nsswitch.conf")
    assert "https\t443/tcp\n" in text(tree, "/etc/services") and "udp\t17\tUDP\n" in text(tree, "/etc/protocols")
    assert "text/html\thtml htm shtml\n" in text(tree, "/etc/mime.types")
    tmp = tree.find("/tmp")
    assert isinstance(tmp, Folder) and tmp.mode == 0o1777


def test_certificates_and_zones_go_in_for_whom_looks_for_them() -> None:
    small = tree_of()
    assert (
        small.find("/etc/ssl/certs/ca-certificates.crt") is None and small.find("/usr/share/zoneinfo/UTC") is not None
    )
    assert small.find("/usr/share/zoneinfo/Europe/Berlin") is None
    large = tree_of(Needs(certificates=True, zones=True))
    assert text(large, "/etc/ssl/certs/ca-certificates.crt").count("BEGIN CERTIFICATE") > 50
    assert large.find("/etc/ssl/cert.pem") is large.find("/etc/ssl/certs/ca-certificates.crt")
    assert large.find("/usr/share/zoneinfo/Europe/Berlin") is not None
    assert large.find("/usr/share/zoneinfo/Asia/Calcutta") is large.find("/usr/share/zoneinfo/Asia/Kolkata")


def test_needs_are_seen_in_the_program() -> None:
    assert find_needs(GO + b"..../usr/share/zoneinfo/....") == Needs()
    assert find_needs(GO + b"time.LoadLocation\0") == Needs(zones=True)
    assert find_needs(b"/usr/share/zoneinfo") == Needs(zones=True, sockets=True)
    assert find_needs(GO + b"syscall.socket\0") == Needs(sockets=True)
    assert find_needs(GO + b"/etc/resolv.conf") == Needs(resolver=True)
    assert find_needs(GO + b"/etc/ssl/certs/ca-certificates.crt") == Needs(certificates=True)
    assert Needs(zones=True) | Needs(certificates=True) == Needs(certificates=True, zones=True)


def test_a_time_zone_is_the_local_time() -> None:
    tree = tree_of(zone="Europe/Berlin")
    assert tree.find("/etc/localtime") is tree.find("/usr/share/zoneinfo/Europe/Berlin") is not None
    assert text(tree, "/etc/timezone") == "Europe/Berlin\n"
    assert tree_of().find("/etc/localtime") is not None
    with pytest.raises(Failure, match="--tz Mars/Base: there is no such time zone"):
        tree_of(zone="Mars/Base")


PASSWD = b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/:\nbroken\n"
GROUP = b"root:x:0:\nstaff:x:50:web\n"


@pytest.mark.parametrize(
    ("said", "user", "group"),
    [("root", 0, 0), ("1000", 1000, 0), ("web:staff", 33, 50), ("web:7", 33, 7),
     ("1000:1001", 1000, 1001)],
)  # fmt: skip
def test_users_by_name_and_number(said: str, user: int, group: int) -> None:
    assert find_user(said, PASSWD, GROUP) == User(user, group)


def test_who_names_no_group_is_in_all_that_list_the_user() -> None:
    table = b"root:x:0:\nstaff:x:50:web,other\nweb:x:34:web\naudio:x:29:other\nvideo:x:44:other,web\n"
    assert find_user("web", PASSWD, table) == User(33, 34, (50, 44))
    assert find_user("33", PASSWD, table) == User(33, 34, (50, 44))
    assert find_user("web:staff", PASSWD, table) == User(33, 50)
    assert find_user("1000", PASSWD, table) == User(1000, 0)


@pytest.mark.parametrize("said", ["nobody", "", "-1", "web:wheel", "web:", "4294967295", "1.5"])
def test_users_that_are_none(said: str) -> None:
    with pytest.raises(Failure, match=f"--user {said}: "):
        find_user(said, PASSWD, GROUP)
