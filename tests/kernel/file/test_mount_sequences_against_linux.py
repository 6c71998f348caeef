"""Any sequence of mounts, moves and umounts leads to the trees that Linux has after it."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kernel.file.mounts import (
    AT_FDCWD,
    BIND,
    DETACH,
    EXPIRE,
    FORCE,
    MOVE,
    NOATIME,
    NODEV,
    NODIRATIME,
    NOEXEC,
    NOFOLLOW,
    NOSUID,
    PRIVATE,
    RDONLY,
    REC,
    REMOUNT,
    SLAVE,
    STRICTATIME,
    UNBINDABLE,
    Side,
    settle,
    tree,
)
from tests.kernel.syscall.linux import Both, needs_linux, needs_own_tree

pytestmark = [needs_linux, needs_own_tree]


@pytest.fixture(scope="module")
def both():
    both = Both(tree())
    yield both
    both.close()


@pytest.fixture(autouse=True)
def fresh(both):
    settle(both)


PLACES = [b"/a", b"/a/sub", b"/b", b"/b/c", b"/b/c/d", b"/x", b"/x/y", b"/x/y/sub", b"/x/y/c", b"/a/sub/..", b"/file",
          b"/a/file", b"/link", b"/b/c/../c", b"/missing", b"/x/y/c/d", b"/a/made"]  # fmt: skip
places = st.sampled_from(PLACES)
mount_bits = st.sampled_from([0, RDONLY, NOSUID, NODEV | NOEXEC, NOATIME, STRICTATIME, RDONLY | NODIRATIME])
STEPS = st.one_of(
    st.tuples(st.just("new"), places, mount_bits, st.sampled_from([b"", b"size=8k", b"mode=711", b"size=1m"])),
    st.tuples(st.just("bind"), places, places, st.sampled_from([0, REC])),
    st.tuples(st.just("bind"), places, places, st.sampled_from([0, REC])),
    st.tuples(st.just("move"), places, places),
    st.tuples(st.just("kind"), places, st.sampled_from([PRIVATE, UNBINDABLE, SLAVE]), st.sampled_from([0, REC])),
    st.tuples(st.just("change"), places, mount_bits),
    st.tuples(st.just("remount"), places, mount_bits, st.sampled_from([b"", b"size=4k", b"mode=700"])),
    st.tuples(st.just("umount"), places, st.sampled_from([0, 0, DETACH, EXPIRE, NOFOLLOW, FORCE])),
    st.tuples(st.just("make"), places),
    st.tuples(st.just("remove"), places),
    st.tuples(st.just("rename"), places, places),
    st.tuples(st.just("open"), places, st.sampled_from([0, 2, 0o102, 0o200000, 0o10000000])),
    st.tuples(st.just("close"), st.integers(3, 6)),
    st.tuples(st.just("chdir"), st.one_of(places, st.sampled_from([b"..", b"/", b"c", b"sub"]))),
    st.tuples(st.just("list"), places),
)


def take(side: Side, step) -> None:
    """One step, with the same outcome on both sides."""
    match step:
        case "new", place, flags, data:
            side.mount(b"none", place, b"tmpfs", flags, data)
        case "bind", source, place, flags:
            side.mount(source, place, None, BIND | flags)
        case "move", source, place:
            side.mount(source, place, None, MOVE)
        case "kind", place, kind, flags:
            side.mount(None, place, None, kind | flags)
        case "change", place, flags:
            side.mount(None, place, None, REMOUNT | BIND | flags)
        case "remount", place, flags, data:
            side.mount(None, place, None, REMOUNT | flags, data)
        case "umount", place, flags:
            side.umount(place, flags)
        case "make", place:
            side.make(place)
        case "remove", place:
            side.remove(place)
        case "rename", place, other:
            side.call("renameat", AT_FDCWD, place, AT_FDCWD, other)
        case "open", place, flags:
            side.open(place, flags)
        case "close", descriptor:
            side.call("close", descriptor)
        case "chdir", place:
            if side.call("chdir", place) == 0:
                side.working_directory()
        case "list", place:
            descriptor = side.open(place, 0o200000)
            if descriptor >= 0:
                side.call("close", descriptor)
                side.names(place)
                side.flags(place)


@settings(max_examples=int(os.environ.get("GOANNA_MOUNT_EXAMPLES", "60")), deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(steps=st.lists(STEPS, min_size=3, max_size=25))
def test_any_steps_lead_to_the_same_mounts(both, steps):
    settle(both)
    side = Side(both)
    for step in steps:
        take(side, step)
        side.table()
