"""/proc, /sys and /dev as they stand at the start, with memory under /dev/shm and the terminals under /dev/pts."""

from goanna.kernel.file.flags import ST_NODEV, ST_NOEXEC, ST_NOSUID, ST_RELATIME
from goanna.kernel.file.generated_nodes import TOPS
from goanna.kernel.file.generated_tree import (
    generated_attributes,
    jump_generated,
    lookup_generated,
    open_generated,
    read_generated_link,
)
from goanna.kernel.file.image_tree import SHM_TREE, mount_memory
from goanna.kernel.file.mount import mount_at
from goanna.kernel.file.pts_tree import mount_pts
from goanna.kernel.file.tree import Tree, root_entry
from goanna.metal import metal, static

__all__ = ["mount_generated"]

PROC_MAGIC = 0x9FA0
SYSFS_MAGIC = 0x62656572
TMPFS_MAGIC = 0x01021994


def _tree(magic: int, label: bytes, device: int, flags: int):
    return static(
        Tree,
        {
            "lookup": lookup_generated,
            "attributes": generated_attributes,
            "read_link": read_generated_link,
            "jump": jump_generated,
            "open": open_generated,
            "label": label,
            "magic": magic,
            "device": device,
            "flags": flags | ST_NOSUID | ST_RELATIME,
        },
    )


PROC_TREE = _tree(PROC_MAGIC, b"proc", 21, ST_NODEV | ST_NOEXEC)
SYS_TREE = _tree(SYSFS_MAGIC, b"sysfs", 22, ST_NODEV | ST_NOEXEC)
DEV_TREE = _tree(TMPFS_MAGIC, b"devtmpfs", 23, 0)
_PROC, _SYS, _DEV = TOPS["proc"], TOPS["sys"], TOPS["dev"]


@metal
def mount_generated() -> None:
    """Put the three trees into the root, and memory under /dev/shm, the terminals under /dev/pts. At boot."""
    mount_at(root_entry, b"proc", PROC_TREE, _PROC, None)
    mount_at(root_entry, b"sys", SYS_TREE, _SYS, None)
    devices = mount_at(root_entry, b"dev", DEV_TREE, _DEV, None)
    mount_memory(devices, b"shm", SHM_TREE)
    mount_pts(devices)
