"""Files of the image as page sources: their pages are mapped where they lie, without a copy.

Only the last page of a file, if the file does not fill it, is copied, for each mapping anew.
"""

from goanna.kernel.arch import PAGE_SIZE, physical, virtual
from goanna.kernel.file.erofs import Image, Inode
from goanna.kernel.memory import pages
from goanna.kernel.memory.objects import Cache
from goanna.kernel.memory.source import NO_MEMORY, NO_PAGE, PageSource
from goanna.metal import Ptr, copy, fill, metal, struct, u8, u64, unsafe

__all__ = ["ImageFile", "image_file"]


@struct
class ImageFile:
    """A file of the image that is mapped or open."""

    source: PageSource
    image: Ptr[Image]
    inode: Inode


files = Cache(ImageFile)


@metal
def image_file(image: Image, inode: Inode) -> Ptr[ImageFile]:
    """A page source for a file, with one reference to it; None: no memory."""
    file = files.allocate()
    if file is None:
        return None
    file.image = image
    copy(file.inode, inode)
    file.source.get_page = get_page
    file.source.destroy = destroy
    file.source.number = u64(inode.number)
    file.source.references.store(1)
    return file


@metal
def in_place(file: ImageFile, index: u64) -> u64:
    """The offset in the image of a page that can be mapped as it lies, or 0 (where the superblock is)."""
    inode = file.inode
    if index >= inode.flat // PAGE_SIZE:
        return 0
    return inode.data + index * PAGE_SIZE


@metal
def get_page(source: Ptr[PageSource], index: u64, writing: bool) -> u64:
    """The page at an index, checked. A shared mapping of the image is never writable."""
    file = unsafe.container(ImageFile, "source", source)
    image: Image = file.image
    offset = in_place(file, index)
    if offset != 0:
        address = image.at(offset, PAGE_SIZE)
        return physical(address) if address != 0 else u64(NO_PAGE)
    if index >= (file.inode.size + (PAGE_SIZE - 1)) // PAGE_SIZE:
        return NO_PAGE
    page = pages.allocate_for_program()
    if page == 0:
        return NO_MEMORY
    count = image.read(file.inode, index * PAGE_SIZE, unsafe.slice(u8, virtual(page), PAGE_SIZE))
    if count < 0:
        pages.release(page)
        return NO_PAGE
    fill(unsafe.slice(u8, virtual(page) + u64(count), PAGE_SIZE - u64(count)), 0)
    return page


@metal
def destroy(source: Ptr[PageSource]) -> None:
    """Nothing maps the file any more."""
    if source.entry is not None:
        source.entry.drop()
    files.free(unsafe.container(ImageFile, "source", source))
