"""What a tree can do besides whose names and files are kept elsewhere: a folder of the host."""

from goanna.metal import Fn, Ptr, Slice, i64, struct, u8, u32, u64

__all__ = ["Elsewhere"]

ENTRY = "goanna.kernel.file.tree.Entry"


@struct
class Elsewhere:
    """Names and files are kept by somebody who has more users than this machine. An entry found is true for a moment
    only, so each walk asks again; none is pinned. Names are changed with Tree.names held, after all checks."""

    find: Fn[[ENTRY, Slice[u8]], tuple[Ptr[ENTRY], i64]]  # child_of
    # Go ahead on a path (its names, each of which may be followed by slashes; none is . or ..) as far as there are
    # folders: the last one, with a reference, how many bytes of the path lead there, and the next name's entry, with a
    # reference, if that was found too. None: go name by name. For who may search every folder.
    find_ahead: Fn[[ENTRY, Slice[u8]], tuple[Ptr[ENTRY], u64, Ptr[ENTRY]]]
    make_sure: Fn[[ENTRY], i64]  # mode and owner of a folder that was only passed are to be known: 0 or an errno
    remove: Fn[[ENTRY, bool], i64]  # the bool: it is a directory
    move: Fn[[ENTRY, ENTRY, Slice[u8]], i64]  # into a directory, under a name, over what is there
    link: Fn[[ENTRY, ENTRY, Slice[u8]], i64]  # one more name, in a directory
    # Extended attributes: the size of a value, or of all names, which fill the memory if there is any; -ERANGE.
    get_attribute: Fn[[ENTRY, Slice[u8], Slice[u8]], i64]
    list_attributes: Fn[[ENTRY, Slice[u8]], i64]
    set_attribute: Fn[[ENTRY, Slice[u8], Slice[u8], u32], i64]
    remove_attribute: Fn[[ENTRY, Slice[u8]], i64]
