"""memfd_create: a file in memory without a name in any tree, and the seals that keep it from changing.

Source: memfd_create(2), Linux mm/memfd.c.
"""

from goanna.kernel.base.errno import EBUSY, EINVAL, ENAMETOOLONG, ENOMEM, ENOSPC, EPERM
from goanna.kernel.file.description import Description, Operations
from goanna.kernel.file.descriptors import add_descriptor
from goanna.kernel.file.flags import O_LARGEFILE, O_RDWR, S_IFREG
from goanna.kernel.file.image_tree import SHM_TREE
from goanna.kernel.file.memory_file import (
    FILE,
    SEAL_FUTURE_WRITE,
    SEAL_GROW,
    SEAL_SEAL,
    SEAL_SHRINK,
    SEAL_WRITE,
    open_node,
)
from goanna.kernel.file.node import Node, create_node
from goanna.kernel.file.tree import DEAD, Entry, new_entry
from goanna.kernel.identity.credentials import mine
from goanna.kernel.memory import user
from goanna.metal import Array, Ptr, Slice, i64, metal, u8, u32, u64, unsafe

MFD_CLOEXEC = 1
MFD_ALLOW_SEALING = 2
MFD_NOEXEC_SEAL = 8
MFD_EXEC = 16
SEAL_EXEC = 32
ALL_SEALS = SEAL_SEAL | SEAL_SHRINK | SEAL_GROW | SEAL_WRITE | SEAL_FUTURE_WRITE | SEAL_EXEC
LONGEST_NAME = 249  # bytes, without "memfd:"
PREFIX = b"memfd:"


@metal
def sys_memfd_create(address: u64, flags: u32) -> i64:
    """memfd_create(2), without huge pages."""
    known: u32 = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC
    if (flags & ~known) != 0 or (flags & (MFD_EXEC | MFD_NOEXEC_SEAL)) == MFD_EXEC | MFD_NOEXEC_SEAL:
        return -EINVAL
    name = Array[u8, 256]()
    name[0 : len(PREFIX)] = PREFIX
    length = user.copy_in_string(name[len(PREFIX) : len(PREFIX) + LONGEST_NAME + 1], address)
    if length < 0:
        return -EINVAL if length == -ENAMETOOLONG else length
    entry, error = nameless_file(name[0 : len(PREFIX) + u64(length)], flags)
    if entry is None:
        return error
    description = open_node(entry.node, O_RDWR | O_LARGEFILE)
    if description is None:
        entry.drop()
        return -ENOMEM
    description.entry = entry
    return add_descriptor(description, (flags & MFD_CLOEXEC) != 0)


@metal
def nameless_file(name: Slice[u8], flags: u32) -> tuple[Ptr[Entry], i64]:
    """An entry outside all trees over a new file. -ENOMEM, -ENOSPC."""
    entry = new_entry(SHM_TREE, name)
    if entry is None:
        return None, -ENOMEM
    me = mine()
    mode: u32 = S_IFREG | 0o777
    if (flags & MFD_NOEXEC_SEAL) != 0:
        mode = S_IFREG | 0o666
    node = create_node(mode, me.file_user, me.file_group)
    if node is None:
        entry.drop()
        return None, -ENOSPC
    node.links = 0
    node.seals = SEAL_SEAL
    if (flags & MFD_NOEXEC_SEAL) != 0:
        node.seals = SEAL_EXEC
    elif (flags & MFD_ALLOW_SEALING) != 0:
        node.seals = 0
    node.sealable = True
    entry.node = node
    entry.mode = mode
    entry.flags = DEAD
    return entry, 0


@metal
def sealed_file(description: Description) -> Ptr[Node]:
    """The file below a description if it is one that has seals, or None."""
    operations: Ptr[Operations] = FILE
    if description.operations is not operations:
        return None
    node = unsafe.at(Node, description.object)
    if not node.sealable:
        return None
    return node


@metal
def add_seals(description: Description, seals: u32) -> i64:
    """F_ADD_SEALS. -EBUSY: it is mapped for writing."""
    if not description.writable():
        return -EPERM
    if (seals & ~u32(ALL_SEALS)) != 0:
        return -EINVAL
    node = sealed_file(description)
    if node is None:
        return -EINVAL
    with node.mutex:
        if (node.seals & SEAL_SEAL) != 0:
            return -EPERM
        if (seals & SEAL_WRITE) != 0 and (node.seals & SEAL_WRITE) == 0 and node.source.references.load() != 0:
            return -EBUSY
        wanted = seals
        if (seals & SEAL_EXEC) != 0 and (node.mode & 0o111) != 0:
            wanted |= SEAL_SHRINK | SEAL_GROW | SEAL_WRITE | SEAL_FUTURE_WRITE
        node.seals |= wanted
        return 0


@metal
def get_seals(description: Description) -> i64:
    """F_GET_SEALS."""
    node = sealed_file(description)
    return -EINVAL if node is None else i64(node.seals)
