"""The file that execve is to run: opened, examined for who may run it, its first bytes ready to be read."""

from goanna.kernel.base.errno import EACCES, EBADF, ELOOP, ENOMEM, ETXTBSY
from goanna.kernel.file.attributes import Attributes
from goanna.kernel.file.description import Description
from goanna.kernel.file.descriptors import get_file
from goanna.kernel.file.flags import AT_FDCWD, O_PATH, S_IFLNK, S_IFMT, S_IFREG, ST_NOEXEC, ST_NOSUID
from goanna.kernel.file.permission import SEARCH, permitted
from goanna.kernel.file.place import walk_from
from goanna.kernel.file.tree import Entry
from goanna.kernel.file.walk import Path
from goanna.kernel.memory.source import PageSource
from goanna.metal import Ptr, Slice, i32, i64, struct, u8, u32

__all__ = ["Program"]

SET_IDS = 0o6000


@struct
class Program:
    """A file opened to be run. `close` after use."""

    description: Ptr[Description]
    source: Ptr[PageSource]
    attributes: Attributes

    def open_path(self, directory: i32, path: Path, follow: bool) -> i64:
        """Open what a path leads to. 0 or an errno."""
        entry, error = walk_from(directory, path, follow)
        if error < 0:
            return error
        error = self.open_entry(entry)
        entry.drop()
        return error

    def open_text(self, path: Slice[u8]) -> i64:
        """The same for a path of the kernel's."""
        walked = Path()
        error = walked.set(path)
        if error == 0:
            error = self.open_path(AT_FDCWD, walked, True)
        walked.release()
        return error

    def open_descriptor(self, number: i32) -> i64:
        """Take what a descriptor refers to (execveat with AT_EMPTY_PATH). 0 or an errno; -EBADF: not open."""
        description = get_file(number)
        if description is None:
            return -EBADF
        entry = description.entry
        if (description.status.load() & O_PATH) != 0 and entry is not None:
            error = self.open_entry(entry)
            description.drop()
            return error
        self.description = description
        return self.examine()

    def open_entry(self, entry: Entry) -> i64:
        """Open an entry. 0 or an errno; nothing is left open after one."""
        if entry.kind() == S_IFLNK:
            return -ELOOP
        if entry.kind() != S_IFREG:
            return -EACCES
        if entry.node is not None and entry.node.writers.load() != 0:
            return -ETXTBSY
        description, error = entry.tree.open(entry, 0)
        if error < 0:
            return error
        self.description = description
        if description.entry is None:
            entry.hold()
            description.entry = entry
        return self.examine()

    def examine(self) -> i64:
        """Whether the running process may run what was opened: a regular file whose mode says so, with pages."""
        description: Description = self.description
        error = description.operations.attributes(description, self.attributes)
        if error == 0 and not self.may_run(description):
            error = -EACCES
        if error == 0:
            self.source = description.operations.source(description)
            if self.source is None:
                error = -ENOMEM
        if error < 0:
            self.close()
        return error

    def may_run(self, description: Description) -> bool:
        """Whether it is a regular file with pages whose mode lets the running process run it."""
        file = self.attributes
        if (file.mode & S_IFMT) != S_IFREG or description.operations.source is None:
            return False
        if description.entry is not None:
            flags = description.entry.tree.flags
            if (flags & ST_NOEXEC) != 0:
                return False
            if (flags & ST_NOSUID) != 0:
                file.mode &= ~u32(SET_IDS)
        return permitted(file.mode, file.user, file.group, SEARCH)

    def close(self) -> None:
        """Let go of the file."""
        if self.source is not None:
            self.source.release()
            self.source = None
        if self.description is not None:
            self.description.drop()
            self.description = None
