"""lseek for files of a known size, and reading from a directory, which no directory allows."""

from goanna.kernel.base.errno import EINVAL, EISDIR, ENXIO
from goanna.kernel.file.description import Description
from goanna.kernel.file.flags import SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET
from goanna.kernel.file.transfer import Transfer
from goanna.metal import add_overflows, i64, metal, u32, u64


@metal
def seek_file(position: u64, size: u64, offset: i64, whence: u32) -> i64:
    """The new position in a file without holes. -EINVAL before the start; -ENXIO: no data or hole from there on."""
    base: i64 = 0
    if whence == SEEK_CUR:
        base = i64(position)
    elif whence == SEEK_END:
        base = i64(size)
    elif whence in (SEEK_DATA, SEEK_HOLE):
        if offset < 0 or u64(offset) >= size:
            return -ENXIO
        return offset if whence == SEEK_DATA else i64(size)
    elif whence != SEEK_SET:
        return -EINVAL
    place, overflowed = add_overflows(base, offset)
    return -EINVAL if overflowed or place < 0 else place


@metal
def read_directory(description: Description, transfer: Transfer) -> i64:
    """read of a directory."""
    return -EISDIR
