"""Trees in memory that programs mount: tmpfs and its options (tmpfs(5), Linux mm/shmem.c)."""

from goanna.kernel.arch import PAGE_SIZE
from goanna.kernel.base.errno import EINVAL
from goanna.kernel.base.text import Text
from goanna.kernel.file.flags import S_IFDIR
from goanna.kernel.file.image_tree import SHM_TREE
from goanna.kernel.file.node import Budget, budgets, create_node, drop_budget
from goanna.kernel.file.tree import Tree, new_entry, trees
from goanna.kernel.identity.credentials import mine
from goanna.kernel.memory.pages import total_pages
from goanna.metal import Ptr, Slice, copy, i64, metal, mul_overflows, static, struct, u8, u32, u64

__all__ = ["Options", "change_limits", "new_device", "new_memory_tree", "write_options"]

FIRST_DEVICE = 48  # 0:48; below are those of the start
MODE = 0o1777
FOLDER_SIZE = 40
COMMA, EQUALS, PERCENT = ord(","), ord("="), ord("%")

last_device = static(u64, FIRST_DEVICE - 1)


@struct
class Options:
    """What was asked for."""

    size: u64  # bytes, whole pages; 0: no limit of its own
    files: u64  # the same
    mode: u32
    user: u32
    group: u32
    sized: bool  # `size` was given
    counted: bool  # `files` was given

    def parse(self, text: Slice[u8]) -> i64:
        """Take options, separated by commas, each at most once counted. 0 or -EINVAL."""
        me = mine()
        self.mode = MODE
        self.user = me.file_user
        self.group = me.file_group
        position: u64 = 0
        while position < len(text):
            end = position
            while end < len(text) and text[end] != COMMA:
                end += 1
            if end != position and not self.take(text[position:end]):
                return -EINVAL
            position = end + 1
        return 0

    def take(self, option: Slice[u8]) -> bool:
        """One option. False: it is none, or has no sense."""
        if option == b"huge=never" or option == b"inode64" or option == b"noswap" or option == b"mpol=default":
            return True  # it is so anyway
        equals: u64 = 0
        while equals < len(option) and option[equals] != EQUALS:
            equals += 1
        if equals == len(option):
            return False
        name = option[0:equals]
        text = option[equals + 1 :]
        if name == b"size":
            value, good = amount(text, True)
            self.size = (value + min(PAGE_SIZE - 1, ~value)) // PAGE_SIZE * PAGE_SIZE
            self.sized = True
            return good
        if name == b"nr_blocks":
            value, good = amount(text, False)
            self.size, overflowed = mul_overflows(value, u64(PAGE_SIZE))
            self.sized = True
            return good and not overflowed
        if name == b"nr_inodes":
            self.files, good = amount(text, False)
            self.counted = True
            return good
        value, good = digits(text, 8 if name == b"mode" else 10)
        if name == b"mode":
            self.mode = u32(value & 0o7777)
        elif name == b"uid":
            self.user = u32(value & 0xFFFFFFFF)
        elif name == b"gid":
            self.group = u32(value & 0xFFFFFFFF)
        else:
            return False
        return good and value < 0xFFFFFFFF


@metal
def digits(text: Slice[u8], base: u64) -> tuple[u64, bool]:
    """A number that is all of a text, below 2**40, and whether it is one."""
    value: u64 = 0
    for byte in text:
        if byte < ord("0") or u64(byte) >= ord("0") + base or value >= 1 << 40:
            return 0, False
        value = value * base + u64(byte - ord("0"))
    return value, len(text) != 0


@metal
def amount(text: Slice[u8], percent: bool) -> tuple[u64, bool]:
    """A number with a unit, k, m, g and so on, or a part of RAM in percent (memparse)."""
    shift: u64 = 0
    number = text
    if len(text) > 1:
        last = text[len(text) - 1]
        units: Slice[u8] = b"kmgtpe"
        for index, unit in enumerate(units):
            if last | 0x20 == unit:
                shift = 10 * (index + 1)
        if percent and last == PERCENT:
            value, good = digits(text[0 : len(text) - 1], 10)
            return value * (total_pages() * PAGE_SIZE // 100), good and value <= 1_000_000
        if shift != 0:
            number = text[0 : len(text) - 1]
    value, good = digits(number, 10)
    scaled, overflowed = mul_overflows(value, u64(1) << shift)
    return scaled, good and not overflowed


@metal
def new_device() -> u64:
    """The number of a new file system."""
    global last_device
    last_device += 1
    return last_device


@metal
def new_memory_tree(options: Options) -> Ptr[Tree]:
    """An empty tree with its top, which stands nowhere yet. None: memory is out."""
    tree = trees.allocate()
    if tree is None:
        return None
    copy(tree, SHM_TREE)
    tree.root = None
    tree.covered = None
    tree.next_over = None
    tree.next = None
    tree.source = None
    tree.views.store(0)
    tree.writers.store(0)
    tree.frozen = False
    tree.unbindable = False
    tree.expiring = False
    tree.made = True
    tree.users.store(0)
    tree.device = new_device()
    tree.budget = new_budget(options)
    top = new_entry(tree, b"") if tree.budget is not None else None
    if top is None:
        drop_budget(tree.budget)
        trees.free(tree)
        return None
    top.mode = S_IFDIR | options.mode
    top.node = create_node(top.mode, options.user, options.group)
    if top.node is None:
        top.drop()
        return None
    top.node.links = 2
    top.node.size = FOLDER_SIZE
    top.node.budget = tree.budget
    tree.budget.references.add(1)
    tree.root = top
    return tree


@metal
def new_budget(options: Options) -> Ptr[Budget]:
    """A budget with the limits that were asked for and the tree's reference, or None."""
    budget = budgets.allocate()
    if budget is not None:
        budget.references.store(1)
        budget.most = options.size
        budget.most_files = options.files if options.counted else total_pages() // 2
        budget.mode = options.mode
        budget.user = options.user
        budget.group = options.group
    return budget


@metal
def change_limits(tree: Tree, options: Options) -> i64:
    """Remount: give a tree other limits. 0, or -EINVAL: it has more in it (shmem_reconfigure)."""
    budget = tree.budget
    if budget is None:
        return -EINVAL if options.sized or options.counted else i64(0)
    if options.sized and options.size != 0 and budget.used.load() > options.size:
        return -EINVAL
    if options.counted and options.files != 0 and budget.references.load() - 1 > options.files:
        return -EINVAL
    if options.sized:
        budget.most = options.size
    if options.counted:
        budget.most_files = options.files
    return 0


@metal
def write_options(text: Text, budget: Budget) -> None:
    """The limits as /proc/mounts tells them."""
    if budget.most != 0:
        text.put(b",size=")
        text.number(budget.most // 1024)
        text.byte(ord("k"))
    if budget.most_files != total_pages() // 2:
        text.put(b",nr_inodes=")
        text.number(budget.most_files)
    if budget.mode != MODE:
        text.put(b",mode=")
        text.octal(u64(budget.mode), 3)
    if budget.user != 0:
        text.put(b",uid=")
        text.number(u64(budget.user))
    if budget.group != 0:
        text.put(b",gid=")
        text.number(u64(budget.group))
    text.put(b",inode64")
