"""How a tree on a disk of its own carries checksums: behind the tree a table of them, a table of that table's, and a
block that says where. All is little-endian, each part begins on a block; a tree without the last block is not checked.
"""

from goanna.metal import sizeof, struct, u64

__all__ = ["SUMS_IN_BLOCK", "TREE_BLOCK", "TREE_SUMS_MAGIC", "TreeSums"]

TREE_BLOCK = 4096  # bytes
SUMS_IN_BLOCK = TREE_BLOCK // 8
TREE_SUMS_MAGIC = int.from_bytes(b"GoannaTs", "little")


@struct
class TreeSums:
    """The start of the last block."""

    magic: u64 = TREE_SUMS_MAGIC
    blocks: u64  # of the tree, from the start of the disk on; the u64 xxh64 (seed 0) of each follow
    root_blocks: u64  # blocks of the table behind those: the sum of each block of the sums
    roots_sum: u64  # xxh64 of that table
    sum: u64  # xxh64 of what is above


assert sizeof(TreeSums) == 40
