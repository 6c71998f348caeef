"""Whether the running process may read, write, search or execute a file (Linux fs/namei.c generic_permission)."""

from goanna.kernel.file.flags import S_IFDIR, S_IFMT
from goanna.kernel.file.tree import Entry
from goanna.kernel.identity.credentials import CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, capable, in_group, mine
from goanna.metal import metal, u32

__all__ = ["READ", "SEARCH", "WRITE", "entry_permitted", "permitted"]

READ = 4
WRITE = 2
SEARCH = 1  # and execute


@metal
def permitted(mode: u32, user: u32, group: u32, wanted: u32) -> bool:
    """Whether the running process may do to a file what the bits of `wanted` say (Linux generic_permission)."""
    me = mine()
    granted = mode
    if me.file_user == user:
        granted = mode >> 6
    elif in_group(group):
        granted = mode >> 3
    if (wanted & ~granted & 7) == 0:
        return True
    if (mode & S_IFMT) == S_IFDIR:
        if capable(CAP_DAC_OVERRIDE):
            return True
        return (wanted & WRITE) == 0 and capable(CAP_DAC_READ_SEARCH)
    if wanted == READ and capable(CAP_DAC_READ_SEARCH):
        return True
    if (wanted & SEARCH) != 0 and (mode & 0o111) == 0:
        return False
    return capable(CAP_DAC_OVERRIDE)


@metal
def entry_permitted(entry: Entry, wanted: u32) -> bool:
    """The same for an entry."""
    return permitted(entry.permissions(), entry.owner(), entry.owner_group(), wanted)
