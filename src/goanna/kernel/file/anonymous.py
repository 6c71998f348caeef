"""What eventfd, epoll and their like answer when asked what they are: files without a place in any tree."""

from goanna.kernel.file.attributes import Attributes
from goanna.kernel.file.description import Description
from goanna.metal import i64, metal, u32

ANONYMOUS_DEVICE = 15  # 0:15, the device number of anon_inodefs
ANONYMOUS_INODE = 1024  # they all share one inode


@metal
def seek_nowhere(description: Description, offset: i64, whence: u32) -> i64:
    """lseek: wherever to, it is at 0 (Linux noop_llseek)."""
    return 0


@metal
def anonymous_attributes(description: Description, attributes: Attributes) -> i64:
    """fstat: no type, no size (Linux fs/anon_inodes.c)."""
    attributes.device = ANONYMOUS_DEVICE
    attributes.inode = ANONYMOUS_INODE
    attributes.mode = 0o600
    attributes.links = 1
    return 0
