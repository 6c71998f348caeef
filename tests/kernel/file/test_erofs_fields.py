"""The EROFS reader against trees any of whose fields says anything: an errno, never a panic."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.image.erofs import Device, File, FileSystem, Folder, Link
from goanna.kernel.base.errno import EINVAL, EIO, EUCLEAN
from tests.kernel.file.test_erofs import Mounted, look_at_everything


def made_tree():
    """An image with every kind of file, and where its inodes and the names in its directories lie."""
    root = Folder()
    root.add("file", File(data=bytes(range(256)) * 50))
    root.add("small", File(data=b"small"))
    root.add("d/link", Link(target=b"../small"))
    root.add("d/pipe", Device(type=0o010000, major=0, minor=0))
    root.add("d/null", Device(type=0o020000, major=1, minor=3))
    for number in range(300):
        root.add(f"many/{number:03}-{'n' * (number % 50)}", File(data=b"x" * number))
    stream = io.BytesIO()
    FileSystem(root).write(stream)
    data = stream.getvalue()
    mounted = Mounted(data)
    assert mounted.result == 0
    inodes, names, queue = [], [], [mounted.image.root]
    while queue:
        nid = queue.pop()
        inode, result = mounted.inode(nid)
        assert result == 0
        inodes.append(mounted.image.metadata + nid * 32)
        if inode.mode & 0o170000 == 0o040000:
            start = inode.data if inode.flat else inode.tail
            entries, _ = mounted.entries(inode)
            names += [start + 12 * index for index in range(min(len(entries), 60))]
            queue += [child for name, (child, _) in entries.items() if name not in (b".", b"..")]
    return data, inodes, names


# Offset and size of what an inode, compact or extended, and a directory entry say (fs/erofs/erofs_fs.h).
INODE_FIELDS = [(0, 2), (2, 2), (4, 2), (6, 2), (8, 4), (8, 8), (16, 4), (20, 4), (24, 2), (26, 2), (28, 4)]
NAME_FIELDS = [(0, 8), (0, 4), (8, 2), (10, 1)]
values = st.one_of(
    st.integers(0, 16), st.sampled_from([0x20, 0xFF, 0x4000, 0x8000, 0xA000, 0xC000, 0xFFFF, 0xFFF, 0x1000, 1 << 20]),
    st.integers(0, 2**64 - 1), st.sampled_from([2**31, 2**32 - 1, 2**48, 2**63, 2**64 - 1]),
)  # fmt: skip


@pytest.fixture(scope="module")
def made():
    return made_tree()


@given(
    inode_changes=st.lists(st.tuples(st.integers(0, 9999), st.sampled_from(INODE_FIELDS), values), max_size=4),
    name_changes=st.lists(st.tuples(st.integers(0, 9999), st.sampled_from(NAME_FIELDS), values), max_size=4),
    layout=st.integers(0, 15),
    drive=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_no_field_of_an_inode_or_a_name_makes_a_panic(made, inode_changes, name_changes, layout, drive):
    data, inodes, names = made
    altered = bytearray(data)
    for places, changes in ((inodes, inode_changes), (names, name_changes)):
        for number, (offset, size), value in changes:
            at = places[number % len(places)] + offset
            altered[at : at + size] = (value % (1 << size * 8)).to_bytes(size, "little")
    # The layout too, be it a compressed one or by chunks, and the bit that says extended.
    if inode_changes:
        altered[inodes[inode_changes[0][0] % len(inodes)]] = layout
    mounted = Mounted(bytes(altered), drive=drive)
    if mounted.result == 0:
        look_at_everything(mounted)
    else:
        assert mounted.result in (-EINVAL, -EIO, -EUCLEAN)
