"""The part of a path that leads over names that are known: most of nearly every path.

It is walked in one hold of the lock that protects the names, without counting references to what is only passed by
(Linux: rcu-walk, fs/namei.c). Whatever needs more than a look ends it, and walk.py goes on from there: a link, a name
that is not known, a dot, a directory that may not be searched, or one whose names are kept elsewhere.
"""

from goanna.kernel.base.word import load_word
from goanna.kernel.file.crossing import topmost
from goanna.kernel.file.flags import NAME_MAX, PATH_MAX
from goanna.kernel.file.permission import SEARCH, entry_permitted
from goanna.kernel.file.tree import NEGATIVE, Entry, entries_lock, find_entry, hash_of, take
from goanna.metal import Slice, count_trailing_zeros, metal, u8, u64, unsafe, wrapping

__all__ = ["SLASH", "is_dots", "walk_known"]

SLASH = 0x2F
DOT = 0x2E
EACH_BYTE = 0x0101010101010101
ALL_SEARCH = 0o111
MOST = 32  # components of one hold of the lock


@metal
def walk_known(start: Entry, text: Slice[u8], from_: u64, to_parent: bool) -> tuple[Entry, u64, u64]:
    """Walk the path text[from_:], which begins with no slash, from `start`, whose reference is used up. The text lies
    at the start of PATH_MAX bytes that can be read.

    The entry reached, with a reference; where the last component that was walked begins; and where what remains begins,
    which is no slash either. The last component of the path is walked as well, unless `to_parent` is set, or it is a
    link or ends in a slash.
    """
    here = start
    begun = from_
    position = from_
    with entries_lock:
        for _ in range(MOST):
            end, following = component(text, position)
            last = following == len(text)
            if end == position or (last and (to_parent or end != following)) or end - position > NAME_MAX:
                break
            name = text[position:end]
            if is_dots(name) or not here.is_directory() or here.tree.elsewhere is not None:
                break
            if (here.permissions() & ALL_SEARCH) != ALL_SEARCH and not entry_permitted(here, SEARCH):
                break
            found = find_entry(here, name, hash_of(here, name))
            if found is None or found.has(NEGATIVE) or found.is_link():
                break
            here = found if found.over is None else topmost(found)
            begun = position
            position = following
        if here is not start:
            take(here)
    if here is not start:
        start.drop()
    return here, begun, position


@metal
def component(text: Slice[u8], start: u64) -> tuple[u64, u64]:
    """Where the component that begins at `start` ends, and where what follows its slashes begins."""
    size = len(text)
    first = unsafe.address(text)
    end = start
    found = False
    while end < size and end + 8 <= PATH_MAX and not found:
        difference = load_word(first + end) ^ (SLASH * EACH_BYTE)
        slashes = wrapping(difference - EACH_BYTE) & ~difference & (EACH_BYTE << 7)
        found = slashes != 0
        end += count_trailing_zeros(slashes) // 8 if found else u64(8)
    while end < size and not found and unsafe.load(u8, first + end) != SLASH:
        end += 1
    end = min(end, size)
    following = end
    while following < size and unsafe.load(u8, first + following) == SLASH:
        following += 1
    return end, following


@metal
def is_dots(name: Slice[u8]) -> bool:
    """Whether a component is . or .."""
    if len(name) == 0 or len(name) > 2:
        return False
    return name[0] == DOT and name[len(name) - 1] == DOT
