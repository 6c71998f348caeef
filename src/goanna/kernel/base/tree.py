"""Balanced ordered trees whose nodes lie inside the items: memory areas by address, timers by deadline.

`Tree(Area, "node", "start")` makes the type of an AVL tree of Areas joined by their field `node: Node` and ordered by
their u64 field `start`. Equal keys keep the order of insertion. A `summary` function is called for an item whose
subtree has changed, children first, so that an item can keep a summary of its subtree (the largest gap, say), and says
whether that has become another one; it reads the children by `left` and `right`. Nothing here allocates, nothing locks.
Zeroed memory is an empty tree.
"""

from functools import cache

from goanna.kernel.base.list import type_of
from goanna.metal import MetalFunction, Ptr, metal, offsetof, struct, u32, u64, unsafe, wrapping
from goanna.metal.types import Type

__all__ = ["Node", "Tree"]

STRAIGHT, LEFT, RIGHT, FAR = 0, 1, 2, 4


@struct
class Node:
    """A field of what lies in a tree."""

    parent: Ptr["Node"]
    left: Ptr["Node"]
    right: Ptr["Node"]
    height: u32  # of the subtree; 0: in no tree
    unused: u32

    def linked(self) -> bool:
        """Whether this node is in a tree."""
        return self.height != 0

    @metal(inline=False)
    def leans(self) -> u32:
        """STRAIGHT, or the side whose subtree is higher: LEFT or RIGHT; if by more than one, together with FAR."""
        left, right = height_of(self.left), height_of(self.right)
        if left > right:
            return LEFT if left - right == 1 else u32(LEFT | FAR)
        if right > left:
            return RIGHT if right - left == 1 else u32(RIGHT | FAR)
        return STRAIGHT

    @metal(inline=False)
    def first(self) -> "Node":
        """The leftmost node of this subtree."""
        node = self
        while node.left is not None:
            node = node.left
        return node

    @metal(inline=False)
    def last(self) -> "Node":
        """The rightmost node of this subtree."""
        node = self
        while node.right is not None:
            node = node.right
        return node

    @metal(inline=False)
    def next(self) -> Ptr["Node"]:
        """The node that follows in order, or None."""
        if self.right is not None:
            return self.right.first()
        node: Ptr[Node] = self
        above = self.parent
        while above is not None and above.right is node:
            node = above
            above = node.parent
        return above

    @metal(inline=False)
    def previous(self) -> Ptr["Node"]:
        """The node that precedes in order, or None."""
        if self.left is not None:
            return self.left.last()
        node: Ptr[Node] = self
        above = self.parent
        while above is not None and above.left is node:
            node = above
            above = node.parent
        return above


@struct
class Top:
    """Where a tree's root hangs: what is done to it whatever its items are."""

    root: Ptr[Node]

    @metal(inline=False)
    def replace(self, node: Node, heir: Ptr[Node]) -> None:
        """Put a subtree where `node` is."""
        above = node.parent
        if above is None:
            self.root = heir
        elif above.left is node:
            above.left = heir
        else:
            above.right = heir
        if heir is not None:
            heir.parent = above

    @metal(inline=False)
    def rotate_left(self, node: Node) -> Node:
        """The right child takes the node's place, the node becomes its left child. Gives the new top."""
        top: Node = node.right
        node.right = top.left
        if top.left is not None:
            top.left.parent = node
        self.replace(node, top)
        top.left = node
        node.parent = top
        return top

    @metal(inline=False)
    def rotate_right(self, node: Node) -> Node:
        """The mirror image."""
        top: Node = node.left
        node.left = top.right
        if top.right is not None:
            top.right.parent = node
        self.replace(node, top)
        top.right = node
        node.parent = top
        return top


@metal
def height_of(node: Ptr[Node]) -> u32:
    """The height of a subtree that may be empty."""
    return u32(0) if node is None else node.height


@cache
def Tree(owner: Type | str, field: str, key: str, summary: MetalFunction | None = None):
    """The type of a tree of `owner` joined by its field `field` (a Node) and ordered by its u64 field `key`."""

    def kind() -> Type:
        return type_of(owner)

    def node_offset() -> int:
        return offsetof(type_of(owner), field)

    def key_distance() -> int:
        return offsetof(type_of(owner), key) - offsetof(type_of(owner), field)

    has_summary = summary is not None

    @struct
    class Tree:
        """An ordered tree with one root."""

        top: Top

        @staticmethod
        def node_of(item: owner) -> Node:
            return unsafe.at(Node, wrapping(unsafe.address(item) + u64.wrap(node_offset())))

        @staticmethod
        def item_of(node: Ptr[Node]) -> Ptr[owner]:
            if node is None:
                return None
            return unsafe.pointer(kind(), wrapping(unsafe.address(node) - u64.wrap(node_offset())))

        @staticmethod
        def key_of(node: Node) -> u64:
            return unsafe.load(u64, wrapping(unsafe.address(node) + u64.wrap(key_distance())))

        def empty(self) -> bool:
            """Whether nothing is in the tree."""
            return self.top.root is None

        def first(self) -> Ptr[owner]:
            """The item of the least key, or None."""
            if self.top.root is None:
                return None
            return Tree.item_of(self.top.root.first())

        def last(self) -> Ptr[owner]:
            """The item of the greatest key, or None."""
            if self.top.root is None:
                return None
            return Tree.item_of(self.top.root.last())

        def after(self, item: owner) -> Ptr[owner]:
            """The item that follows, or None."""
            return Tree.item_of(Tree.node_of(item).next())

        def before(self, item: owner) -> Ptr[owner]:
            """The item that precedes, or None."""
            return Tree.item_of(Tree.node_of(item).previous())

        def left(self, item: owner) -> Ptr[owner]:
            """The left child: for summaries."""
            return Tree.item_of(Tree.node_of(item).left)

        def right(self, item: owner) -> Ptr[owner]:
            """The right child: for summaries."""
            return Tree.item_of(Tree.node_of(item).right)

        @metal(inline=False)
        def at_most(self, limit: u64) -> Ptr[owner]:
            """The item of the greatest key <= limit, or None."""
            found: Ptr[Node] = None
            node = self.top.root
            while node is not None:
                if Tree.key_of(node) <= limit:
                    found = node
                    node = node.right
                else:
                    node = node.left
            return Tree.item_of(found)

        def at_least(self, limit: u64) -> Ptr[owner]:
            """The item of the least key >= limit, or None."""
            found: Ptr[Node] = None
            node = self.top.root
            while node is not None:
                if Tree.key_of(node) >= limit:
                    found = node
                    node = node.left
                else:
                    node = node.right
            return Tree.item_of(found)

        def insert(self, item: owner) -> None:
            """Add an item, after those of the same key. It must be in no tree by this node."""
            node = Tree.node_of(item)
            assert node.height == 0, "an item was put into a second tree"
            wanted = Tree.key_of(node)
            node.left = None
            node.right = None
            node.height = 1
            above: Ptr[Node] = None
            below = self.top.root
            left = False
            while below is not None:
                above = below
                left = wanted < Tree.key_of(below)
                below = below.left if left else below.right
            node.parent = above
            if above is None:
                self.top.root = node
            elif left:
                above.left = node
            else:
                above.right = node
            Tree.update(node)
            self.mend(above, None)

        def remove(self, item: owner) -> None:
            """Take an item out of this tree. It must be in it."""
            node = Tree.node_of(item)
            assert node.height != 0, "an item was removed from a tree that it is not in"
            start: Ptr[Node] = node.parent
            moved: Ptr[Node] = None
            if node.left is None:
                self.top.replace(node, node.right)
            elif node.right is None:
                self.top.replace(node, node.left)
            else:
                heir = node.right.first()
                start = heir
                if heir.parent is not node:
                    start = heir.parent
                    self.top.replace(heir, heir.right)
                    heir.right = node.right
                    heir.right.parent = heir
                self.top.replace(node, heir)
                heir.left = node.left
                heir.left.parent = heir
                moved = heir
            node.parent = None
            node.left = None
            node.right = None
            node.height = 0
            self.mend(start, moved)

        def changed(self, item: owner) -> None:
            """Bring summaries up to date after what an item's own summary depends on has changed (not its order)."""
            self.mend(Tree.node_of(item), None)

        def mend(self, start: Ptr[Node], least: Ptr[Node]) -> None:
            """Restore heights, balance and summaries from a node up, as far as they change and past `least`."""
            node = start
            wanted = least is not None
            while node is not None:
                changed = Tree.update(node) or wanted
                if node is least:
                    wanted = False
                leans = node.leans()
                if leans & FAR != 0:
                    node = self.straighten(node, leans & LEFT != 0)
                elif not changed:
                    return
                node = node.parent

        def straighten(self, node: Node, left: bool) -> Node:
            """Give a node whose one subtree is too high a lower place. Gives the new top."""
            top = self.top
            child: Node = node.left if left else node.right
            if child.leans() & (RIGHT if left else LEFT) != 0:
                inner = top.rotate_left(child) if left else top.rotate_right(child)
                Tree.update(child)
                child = inner
            if left:
                top.rotate_right(node)
            else:
                top.rotate_left(node)
            Tree.update(node)
            Tree.update(child)
            return child

        @staticmethod
        def update(node: Node) -> bool:
            """Recompute a node's height and summary from its children's; whether one of them has changed."""
            height = max(height_of(node.left), height_of(node.right)) + 1
            changed = height != node.height
            node.height = height
            if has_summary:
                item: owner = Tree.item_of(node)
                changed = summary(item) or changed
            return changed

    return Tree
