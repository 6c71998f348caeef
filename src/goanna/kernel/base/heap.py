"""Pairing heaps whose nodes lie inside the items: a priority queue that can't run out of memory.

`Heap(Timer, "node", "deadline")` makes the type of a heap of Timers ordered by their field `deadline`. Insertion is a
few instructions; taking the first, or any other item, is amortised O(log n). Items of one key come out in any order.

Source: Fredman, Sedgewick, Sleator, Tarjan, "The pairing heap: a new form of self-adjusting heap" (1986).
"""

from functools import cache

from goanna.metal import Ptr, offsetof, struct, u64, unsafe, wrapping
from goanna.metal.types import Type, resolve

__all__ = ["Heap", "HeapNode"]


@struct
class HeapNode:
    """A field of what lies in a heap. `previous` is the left sibling, or the parent for a first child, or the node
    itself for the root, so that None means: in no heap."""

    child: Ptr["HeapNode"]
    next: Ptr["HeapNode"]
    previous: Ptr["HeapNode"]

    def linked(self) -> bool:
        """Whether this node is in a heap."""
        return self.previous is not None


@cache
def Heap(owner: Type | str, field: str, key: str):
    """The type of a heap of `owner`, joined by its HeapNode `field`, ordered by its u64 `key`. No method locks.

    The key of an item must not change while it is in the heap.
    """

    def offset() -> int:
        return offsetof(resolve(owner, {}), field)

    def key_offset() -> int:
        return offsetof(resolve(owner, {}), key)

    def kind() -> Type:
        return resolve(owner, {})

    @struct
    class Heap:
        """A heap; zeroed memory is an empty one."""

        root: Ptr[HeapNode]

        @staticmethod
        def item_of(node: Ptr[HeapNode]) -> Ptr[owner]:
            if node is None:
                return None
            return unsafe.pointer(kind(), wrapping(unsafe.address(node) - u64.wrap(offset())))

        @staticmethod
        def node_of(item: owner) -> HeapNode:
            return unsafe.at(HeapNode, wrapping(unsafe.address(item) + u64.wrap(offset())))

        @staticmethod
        def key_of(node: HeapNode) -> u64:
            return unsafe.load(u64, wrapping(unsafe.address(node) + u64.wrap(key_offset() - offset())))

        @staticmethod
        def meld(a: HeapNode, b: HeapNode) -> HeapNode:
            """Make the greater of two roots the first child of the other, which is the result."""
            if Heap.key_of(b) < Heap.key_of(a):
                a.previous = b
                a.next = b.child
                if a.next is not None:
                    a.next.previous = a
                b.child = a
                return b
            b.previous = a
            b.next = a.child
            if b.next is not None:
                b.next.previous = b
            a.child = b
            return a

        @staticmethod
        def join(first: Ptr[HeapNode]) -> Ptr[HeapNode]:
            """One heap of a chain of siblings: pair them from the left, then meld the pairs from the right."""
            pairs: Ptr[HeapNode] = None
            while first is not None:
                a = first
                b = a.next
                if b is None:
                    first = None
                    a.next = pairs
                    pairs = a
                else:
                    first = b.next
                    a.next = None
                    b.next = None
                    pair = Heap.meld(a, b)
                    pair.next = pairs
                    pairs = pair
            if pairs is None:
                return None
            root = pairs
            pairs = root.next
            root.next = None
            while pairs is not None:
                rest = pairs.next
                pairs.next = None
                root = Heap.meld(root, pairs)
                pairs = rest
            return root

        def empty(self) -> bool:
            """Whether nothing is in the heap."""
            return self.root is None

        def first(self) -> Ptr[owner]:
            """The item with the least key, or None."""
            return Heap.item_of(self.root)

        def insert(self, item: owner) -> None:
            """Add an item. It must be in no heap by this node."""
            node = Heap.node_of(item)
            assert node.previous is None, "an item was put into a second heap"
            node.child = None
            node.next = None
            if self.root is None:
                self.root = node
            else:
                self.root = Heap.meld(self.root, node)
            self.root.previous = self.root

        def remove(self, item: owner) -> None:
            """Take an item out. It must be in this heap."""
            node = Heap.node_of(item)
            assert node.previous is not None, "an item was removed from a heap that it is not in"
            rest = Heap.join(node.child)
            if self.root is node:
                self.root = rest
            else:
                if node.previous.child is node:
                    node.previous.child = node.next
                else:
                    node.previous.next = node.next
                if node.next is not None:
                    node.next.previous = node.previous
                if rest is not None:
                    self.root = Heap.meld(self.root, rest)
            if self.root is not None:
                self.root.previous = self.root
                self.root.next = None
            node.child = None
            node.next = None
            node.previous = None

        def pop(self) -> Ptr[owner]:
            """Take out the item with the least key and give it, or None."""
            item = Heap.item_of(self.root)
            if item is not None:
                self.remove(item)
            return item

    return Heap
