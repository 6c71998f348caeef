"""The root tree: the EROFS image as entries, and its files and directories as open descriptions."""

from goanna.kernel.base.errno import EFAULT, ENOMEM, ENOTTY, ENXIO, EROFS
from goanna.kernel.file.attributes import Attributes
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.directory import DirectoryWriter
from goanna.kernel.file.erofs import Entry as ImageEntry
from goanna.kernel.file.erofs import Image, Inode
from goanna.kernel.file.erofs_source import ImageFile, image_file
from goanna.kernel.file.flags import FIONREAD, O_ACCMODE, O_RDONLY, S_IFDIR, S_IFREG
from goanna.kernel.file.seek import read_directory, seek_file
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.file.tree import Entry, Tree, mount_count, mounts, root_entry
from goanna.kernel.memory import user
from goanna.kernel.memory.source import PageSource
from goanna.metal import Array, Ptr, Slice, constant, i64, metal, static, u8, u32, u64, unsafe, wrapping

EROFS_MAGIC = 0xE0F5E1E2
ROOT_DEVICE = 16  # 0:16
CHUNK = 4096  # bytes checked and copied at once
# d_type by EROFS's own numbers: unknown, file, directory, character device, block device, pipe, socket, link.
TYPES = constant(Array[u8, 8], [0, 8, 4, 2, 6, 1, 12, 10])

root_image = static(Image)


@metal
def mount_root(base: u64, size: u64) -> i64:
    """Make the image of `size` bytes at `base` (direct map, on a page) the root. At boot. 0, -EINVAL or -EIO."""
    error = root_image.mount(base, size)
    if error < 0:
        return error
    root_entry.tree = IMAGE_TREE
    root_entry.number = root_image.root
    inode = Inode()
    error = root_image.inode(root_image.root, inode)
    if error == 0:
        describe(root_entry, inode)
    return error


@metal
def describe(entry: Entry, inode: Inode) -> None:
    """What a walk needs to know of a file."""
    entry.number = inode.nid
    entry.mode = inode.mode
    entry.user = inode.user
    entry.group = inode.group


@metal
def lookup_image(parent: Entry, name: Slice[u8], child: Entry) -> i64:
    """Tree.lookup."""
    inode = Inode()
    error = root_image.inode(parent.number, inode)
    if error < 0:
        return error
    nid, missing = root_image.lookup(inode, name)
    if missing < 0:
        return missing
    error = root_image.inode(nid, inode)
    if error == 0:
        describe(child, inode)
    return error


@metal
def image_attributes(entry: Entry, attributes: Attributes) -> i64:
    """Tree.attributes."""
    inode = Inode()
    error = root_image.inode(entry.number, inode)
    if error == 0:
        fill_attributes(attributes, inode)
    return error


@metal
def fill_attributes(attributes: Attributes, inode: Inode) -> None:
    """What stat tells of a file of the image."""
    attributes.device = ROOT_DEVICE
    attributes.inode = inode.nid
    attributes.mode = inode.mode
    attributes.links = inode.links
    attributes.user = inode.user
    attributes.group = inode.group
    attributes.special_device = u64(inode.device)
    attributes.size = inode.size
    time = i64.wrap(inode.modified * 1_000_000_000 + u64(inode.modified_nanoseconds))
    attributes.access_time = time
    attributes.modify_time = time
    attributes.change_time = time


@metal
def read_image_link(entry: Entry, buffer: Slice[u8]) -> i64:
    """Tree.read_link."""
    inode = Inode()
    error = root_image.inode(entry.number, inode)
    if error < 0:
        return error
    return root_image.read(inode, 0, buffer)


@metal
def open_image(entry: Entry, flags: u32) -> tuple[Ptr[Description], i64]:
    """Tree.open: files and directories for reading. -EROFS for anything else one could want of them."""
    inode = Inode()
    error = root_image.inode(entry.number, inode)
    if error < 0:
        return None, error
    if inode.kind() == S_IFDIR:
        description = create(DIRECTORY, flags, inode.nid)
        return description, 0 if description is not None else -ENOMEM
    if inode.kind() != S_IFREG:
        return None, -ENXIO
    if (flags & O_ACCMODE) != O_RDONLY:
        return None, -EROFS
    file = named_file(entry, inode)
    if file is None:
        return None, -ENOMEM
    description = create(FILE, flags, unsafe.address(file))
    if description is None:
        file.source.release()
        return None, -ENOMEM
    return description, 0


@metal
def named_file(entry: Entry, inode: Inode) -> Ptr[ImageFile]:
    """The pages of a file, with one reference, that know its name; None: memory is out."""
    file = image_file(root_image, inode)
    if file is not None:
        file.source.number = inode.nid
        entry.hold()
        file.source.entry = entry
    return file


@metal
def image_size() -> u64:
    """Tree.size."""
    return root_image.size


@metal
def file_of(description: Description) -> ImageFile:
    """What lies below an open file of the image."""
    return unsafe.at(ImageFile, description.object)


@metal
def read_file(description: Description, transfer: Transfer) -> i64:
    """Copy from the image, which is checked as it is first used: bytes, 0 at the end, -EIO, -EFAULT."""
    inode = file_of(description).inode
    done: i64 = 0
    while transfer.left != 0 and transfer.position < inode.size:
        part, error = root_image.view(inode, transfer.position, min(transfer.left, CHUNK))
        if error < 0:
            return done if done != 0 else error
        copied = transfer.put(part)
        done += i64(copied)
        transfer.position += copied
        if copied < len(part):
            return done if done != 0 else -EFAULT
    return done


@metal
def seek_image(description: Description, offset: i64, whence: u32) -> i64:
    """lseek: all of a file is data."""
    return seek_file(description.position, file_of(description).inode.size, offset, whence)


@metal
def open_file_attributes(description: Description, attributes: Attributes) -> i64:
    """fstat of a file."""
    fill_attributes(attributes, file_of(description).inode)
    return 0


@metal
def control_file(description: Description, command: u32, argument: u64) -> i64:
    """FIONREAD: what lies after the position."""
    if command != FIONREAD:
        return -ENOTTY
    return user.put(argument, u32.wrap(wrapping(file_of(description).inode.size - description.position)))


@metal
def file_source(description: Description) -> Ptr[PageSource]:
    """The pages of a file, for mmap, with a reference."""
    source = file_of(description).source
    source.acquire()
    return source


@metal
def release_file(description: Description) -> None:
    """An open file is closed; mappings of it stay."""
    file_of(description).source.release()


@metal
def open_directory_attributes(description: Description, attributes: Attributes) -> i64:
    """fstat of a directory."""
    inode = Inode()
    error = root_image.inode(description.object, inode)
    if error == 0:
        fill_attributes(attributes, inode)
    return error


@metal
def seek_directory(description: Description, offset: i64, whence: u32) -> i64:
    """lseek of a directory: to where getdents64 has been."""
    inode = Inode()
    error = root_image.inode(description.object, inode)
    return error if error < 0 else seek_file(description.position, inode.size, offset, whence)


MOUNTS = 1 << 62  # positions from here on name the trees that stand in the root


@metal
def list_directory(description: Description, writer: DirectoryWriter) -> i64:
    """getdents64: the entries of the image, then, in the root, the trees that stand in it."""
    inode = Inode()
    error = root_image.inode(description.object, inode)
    if error < 0:
        return error
    entry = ImageEntry()
    while description.position < MOUNTS:
        found = root_image.entry(inode, description.position, entry)
        if found < 0:
            return writer.result() if writer.written != 0 else found
        if found == 0:
            description.position = MOUNTS
        else:
            kind = TYPES[u64(entry.kind)] if entry.kind < 8 else u8(0)
            if not writer.add(entry.name, entry.nid, kind, entry.next):
                return writer.result()
            description.position = entry.next
    if inode.nid == root_image.root:
        list_mounts(description, writer, inode)
    return writer.result()


@metal
def list_mounts(description: Description, writer: DirectoryWriter, root: Inode) -> None:
    """The trees in the root for which the image has no directory."""
    while description.position - MOUNTS < mount_count:
        mount = mounts[description.position - MOUNTS]
        _, missing = root_image.lookup(root, mount.text())
        if missing < 0 and not writer.add(mount.text(), mount.number, 4, description.position + 1):
            return
        description.position += 1


FILE = constant(
    Operations,
    {
        "positional": True,
        "read": read_file,
        "seek": seek_image,
        "attributes": open_file_attributes,
        "control": control_file,
        "source": file_source,
        "release": release_file,
    },
)
DIRECTORY = constant(
    Operations,
    {
        "positional": True,
        "read": read_directory,
        "seek": seek_directory,
        "attributes": open_directory_attributes,
        "list": list_directory,
    },
)
IMAGE_TREE = constant(
    Tree,
    {
        "lookup": lookup_image,
        "attributes": image_attributes,
        "read_link": read_image_link,
        "open": open_image,
        "size": image_size,
        "magic": EROFS_MAGIC,
        "device": ROOT_DEVICE,
        "read_only": True,
    },
)
