"""Segments: who is in one, under which name and number, and what the others hear of it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from goanna.failure import Failure
from goanna.machine.networks import network_words, parse_networks
from goanna.machine.segments import Segment, host_of, join, segment_of


@pytest.fixture
def segment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Segment]:
    folder = tempfile.mkdtemp(prefix="gs")  # a short path, as sockets want it
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    yield segment_of("shop")
    shutil.rmtree(folder)


def test_machines_have_numbers_and_names_of_their_own(segment: Segment) -> None:
    first, second, third = join(segment, "web", False), join(segment, "web", False), join(segment, "db", True)
    assert [(each.number, each.name) for each in (first, second, third)] == [(2, "web"), (3, "web-2"), (4, "db")]
    with pytest.raises(Failure, match="--hostname db and --net segment=shop contradict each other"):
        join(segment, "db", True)
    second.leave()
    again = join(segment, "web", False)
    assert (again.number, again.name) == (3, "web-2")
    for each in (first, third, again):
        each.leave()
    assert not list(segment.folder.glob("*.name"))


def test_each_hears_who_comes_and_goes(segment: Segment) -> None:
    first = join(segment, "web", False)
    assert first.news() == []
    second = join(segment, "db", False)
    four, six = segment.addresses(3)
    assert first.news() == [f"db@{four}", f"db@{six}"] and first.news() == []
    assert second.news() == [f"web@{each}" for each in segment.addresses(2)]
    second.leave()
    assert first.news() == ["db"]
    first.leave()


def test_a_machine_that_was_killed_is_gone(segment: Segment) -> None:
    first, second = join(segment, "web", False), join(segment, "db", False)
    assert len(first.news()) == 2
    second.listener.close()  # what is left when its process has been killed
    assert first.news() == ["db"]
    assert join(segment, "db", True).number == 3
    first.leave()


def test_a_full_segment_is_said(segment: Segment) -> None:
    members = [join(segment, "m", False) for _ in range(253)]
    with pytest.raises(Failure, match="253 machines are in it, and no more fit"):
        join(segment, "m", False)
    for each in members:
        each.listener.close()


def test_what_a_machine_is_told(segment: Segment) -> None:
    networks = parse_networks(["segment=shop,mtu=1400,host=printer@10.1.2.3"], [], None).joined("web", False)
    (told,) = networks.told() or []
    four, six = segment.addresses(2)
    mac = networks.nets[0].mac
    assert told.decode() == f"mac={mac},address={four}/24,address={six}/64,mtu=1400,host=printer@10.1.2.3"
    assert networks.hostname == "web"
    other = parse_networks(["segment=shop"], [], None).joined("db", False)
    assert other.nets[0].all("host") == [f"web@{four}", f"web@{six}"] and other.nets[0].mac != mac
    words = list(network_words(other, "device"))
    assert words[1] == f"socket,id=net0,mcast={segment.place},localaddr=127.0.0.1"
    for each in (*networks.members, *other.members):
        each.leave()


def test_segments_of_other_names_or_users_are_apart(segment: Segment) -> None:
    other = segment_of("shop2")
    assert (other.place, other.network, other.network6) != (segment.place, segment.network, segment.network6)
    assert Segment("shop", Path("/run/user/1/goanna/shop")).place != segment.place
    assert segment.network.subnet_of(type(segment.network)("10.128.0.0/9"))


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (["segment=a b"], "up to 31 letters"),
        (["segment"], "segment wants a value"),
        (["segment=x,address=10.0.0.1/24"], "segment and address contradict each other"),
        (["segment=x,dhcp"], "segment and dhcp contradict each other"),
        (["segment=x", "segment=x"], "in that segment already"),
        (["user,host=db@nowhere"], "'host=db@nowhere' is not right"),
    ],
)
def test_what_can_not_be(net: list[str], message: str) -> None:
    with pytest.raises(Failure, match=message):
        parse_networks(net, [], None)


def test_names_made_of_programs() -> None:
    assert host_of(b"/bin/httpd") == "httpd" and host_of(b"/bin/My_Server.v2") == "my-server-v2"
    assert host_of(b"/bin/___") == "machine" and len(host_of(b"/x/" + b"y" * 99)) == 50


def test_a_path_too_long_for_sockets_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", os.fspath(long))
    with pytest.raises(Failure, match="too long a path"):
        segment_of("shop")
