"""From a path to an entry (path_resolution(7)): component by component, through links and out of directories.

A link's text takes the place of the component that named it, so the walk needs no more stack for a link than for a
name. It costs one page for the path and, from the first link on, a second one.
"""

from goanna.kernel.arch import PAGE_SIZE, virtual
from goanna.kernel.base.errno import EACCES, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EXDEV
from goanna.kernel.file.crossing import cross, same_place
from goanna.kernel.file.flags import LINKS_MAX, NAME_MAX, PATH_MAX, ST_NOSYMFOLLOW
from goanna.kernel.file.known_way import SLASH, component, is_dots, walk_known
from goanna.kernel.file.permission import SEARCH, entry_permitted
from goanna.kernel.file.tree import Entry, child_of, touch
from goanna.kernel.file.view import above
from goanna.kernel.identity.credentials import CAP_DAC_OVERRIDE, capable
from goanna.kernel.memory import pages, user
from goanna.metal import Array, Ptr, Slice, i64, metal, per_processor, struct, u8, u32, u64, unsafe

DOT = 0x2E

assert PAGE_SIZE >= PATH_MAX

RESOLVE_NO_XDEV = 1
RESOLVE_NO_MAGICLINKS = 2
RESOLVE_NO_SYMLINKS = 4
RESOLVE_BENEATH = 8
RESOLVE_IN_ROOT = 16
RESOLVE_CACHED = 32


# Kept by each processor for the next path, so that most calls allocate nothing: a path through a link needs two.
spare_page = per_processor(u64)
second_spare = per_processor(u64)


@metal
def path_page() -> u64:
    """A page for a path, or 0."""
    global spare_page, second_spare
    page = spare_page
    if page == 0:
        return pages.allocate()
    spare_page = second_spare
    second_spare = 0
    return page


@metal
def free_path_page(page: u64) -> None:
    """Give such a page back."""
    global spare_page, second_spare
    if second_spare == 0:
        second_spare = spare_page
        spare_page = page
    else:
        pages.release(page)


@struct
class Path:
    """A path, and how far it has been walked. `release` after use."""

    memory: Array[u64, 2]  # physical pages: the one with the path, and one to build another in; 0: none yet
    start: u64  # what remains, in the first page
    end: u64
    links: u32  # followed so far
    to_directory: bool  # a slash follows the last component
    creates: bool  # the walk is for a file that may be made, so its last component may not end in a slash
    to_parent: bool  # the walk ends at the directory that the last component is in
    resolve: u32  # RESOLVE_ bits of openat2
    last_start: u64  # the last component, in the first page, where it is not there or not walked
    last_end: u64
    begin_at: Ptr[Entry]  # where the next walk starts, with a reference that is used up; None: where it is told to
    reached: Ptr[Entry]  # where the last step led, with a reference; None: nowhere else
    ahead: Ptr[Entry]  # what the next component was found to be, with a reference; None: that is to be found
    missing_in: Ptr[Entry]  # the walk ended at a last component that is not there: the directory, with a reference

    def load(self, address: u64) -> i64:
        """Fetch a path from user memory: its length, -EFAULT, -ENAMETOOLONG or -ENOMEM."""
        page = path_page()
        if page == 0:
            return -ENOMEM
        self.memory[0] = page
        length = user.copy_in_string(self.page(0), address)
        if length >= 0:
            self.end = u64(length)
        return length

    def set_dot(self) -> None:
        """Let an empty path that was loaded name where it starts."""
        self.page(0)[0] = DOT
        self.end = 1

    def set(self, text: Slice[u8]) -> i64:
        """Take a path of the kernel's own: 0 or -ENOMEM."""
        page = path_page()
        if page == 0:
            return -ENOMEM
        self.memory[0] = page
        self.page(0)[0 : len(text)] = text
        self.end = len(text)
        return 0

    def page(self, index: u64) -> Slice[u8]:
        """One of the two pages."""
        return unsafe.slice(u8, virtual(self.memory[index]), PATH_MAX)

    def rest(self) -> Slice[u8]:
        """What remains to be walked."""
        return self.page(0)[self.start : self.end]

    def absolute(self) -> bool:
        """Whether it begins at the root."""
        return self.start < self.end and self.page(0)[self.start] == SLASH

    def rewind(self) -> None:
        """Look again for the last component, which was not there: from its directory, whose reference goes with it."""
        self.start = self.last_start
        self.begin_at = self.missing_in
        self.missing_in = None

    def last(self) -> Slice[u8]:
        """The last component, of a walk to_parent or one that ended at what is not there; empty: the root."""
        return self.page(0)[self.last_start : self.last_end]

    def last_is_name(self) -> bool:
        """Whether the last component is a name, not . or .. or the root."""
        return self.last_start != self.last_end and not is_dots(self.last())

    def skip_slashes(self) -> bool:
        """Go to the next component; whether there was a slash."""
        text = self.page(0)
        begun = self.start
        while self.start < self.end and text[self.start] == SLASH:
            self.start += 1
        return self.start != begun

    def component(self) -> Slice[u8]:
        """Take the next component; empty at the end."""
        text = self.page(0)
        begun = self.start
        while self.start < self.end and text[self.start] != SLASH:
            self.start += 1
        return text[begun : self.start]

    def expand(self, link: Entry) -> i64:
        """Put a link's text before what remains. 0 or an errno."""
        if self.memory[1] == 0:
            self.memory[1] = path_page()
            if self.memory[1] == 0:
                return -ENOMEM
        target = self.page(1)
        result = link.tree.read_link(link, target[0 : PATH_MAX - 1])
        touch(link)
        if result < 0:
            return result
        if result == 0:
            return -ENOENT
        length = u64(result)
        rest = self.rest()
        slash: u64 = 1 if self.to_directory or len(rest) != 0 else 0
        if length + slash + len(rest) >= PATH_MAX:
            return -ENAMETOOLONG
        if slash != 0:
            target[length] = SLASH
        target[length + slash : length + slash + len(rest)] = rest
        page = self.memory[0]
        self.memory[0] = self.memory[1]
        self.memory[1] = page
        self.start = 0
        self.end = length + slash + len(rest)
        return 0

    def walk(self, start: Entry, root: Entry, follow: bool) -> tuple[Ptr[Entry], i64]:
        """Walk from `start`, whose reference is used up; never above `root`. `follow`: through a link at the end too.

        The entry, with a reference; or None and -ENOENT, -ENOTDIR, -EACCES, -ELOOP, -ENAMETOOLONG, -ENOMEM, -EIO.
        """
        at: Ptr[Entry] = start
        if self.resolve == 0:
            at = self.walk_known(start)
            if self.start == self.end and self.last_start != self.last_end:
                return at, 0
        while True:
            if self.absolute():
                self.skip_slashes()
            if at.tree.elsewhere is not None and at.below is None and self.ahead is None and self.resolve == 0:
                at = self.look_ahead(at)
            self.last_start = self.start
            name = self.component()
            self.last_end = self.start
            self.to_directory = self.skip_slashes()
            error: i64 = 0
            if len(name) == 0 or (self.to_parent and self.start == self.end):
                error = self.check_parent(at)
                if error == 0:
                    return at, 0
            else:
                error = self.step(at, root, name, follow)
            if error < 0:
                at.drop()
                return None, error
            if self.reached is not None:
                at.drop()
                at = self.reached
                self.reached = None
                if self.start == self.end:
                    if self.to_directory and not at.is_directory():
                        at.drop()
                        return None, -ENOTDIR
                    return at, 0

    def walk_known(self, start: Entry) -> Entry:
        """Walk what is known of a path that no RESOLVE_ bit restricts, from `start`, whose reference is used up: the
        entry, with a reference. Nothing remains, and `last` is set, only if that is where the path leads."""
        if self.absolute():
            self.skip_slashes()
        reached, begun, position = walk_known(start, self.page(0)[0 : self.end], self.start, self.to_parent)
        if position == self.end:
            self.last_start = begun
            self.last_end = position
            self.to_directory = False
        self.start = position
        return reached

    def look_ahead(self, at: Entry) -> Entry:
        """Go from a directory whose names are kept elsewhere, and whose reference is used up, as far as one question
        tells, but not over the last component: where that is, with a reference."""
        text = self.page(0)[0 : self.end]
        start = self.start
        stop = start
        names: u64 = 0
        while start < len(text):
            end, following = component(text, start)
            last = following == len(text)
            if is_dots(text[start:end]) or (last and (self.to_parent or self.creates)) or end - start > NAME_MAX:
                break
            names += 1
            stop = end
            start = following
        if names < 2 or not at.is_directory() or not capable(CAP_DAC_OVERRIDE):
            return at
        below, passed, self.ahead = at.tree.elsewhere.find_ahead(at, text[self.start : stop])
        if below is None:
            return at
        at.drop()
        self.start += passed
        return below

    def check_parent(self, at: Entry) -> i64:
        """Whether a name can be looked for in the last directory of a walk to_parent. 0 or an errno."""
        if not self.to_parent:
            return 0
        if not at.is_directory():
            return -ENOTDIR
        return 0 if entry_permitted(at, SEARCH) else -EACCES

    def step(self, at: Entry, root: Entry, name: Slice[u8], follow: bool) -> i64:
        """One component. 0 with `reached` set, or with a relative link put into the path; or an errno."""
        if not at.is_directory():
            return -ENOTDIR
        if not entry_permitted(at, SEARCH):
            return -EACCES
        if len(name) > NAME_MAX:
            return -ENAMETOOLONG
        if is_dots(name):
            return self.step_dots(at, root, len(name) == 2)
        last = self.start == self.end
        if last and self.creates and self.to_directory:
            return -EISDIR
        child = self.ahead
        self.ahead = None
        error: i64 = 0
        if child is None:
            child, error = child_of(at, name)
        if error < 0:
            if last and error == -ENOENT and self.creates and self.missing_in is None:
                at.hold()
                self.missing_in = at
            return error
        child = cross(child)
        if (self.resolve & RESOLVE_NO_XDEV) != 0 and child.tree is not at.tree:
            child.drop()
            return -EXDEV
        if not child.is_link() or (last and not follow and not self.to_directory):
            self.reached = child
            return 0
        error = self.through(child, root)
        child.drop()
        return error

    def step_dots(self, at: Entry, root: Entry, up: bool) -> i64:
        """Stay, or go to the directory above and to what stands over it. 0 or an errno."""
        if not up:
            at.hold()
            self.reached = at
            return 0
        return self.step_up(at, root)

    @metal(inline=False)
    def step_up(self, at: Entry, root: Entry) -> i64:
        """Go up. 0, -EXDEV, -ENOMEM, or what keeps a folder that is kept elsewhere from being looked at."""
        if same_place(at, root):
            if (self.resolve & RESOLVE_BENEATH) != 0:
                return -EXDEV
            at.hold()
            self.reached = cross(at)
            return 0
        higher = above(at)
        if higher is None:
            return -ENOMEM
        higher = cross(higher)
        error: i64 = 0
        if (self.resolve & RESOLVE_NO_XDEV) != 0 and higher.tree is not at.tree:
            error = -EXDEV
        elif higher.real().tree.elsewhere is not None:
            error = higher.real().tree.elsewhere.make_sure(higher.real())
        if error < 0:
            higher.drop()
            return error
        self.reached = higher
        return 0

    def through(self, link: Entry, root: Entry) -> i64:
        """Follow a link. 0 or an errno."""
        if (self.resolve & RESOLVE_NO_SYMLINKS) != 0 or (link.tree.flags & ST_NOSYMFOLLOW) != 0:
            return -ELOOP
        self.links += 1
        if self.links > LINKS_MAX:
            return -ELOOP
        if link.tree.jump is not None:
            self.reached = link.tree.jump(link)
            if self.reached is not None:
                return self.check_jump(link)
        error = self.expand(link)
        if error == 0 and self.absolute():
            if (self.resolve & RESOLVE_BENEATH) != 0:
                return -EXDEV
            if (self.resolve & RESOLVE_NO_XDEV) != 0 and root.tree is not link.tree:
                return -EXDEV
            root.hold()
            self.reached = root
        return error

    def check_jump(self, link: Entry) -> i64:
        """Whether the walk may go where a link leads that is no text. 0, -ELOOP or -EXDEV."""
        error: i64 = 0
        crosses = (self.resolve & RESOLVE_NO_XDEV) != 0 and self.reached.tree is not link.tree
        if (self.resolve & RESOLVE_NO_MAGICLINKS) != 0:
            error = -ELOOP
        elif (self.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) != 0 or crosses:
            error = -EXDEV
        if error < 0:
            self.reached.drop()
            self.reached = None
        return error

    def release(self) -> None:
        """Free the pages, and let go of what the walk found."""
        if self.ahead is not None:
            self.ahead.drop()
            self.ahead = None
        if self.missing_in is not None:
            self.missing_in.drop()
            self.missing_in = None
        for index in range(u64(0), u64(2)):
            if self.memory[index] != 0:
                free_path_page(self.memory[index])
                self.memory[index] = 0
