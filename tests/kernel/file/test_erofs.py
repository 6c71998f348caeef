"""The EROFS reader against mkfs.erofs and the tree that it packed, and against images altered at random."""

import io
import os
import random
import shutil
import subprocess

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.image.erofs import File, FileSystem, Folder
from goanna.image.tree_cache import write_checked
from goanna.kernel.arch.host import arena as host_arena
from goanna.kernel.base.errno import EIO, EISDIR, ENOENT, ENOTDIR
from goanna.kernel.file import integrity, node, node_pages
from goanna.kernel.file.drive import Drive, use_drive
from goanna.kernel.file.erofs import Entry, Image, Inode
from goanna.kernel.memory import pages
from goanna.kernel.memory.source import PageSource, read_source
from goanna.metal import Ptr, Slice, i64, jit, metal, static, u8, u64, unsafe
from tests.kernel.memory.machine import ROOTS, Memory, hooks

BLOCK = 4096
damaged = static(u64)


@metal
def note_damage(block: u64) -> None:
    global damaged
    damaged += 1


@metal
def nothing_hangs(ended: node.Node) -> None:
    pass


@metal
def lookup(image: Image, directory: Inode, name: Slice[u8]) -> tuple[u64, i64]:
    return image.lookup(directory, name)


@metal
def name_of(entry: Entry, destination: Slice[u8]) -> u64:
    destination[0 : len(entry.name())] = entry.name()
    return len(entry.name())


@metal
def drop_node(source: Ptr[PageSource]) -> None:
    unsafe.container(node.Node, "source", source).drop()


@metal
def source_of(image: Image, inode: Inode) -> Ptr[PageSource]:
    """The file's pages as a mapping gets them, of a node that goes with the last reference."""
    node.set_budget(1 << 30)
    made: node.Node = node.image_node(image, inode)
    made.source.get_page = node_pages.get_page
    made.source.destroy = drop_node
    made.source.references.store(1)
    return made.source


@metal
def read_all(source: PageSource, destination: Slice[u8]) -> i64:
    """Read by pages."""
    return read_source(source, 0, destination)


@metal
def page_at(source: PageSource, index: u64) -> u64:
    return source.get_page(source, index, False)


unreadable = static(u64)  # the drive's pages from here on can't be read; 0: all can
fetched = static(u64)


@metal
def read_drive(object: u64, first: u64, into: Slice[u64]) -> i64:
    """Drive.read of a disk that lies in memory at address `object`."""
    global fetched
    for index, page in enumerate(into):
        if unreadable != 0 and first + index >= unreadable:
            return -EIO
        target = unsafe.slice(u8, host_arena.arena + page, BLOCK)
        target[:] = unsafe.slice(u8, object + (first + index) * BLOCK, BLOCK)
        fetched += 1
    return 0


@metal
def mount_drive(image: Image, disk: Drive, object: u64, size: u64) -> i64:
    """-1000: its checksums are damaged."""
    disk.object = object
    disk.size = size
    disk.read = read_drive
    use_drive(disk)
    if not disk.check():
        return -1000
    image.drive = disk
    return image.mount(0, size)


@metal
def none_mapped(ended: node.Node, start: u64, end: u64, private: bool, page: u64) -> None:
    pass


with hooks(
    (integrity.on_damage, note_damage), (node.on_node_end, nothing_hangs), (node_pages.on_pages_gone, none_mapped)
):
    unit = jit(
        pages.allocate_for_program,
        *ROOTS, Image, Inode, Entry, lookup, name_of, source_of, read_all, page_at, PageSource,
        integrity.xxh64, integrity.Integrity, damaged, Drive, mount_drive, unreadable, fetched,
    )  # fmt: skip


class Mounted:
    """An image in the arena, right after 16 MiB of memory, of which `room` bytes are RAM."""

    def __init__(self, data, sums=None, drive=False, room=16 << 20):
        size = -(-len(data) // BLOCK) * BLOCK + (1 << 20)
        self.start = 16 << 20
        self.memory = Memory(unit, self.start + size, [(0, room)])
        self.memory.map[self.start : self.start + len(data)] = bytes(data)
        self.base = self.memory.base + self.start
        self.image = unit.new(Image)
        if sums is not None:
            table = b"".join(each.to_bytes(8, "little") for each in sums)
            at = self.start + size - (1 << 16)
            self.memory.map[at : at + len(table)] = table
            assert unit.call(
                integrity.Integrity.start, self.image.integrity, self.base, len(data), self.memory.base + at, len(sums)
            )
        if drive:
            self.drive = unit.new(Drive)
            self.result = unit.call(mount_drive, self.image, self.drive, self.base, len(data))
        else:
            self.result = unit.call(Image.mount, self.image, self.base, len(data))

    def inode(self, nid):
        inode = unit.new(Inode)
        return inode, unit.call(Image.inode, self.image, nid, inode)

    def entries(self, directory):
        entry, position, found = unit.new(Entry), 0, {}
        for _ in range(100_000):
            result = unit.call(Image.entry, self.image, directory, position, entry)
            if result != 1:
                return found, result
            name = bytearray(256)
            length = unit.call(name_of, entry, name)
            found[bytes(name[:length])] = (entry.nid, entry.kind)
            assert entry.next > position
            position = entry.next
        raise AssertionError("a directory without an end")

    def read(self, inode, offset, count):
        data = bytearray(count)
        result = unit.call(Image.read, self.image, inode, offset, data)
        return bytes(data[: max(result, 0)]), result


def make_tree(root):
    chosen = random.Random(4)
    sizes = [0, 1, 100, 4000, 4095, 4096, 4097, 8191, 8192, 12345, 100_000, 300_001]
    for size in sizes:
        (root / f"file-{size}").write_bytes(chosen.randbytes(size))
    (root / "many").mkdir()
    for number in range(700):
        (root / "many" / f"n{number:04}-{'x' * (number % 40)}").write_bytes(b"%d" % number)
    (root / "a" / "b" / "c").mkdir(parents=True)
    (root / "a" / "b" / "c" / "deep").write_text("deep")
    (root / "a" / "empty").mkdir()
    (root / "link").symlink_to("a/b/c/deep")
    (root / "long").symlink_to("/" + "y" * 300)
    (root / "program").write_bytes(b"#!")
    (root / "program").chmod(0o755)


OPTIONS = [(), ("-Enoinline_data",), ("-Eforce-inode-extended",), ("-T1000000000",)]


@pytest.fixture(scope="module", params=OPTIONS, ids=str)
def packed(request, tmp_path_factory):
    if shutil.which("mkfs.erofs") is None:
        pytest.skip("erofs-utils is not installed")
    folder = tmp_path_factory.mktemp("tree")
    make_tree(folder)
    image = tmp_path_factory.mktemp("image") / "image"
    subprocess.run(["mkfs.erofs", "-x-1", *request.param, image, folder], check=True, capture_output=True)
    return folder, image.read_bytes()


@pytest.mark.parametrize("drive", [False, True], ids=["memory", "drive"])
def test_every_file_of_a_tree_is_found_and_read(packed, drive):
    folder, data = packed
    mounted = Mounted(data, drive=drive)
    assert mounted.result == 0
    visited = 0

    def visit(path, nid):
        nonlocal visited
        visited += 1
        inode, result = mounted.inode(nid)
        status = os.lstat(path)
        assert result == 0
        assert (inode.mode, inode.user, inode.group) == (status.st_mode, status.st_uid, status.st_gid)
        if path.is_symlink():
            assert mounted.read(inode, 0, 4096)[0] == os.readlink(path).encode()
        elif path.is_dir():
            entries, result = mounted.entries(inode)
            assert result == 0
            assert set(entries) == {b".", b"..", *(os.fsencode(name) for name in os.listdir(path))}
            for name, (child, _) in entries.items():
                assert unit.call(lookup, mounted.image, inode, name) == (child, 0)
                if name not in (b".", b".."):
                    visit(path / os.fsdecode(name), child)
            for absent in (b"absent", b"", b"\0", b"zzzz", b"n0300", b"file-", b"\xff" * 255):
                assert unit.call(lookup, mounted.image, inode, absent) == (0, -ENOENT)
            assert mounted.read(inode, 0, 10)[1] == -EISDIR
        else:
            content = path.read_bytes()
            assert inode.size == len(content)
            assert mounted.read(inode, 0, len(content) + 5)[0] == content
            assert mounted.read(inode, 3, 4100)[0] == content[3:4103]
            assert mounted.read(inode, len(content), 1) == (b"", 0)
            assert unit.call(lookup, mounted.image, inode, b"x") == (0, -ENOTDIR)
            if drive:
                return
            source = unit.call(source_of, mounted.image, inode)
            by_page = bytearray(len(content))
            assert unit.call(read_all, source, by_page) == 0 and by_page == content
            unit.call(PageSource.release, source)

    visit(folder, mounted.image.root)
    assert visited == 1 + sum(len(names) + len(files) for _, names, files in os.walk(folder))


def test_pages_of_files_are_those_of_the_image(packed):
    folder, data = packed
    mounted = Mounted(data)
    free = mounted.memory.free
    root, _ = mounted.inode(mounted.image.root)
    nid, _ = unit.call(lookup, mounted.image, root, b"file-300001")
    inode, _ = mounted.inode(nid)
    source = unit.call(source_of, mounted.image, inode)
    for index in range(300_001 // BLOCK):
        assert unit.call(page_at, source, index) == mounted.start + inode.data + index * BLOCK
    last = unit.call(page_at, source, 300_001 // BLOCK)
    content = (folder / "file-300001").read_bytes()[300_001 // BLOCK * BLOCK :]
    assert bytes(mounted.memory.bytes(last, BLOCK)) == content.ljust(BLOCK, b"\0")
    assert unit.call(page_at, source, 300_001 // BLOCK + 1) == 0
    assert free - mounted.memory.free <= 3  # the node, its map of pages, and the copy of the last page
    unit.call(PageSource.release, source)


def test_a_drive_is_read_as_far_as_it_is_used_and_once(packed):
    _, data = packed
    unit.set(fetched, 0)
    mounted = Mounted(data, drive=True)
    assert mounted.result == 0 and 0 < unit.get(fetched) <= 16
    root, _ = mounted.inode(mounted.image.root)
    nid, _ = unit.call(lookup, mounted.image, root, b"file-300001")
    inode, _ = mounted.inode(nid)
    before = unit.get(fetched)
    for _ in range(3):
        assert mounted.read(inode, 100_000, 40_000)[1] == 40_000
    assert 10 <= unit.get(fetched) - before <= 24


def test_pages_of_a_drive_make_room_for_others(packed):
    folder, data = packed
    room = 256 << 10
    assert len(data) > 1.9 * room
    mounted = Mounted(data, drive=True, room=room)
    root, _ = mounted.inode(mounted.image.root)
    free = mounted.memory.free
    for _ in range(2):
        for size in (300_001, 100_000, 12345, 300_001):
            nid, result = unit.call(lookup, mounted.image, root, b"file-%d" % size)
            assert result == 0
            inode, _ = mounted.inode(nid)
            assert mounted.read(inode, 0, size) == ((folder / f"file-{size}").read_bytes(), size)
        entries, result = mounted.entries(root)
        assert result == 0 and b"many" in entries
    # A program gets all of them, but for the reserve and the map itself.
    taken = 0
    while unit.call(pages.allocate_for_program):
        taken += 1
    assert taken > free - 16 - 8
    assert mounted.read(inode, 0, 1)[1] in (1, -EIO)


def with_sums(data):
    stream = io.BytesIO()
    data = data.ljust(-(-len(data) // BLOCK) * BLOCK, b"\0")
    write_checked([data[:5000], data[5000:]], stream)
    return data, stream.getvalue()


def test_pages_of_a_drive_are_checked_as_they_are_read(packed):
    folder, data = packed
    data, checked = with_sums(data)
    mounted = Mounted(checked, drive=True)
    assert mounted.result == 0 and mounted.drive.checked == len(data) // BLOCK
    root, _ = mounted.inode(mounted.image.root)
    nid, _ = unit.call(lookup, mounted.image, root, b"file-300001")
    inode, _ = mounted.inode(nid)
    content = (folder / "file-300001").read_bytes()
    assert mounted.read(inode, 0, 300_001) == (content, 300_001) and unit.get(damaged) == 0
    broken = bytearray(checked)
    broken[inode.data + 20 * BLOCK + 5] ^= 1
    mounted = Mounted(broken, drive=True)
    inode, _ = mounted.inode(nid)
    assert mounted.read(inode, 0, 20 * BLOCK) == (content[: 20 * BLOCK], 20 * BLOCK)
    assert mounted.read(inode, 20 * BLOCK, 1) == (b"", -EIO) and unit.get(damaged) > 0
    assert mounted.read(inode, 21 * BLOCK, 1) == (content[21 * BLOCK : 21 * BLOCK + 1], 1)


def test_sums_that_are_read_along_with_what_they_are_of():
    root = Folder()
    root.add("file", File(data=b"x" * 10_000))
    stream = io.BytesIO()
    write_checked(FileSystem(root).pieces(), stream)
    mounted = Mounted(stream.getvalue(), drive=True)
    assert mounted.result == 0
    top, _ = mounted.inode(mounted.image.root)
    inode, _ = mounted.inode(unit.call(lookup, mounted.image, top, b"file")[0])
    assert mounted.read(inode, 0, 10_000) == (b"x" * 10_000, 10_000)


@pytest.mark.parametrize("place", [-BLOCK + 9, -BLOCK + 17, -BLOCK + 33, -2 * BLOCK + 3])
def test_damaged_sums_of_a_drive_are_found_at_the_start(packed, place):
    _, checked = with_sums(packed[1])
    broken = bytearray(checked)
    broken[place] ^= 64
    assert Mounted(broken, drive=True).result == -1000


def test_damaged_sums_of_a_drive_are_found_where_they_are_used(packed):
    data, checked = with_sums(packed[1])
    broken = bytearray(checked)
    broken[len(data) + 3] ^= 1
    assert Mounted(broken, drive=True).result == -EIO


def test_what_a_drive_can_not_read_is_EIO_and_the_rest_goes_on(packed):
    folder, data = packed
    mounted = Mounted(data, drive=True)
    root, _ = mounted.inode(mounted.image.root)
    nid, _ = unit.call(lookup, mounted.image, root, b"file-300001")
    inode, _ = mounted.inode(nid)
    bad = inode.data // BLOCK + 20
    unit.set(unreadable, bad)
    try:
        content = (folder / "file-300001").read_bytes()
        assert mounted.read(inode, 0, 20 * BLOCK) == (content[: 20 * BLOCK], 20 * BLOCK)
        assert mounted.read(inode, 20 * BLOCK, 1) == (b"", -EIO)
        unit.set(unreadable, 0)
        assert mounted.read(inode, 20 * BLOCK, 1) == (content[20 * BLOCK : 20 * BLOCK + 1], 1)
    finally:
        unit.set(unreadable, 0)


def sums_of(data):
    return [xxhash.xxh64_intdigest(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]


def test_each_block_is_checked_when_it_is_first_used(packed):
    _, data = packed
    sums = sums_of(data)
    mounted = Mounted(data, sums)
    assert mounted.result == 0
    root, _ = mounted.inode(mounted.image.root)
    nid, _ = unit.call(lookup, mounted.image, root, b"file-300001")
    inode, _ = mounted.inode(nid)
    expected, result = mounted.read(inode, 0, 300_001)
    assert result == 300_001 and unit.get(damaged) == 0
    block = (inode.data + 150_000) // BLOCK
    assert block != inode.data // BLOCK
    broken = bytearray(data)
    broken[block * BLOCK + 77] ^= 4
    mounted = Mounted(broken, sums)
    inode, result = mounted.inode(nid)
    assert mounted.result == 0 and result == 0
    first = block * BLOCK - inode.data
    assert mounted.read(inode, 0, first) == (expected[:first], first)
    assert mounted.read(inode, 0, first + 1)[1] == -EIO
    assert unit.get(damaged) == 1


def test_damaged_checksums_are_found_where_they_are_used(packed):
    _, data = packed
    sums = [xxhash.xxh64_intdigest(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]
    table = bytearray(b"".join(each.to_bytes(8, "little") for each in sums).ljust(2 * BLOCK, b"\0"))
    roots = b"".join(xxhash.xxh64_intdigest(table[at : at + BLOCK]).to_bytes(8, "little") for at in (0, BLOCK))
    table[BLOCK + 5] ^= 1
    memory = Memory(unit, 32 << 20, [(0, 16 << 20)])
    places = {at: memory.bytes(at, len(part)) for at, part in ((16 << 20, table), (17 << 20, roots))}
    places[16 << 20][:], places[17 << 20][:] = table, roots
    guard, image = unit.new(integrity.Integrity), unit.new(Image)
    image.integrity.guard = unit.address(guard)
    base = memory.base
    assert unit.call(integrity.Integrity.start, guard, base + (16 << 20), len(table), base + (17 << 20), 2)
    assert unit.call(integrity.Integrity.check, guard, 4088, 8)
    assert not unit.call(integrity.Integrity.check, guard, 4088, 16)
    assert not unit.call(integrity.Integrity.check, guard, BLOCK, 8)


def test_too_few_checksums_are_refused(packed):
    _, data = packed
    Mounted(data)
    image = unit.new(Image)
    assert not unit.call(integrity.Integrity.start, image.integrity, 0x1000, 65537 * 8, 0x1000, 8)


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_an_altered_image_is_an_error_and_never_a_panic(packed, data):
    _, whole = packed
    altered = bytearray(whole)
    metadata = data.draw(st.booleans())
    for _ in range(data.draw(st.integers(1, 12))):
        at = data.draw(st.integers(1024, 8192 if metadata else len(altered) - 1))
        altered[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    if data.draw(st.booleans()):
        del altered[data.draw(st.integers(0, len(altered))) :]
    mounted = Mounted(bytes(altered))
    if mounted.result != 0:
        return
    look_at_everything(mounted)


def look_at_everything(mounted):
    """Names, inodes and contents, by whatever way leads to them."""
    root, _ = mounted.inode(mounted.image.root)
    seen, queue = set(), [root]
    while queue and len(seen) < 200:
        directory = queue.pop()
        entries, _ = mounted.entries(directory)
        for name, (nid, _) in entries.items():
            unit.call(lookup, mounted.image, directory, name)
            if nid in seen:
                continue
            seen.add(nid)
            inode, result = mounted.inode(nid)
            if result == 0:
                mounted.read(inode, 0, 9000)
                if inode.mode & 0o170000 == 0o040000:
                    queue.append(inode)
                source = unit.call(source_of, mounted.image, inode)
                unit.call(read_all, source, bytearray(min(inode.size, 20000)))
                unit.call(PageSource.release, source)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_xxh64_is_that_of_the_library(data):
    assert unit.call(integrity.xxh64, data) == xxhash.xxh64_intdigest(data)
