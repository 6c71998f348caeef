"""Doubly linked lists whose links lie inside the items, so that neither insertion nor removal can run out of memory.

`List(Thread, "run_link")` makes the type of a list of Threads joined by their field `run_link: Link`. The owner may
be a quoted dotted path where the type isn't there yet. Zeroed memory is an empty list and a link that is on no list.
"""

from functools import cache

from goanna.metal import Ptr, metal, offsetof, struct, u64, unsafe, wrapping
from goanna.metal.types import Type, resolve

__all__ = ["Link", "List", "type_of"]


@struct
class Link:
    """A field of what lies on a list. Both ends point at themselves, so None means: on no list."""

    next: Ptr["Link"]
    previous: Ptr["Link"]

    def linked(self) -> bool:
        """Whether this link is on a list."""
        return self.next is not None


def type_of(owner: Type | str) -> Type:
    """The type that a macro's argument means: itself, or what a dotted path names. For compile time only."""
    return resolve(owner, {})


@cache
def List(owner: Type | str, field: str):
    """The type of a list of `owner` joined by its field `field`, which must be a Link. No method locks."""

    def offset() -> int:
        return offsetof(type_of(owner), field)

    def kind() -> Type:
        return type_of(owner)

    @struct
    class List:
        """A list with two ends. Every item is on at most one list per link."""

        first: Ptr[Link]
        last: Ptr[Link]

        @staticmethod
        def link_of(item: owner) -> Link:
            return unsafe.at(Link, wrapping(unsafe.address(item) + u64.wrap(offset())))

        @staticmethod
        def item_of(link: Ptr[Link]) -> Ptr[owner]:
            if link is None:
                return None
            return unsafe.pointer(kind(), wrapping(unsafe.address(link) - u64.wrap(offset())))

        def empty(self) -> bool:
            """Whether nothing is on the list."""
            return self.first is None

        def head(self) -> Ptr[owner]:
            """The first item or None."""
            return List.item_of(self.first)

        def tail(self) -> Ptr[owner]:
            """The last item or None."""
            return List.item_of(self.last)

        def after(self, item: owner) -> Ptr[owner]:
            """The item that follows, or None at the end."""
            link = List.link_of(item)
            if link.next is link:
                return None
            return List.item_of(link.next)

        def before(self, item: owner) -> Ptr[owner]:
            """The item that precedes, or None at the start."""
            link = List.link_of(item)
            if link.previous is link:
                return None
            return List.item_of(link.previous)

        def append(self, item: owner) -> None:
            """Add an item at the end. It must be on no list by this link."""
            link = List.link_of(item)
            assert link.next is None, "an item was put on a second list"
            link.next = link
            if self.last is None:
                link.previous = link
                self.first = link
            else:
                link.previous = self.last
                self.last.next = link
            self.last = link

        def prepend(self, item: owner) -> None:
            """Add an item at the start. It must be on no list by this link."""
            link = List.link_of(item)
            assert link.next is None, "an item was put on a second list"
            link.previous = link
            if self.first is None:
                link.next = link
                self.last = link
            else:
                link.next = self.first
                self.first.previous = link
            self.first = link

        @metal(inline=False)
        def remove(self, item: owner) -> None:
            """Take an item off this list. It must be on it."""
            link = List.link_of(item)
            assert link.next is not None, "an item was removed from a list that it is not on"
            first = link.previous is link
            last = link.next is link
            if first and last:
                self.first = None
                self.last = None
            elif first:
                self.first = link.next
                link.next.previous = link.next
            elif last:
                self.last = link.previous
                link.previous.next = link.previous
            else:
                link.next.previous = link.previous
                link.previous.next = link.next
            link.next = None
            link.previous = None

        def pop(self) -> Ptr[owner]:
            """Take the first item off and give it, or None."""
            item = List.item_of(self.first)
            if item is not None:
                self.remove(item)
            return item

        def length(self) -> u64:
            """The number of items, by counting them."""
            count: u64 = 0
            link = self.first
            while link is not None:
                count += 1
                link = None if link.next is link else link.next
            return count

    return List
