"""The descriptor table of a process: small numbers to open file descriptions, lowest free number first.

It grows by blocks of 64 descriptors, whose use and close-on-exec bits are one word each, so that finding the lowest
free number looks at a word for 64 of them. A number can be reserved before its file exists, as open does.
"""

from goanna.kernel.arch import PAGE_SIZE, physical, virtual
from goanna.kernel.base.errno import EBUSY, EMFILE, ENOMEM
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.description import Description, close
from goanna.kernel.memory import pages
from goanna.kernel.memory.objects import Cache
from goanna.metal import (
    Array,
    Atomic,
    Ptr,
    count_trailing_zeros,
    fill,
    i32,
    metal,
    struct,
    u8,
    u32,
    u64,
    unsafe,
)

BLOCK = 64  # descriptors of one block: the bits of a word
INLINE_BLOCKS = 16  # 1,024 descriptors, Linux's default limit, need no directory of their own
MAXIMUM_DESCRIPTORS = 1 << 20  # sysctl fs.nr_open
ALL = 0xFFFFFFFFFFFFFFFF


@struct
class Block:
    """64 descriptors."""

    files: Array[Ptr[Description], BLOCK]  # None: free or reserved
    used: u64  # a bit for each that is taken or reserved
    close_on_exec: u64


@struct
class FileTable:
    """struct files_struct. The process holds a reference; so does whoever looks at another process's table."""

    references: Atomic[u32]
    lock: SpinLock  # protects all below, the blocks too
    first_free: u32  # no descriptor below it is free
    capacity: u32  # blocks that the directory has room for
    directory: u64  # kernel address of an array of Ptr[Block]; 0: `inline`
    order: u32  # size of the directory: PAGE_SIZE << order bytes
    inline: Array[Ptr[Block], INLINE_BLOCKS]

    def blocks(self) -> u64:
        """How many blocks the directory has room for."""
        return INLINE_BLOCKS if self.directory == 0 else u64(self.capacity)

    def slot(self, index: u64) -> Ptr[Block]:
        """The block of that index, below blocks(); None: no descriptor in it was ever used."""
        if self.directory == 0:
            return self.inline[index]
        return unsafe.load(Ptr[Block], self.directory + index * 8)

    def set_slot(self, index: u64, block: Ptr[Block]) -> None:
        """Put a block into the directory."""
        if self.directory == 0:
            self.inline[index] = block
        else:
            unsafe.store(Ptr[Block], self.directory + index * 8, block)

    def find(self, descriptor: i32) -> Ptr[Description]:
        """What a descriptor refers to, or None. With the lock held; the reference is the table's."""
        number = u64(u32.wrap(descriptor))
        index = number // BLOCK
        if index >= self.blocks():
            return None
        block = self.slot(index)
        if block is None:
            return None
        return unsafe.index(block.files, number % BLOCK)

    def get(self, descriptor: i32) -> Ptr[Description]:
        """What a descriptor refers to, with a reference that the caller drops, or None."""
        with self.lock:
            found = self.find(descriptor)
            if found is not None:
                found.references.add(1)
            return found

    def reserve(self, minimum: u32, limit: u64) -> i32:
        """Take the lowest free number from `minimum` on that is below `limit`. -EMFILE, or -ENOMEM."""
        while True:
            needed: u64 = 0
            with self.lock:
                number = self.lowest_free(max(minimum, self.first_free))
                if u64(number) >= limit or number >= MAXIMUM_DESCRIPTORS:
                    return -EMFILE
                needed = u64(number) // BLOCK
                if needed < self.blocks():
                    block = self.slot(needed)
                    if block is not None:
                        block.used |= u64(1) << u64(number % BLOCK)
                        if minimum <= self.first_free:
                            self.first_free = number + 1
                        return i32(number)
            if not self.grow(needed):
                return -ENOMEM

    def lowest_free(self, start: u32) -> u32:
        """The lowest number from `start` on that is not in use, whether there is a block for it or not."""
        index = u64(start) // BLOCK
        skipped = (u64(1) << u64(start % BLOCK)) - 1
        while index < self.blocks():
            block = self.slot(index)
            if block is None:
                break
            free = ~(block.used | skipped)
            if free != 0:
                return u32(index * BLOCK + count_trailing_zeros(free))
            index += 1
            skipped = 0
        return max(start, u32(index * BLOCK))

    def grow(self, index: u64) -> bool:
        """Make the block of that index, and a directory with room for it. False: memory is out."""
        while index >= self.blocks():
            if not self.grow_directory():
                return False
        block = blocks.allocate()
        if block is None:
            return False
        with self.lock:
            if self.slot(index) is None:
                self.set_slot(index, block)
                return True
        blocks.free(block)
        return True

    def grow_directory(self) -> bool:
        """Double the directory, or somebody else did meanwhile. False: memory is out."""
        old_blocks = self.blocks()
        order: u32 = 0 if self.directory == 0 else self.order + 1
        memory = pages.allocate_order(order)
        if memory == 0:
            return False
        size = u64(PAGE_SIZE) << u64(order)
        address = virtual(memory)
        stale: u64 = memory
        stale_order = order
        with self.lock:
            if self.blocks() == old_blocks:
                fill(unsafe.slice(u8, address, size), 0)
                for index in range(old_blocks):
                    unsafe.store(Ptr[Block], address + index * 8, self.slot(index))
                stale = 0 if self.directory == 0 else physical(self.directory)
                stale_order = self.order
                self.directory = address
                self.capacity = u32(size // 8)
                self.order = order
        if stale != 0:
            pages.free_order(stale, stale_order)
        return True

    def install(self, descriptor: i32, description: Description, close_on_exec: bool) -> None:
        """Put a description under a reserved number. The caller's reference becomes the table's."""
        with self.lock:
            self.place(descriptor, description, close_on_exec)

    def place(self, descriptor: i32, description: Description, close_on_exec: bool) -> None:
        """The same with the lock held; the number is reserved or in use."""
        number = u64(u32.wrap(descriptor))
        block = self.slot(number // BLOCK)
        bit = u64(1) << (number % BLOCK)
        block.files[number % BLOCK] = description
        block.close_on_exec = (block.close_on_exec | bit) if close_on_exec else (block.close_on_exec & ~bit)

    def cancel(self, descriptor: i32) -> None:
        """Give back a reserved number."""
        with self.lock:
            self.vacate(u32.wrap(descriptor))

    def vacate(self, number: u32) -> None:
        """Mark a number free. With the lock held."""
        block = self.slot(u64(number) // BLOCK)
        bit = u64(1) << u64(number % BLOCK)
        block.files[u64(number % BLOCK)] = None
        block.used &= ~bit
        block.close_on_exec &= ~bit
        self.first_free = min(self.first_free, number)

    def remove(self, descriptor: i32) -> Ptr[Description]:
        """Free a number and give what it referred to, with the table's reference; None if it referred to nothing."""
        with self.lock:
            found = self.find(descriptor)
            if found is not None:
                self.vacate(u32.wrap(descriptor))
            return found

    def replace(self, descriptor: i32, description: Description, close_on_exec: bool) -> tuple[Ptr[Description], i32]:
        """Make a number refer to `description`, whose reference becomes the table's (dup2). What it referred to before,
        with the table's reference, and 0; -EBUSY for a number that is reserved (another thread is opening a file under
        it), -ENOMEM. The number is below the limit, as the caller has checked."""
        number = u64(u32.wrap(descriptor))
        while True:
            with self.lock:
                if number // BLOCK < self.blocks():
                    block = self.slot(number // BLOCK)
                    if block is not None:
                        bit = u64(1) << (number % BLOCK)
                        old = block.files[number % BLOCK]
                        if old is None and (block.used & bit) != 0:
                            return None, -EBUSY
                        block.used |= bit
                        self.place(descriptor, description, close_on_exec)
                        return old, 0
            if not self.grow(number // BLOCK):
                return None, -ENOMEM

    def closes_on_exec(self, descriptor: i32) -> bool:
        """Whether execve closes the descriptor; false if it is not in use."""
        with self.lock:
            if self.find(descriptor) is None:
                return False
            number = u64(u32.wrap(descriptor))
            return (self.slot(number // BLOCK).close_on_exec >> (number % BLOCK)) & 1 != 0

    def mark_close_on_exec(self, descriptor: i32, wanted: bool) -> bool:
        """Set or clear it. False: the descriptor is not in use."""
        with self.lock:
            if self.find(descriptor) is None:
                return False
            number = u64(u32.wrap(descriptor))
            block = self.slot(number // BLOCK)
            bit = u64(1) << (number % BLOCK)
            block.close_on_exec = (block.close_on_exec | bit) if wanted else (block.close_on_exec & ~bit)
            return True

    def next_used(self, start: u32, end: u32) -> u32:
        """The lowest descriptor in use, or reserved, from `start` to below `end`; `end` if there is none."""
        with self.lock:
            index = u64(start) // BLOCK
            masked = (u64(1) << u64(start % BLOCK)) - 1
            while index < self.blocks() and index * BLOCK < u64(end):
                block = self.slot(index)
                if block is not None:
                    found = block.used & ~masked
                    if found != 0:
                        return min(end, u32(index * BLOCK + count_trailing_zeros(found)))
                masked = 0
                index += 1
            return end

    def close_all(self) -> None:
        """Close every descriptor and free the blocks: the process is over."""
        number = self.next_used(0, MAXIMUM_DESCRIPTORS)
        while number < MAXIMUM_DESCRIPTORS:
            description = self.remove(i32(number))
            if description is not None:
                close(description, unsafe.address(self))
            number = self.next_used(number + 1, MAXIMUM_DESCRIPTORS)
        for index in range(self.blocks()):
            block = self.slot(index)
            if block is not None:
                self.set_slot(index, None)
                blocks.free(block)
        if self.directory != 0:
            pages.free_order(physical(self.directory), self.order)
            self.directory = 0
            self.order = 0


blocks = Cache(Block)
tables = Cache(FileTable)


@metal
def create_table() -> Ptr[FileTable]:
    """An empty table with one reference, or None if memory is out."""
    made = tables.allocate()
    if made is not None:
        made.references.store(1)
    return made


@metal
def drop_table(table: FileTable) -> None:
    """One reference less; the last one closes every descriptor. May sleep."""
    if table.references.sub(1) == 1:
        table.close_all()
        tables.free(table)


@metal
def copy_table(source: FileTable) -> Ptr[FileTable]:
    """A table in which every descriptor refers to what it does in another one, or None if memory is out."""
    made = create_table()
    if made is None:
        return None
    number = source.next_used(0, MAXIMUM_DESCRIPTORS)
    while number < MAXIMUM_DESCRIPTORS:
        if not copy_descriptor(source, made, number):
            drop_table(made)
            return None
        number = source.next_used(number + 1, MAXIMUM_DESCRIPTORS)
    return made


@metal
def copy_descriptor(source: FileTable, target: FileTable, number: u32) -> bool:
    """Copy one descriptor, unless it was closed meanwhile or is only reserved. False: memory is out."""
    description = source.get(i32(number))
    if description is None:
        return True
    if target.reserve(number, u64(number) + 1) < 0:
        description.drop()
        return False
    target.install(i32(number), description, source.closes_on_exec(i32(number)))
    return True
