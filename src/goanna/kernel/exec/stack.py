"""The first stack of a program: what the System V ABI (x86-64 section 3.4.1) and Linux put there.

From the top down: eight zero bytes, the file's name, the environment's strings, the arguments; a random gap; the
platform's name, sixteen random bytes; the auxiliary vector, the pointers to the environment and to the arguments, and
at the stack pointer, a multiple of 16, their number.
"""

from goanna.kernel.arch import PAGE_SIZE, PLATFORM
from goanna.kernel.base.errno import E2BIG, EFAULT
from goanna.kernel.memory import user
from goanna.kernel.memory.placement import random_u64
from goanna.kernel.memory.remote import Window
from goanna.kernel.memory.space import AddressSpace
from goanna.metal import Array, Slice, i64, metal, sizeof, struct, u8, u32, u64, unsafe, wrapping

__all__ = ["Start", "UserStrings", "build_stack"]

AT_NULL = 0
AT_PHDR = 3
AT_PHENT = 4
AT_PHNUM = 5
AT_PAGESZ = 6
AT_BASE = 7
AT_FLAGS = 8
AT_ENTRY = 9
AT_UID = 11
AT_EUID = 12
AT_GID = 13
AT_EGID = 14
AT_PLATFORM = 15
AT_HWCAP = 16
AT_CLKTCK = 17
AT_SECURE = 23
AT_RANDOM = 25
AT_HWCAP2 = 26
AT_RSEQ_FEATURE_SIZE = 27
AT_RSEQ_ALIGN = 28
AT_EXECFN = 31
AT_SYSINFO_EHDR = 33
AT_MINSIGSTKSZ = 51

CLOCK_TICKS = 100  # what times(2) counts in, a second
PROGRAM_HEADER_SIZE = 56
VECTOR_ENTRIES = 23  # the most that write_vector writes
MAXIMUM_STRING = 32 * PAGE_SIZE  # bytes of one argument (Linux MAX_ARG_STRLEN)
LEAST_STRINGS = 32 * PAGE_SIZE  # bytes of all, whatever the stack's limit
MOST_STRINGS = 6 << 20  # bytes: three quarters of 8 MiB
STACK_JITTER = 8192  # bytes by which the stack pointer is moved at random


@struct
class UserStrings:
    """An array of strings in the running program's memory, as execve is given it. Zeroed memory is an empty one."""

    address: u64  # of the pointer to the first
    count: u64
    bytes: u64  # of all, with their zero bytes

    def at(self, index: u64) -> tuple[u64, i64]:
        """Where a string is, and its length without the zero byte; -EFAULT, or -E2BIG for one that is too long."""
        address, error = user.get(u64, wrapping(self.address + index * 8))
        if error != 0:
            return 0, -EFAULT
        return address, string_length(address)

    def measure(self) -> i64:
        """Count the strings up to the null pointer, and their bytes. 0, -EFAULT or -E2BIG."""
        if self.address == 0:
            return 0
        while True:
            address, error = user.get(u64, wrapping(self.address + self.count * 8))
            if error != 0:
                return -EFAULT
            if address == 0:
                return 0
            length = string_length(address)
            if length < 0:
                return length
            self.count += 1
            self.bytes += u64(length) + 1
            if self.bytes + self.count * 8 > MOST_STRINGS:
                return -E2BIG

    def drop_first(self) -> None:
        """Leave the first string out."""
        _, length = self.at(0)
        self.bytes -= min(self.bytes, u64(max(length, i64(0))) + 1)
        self.address += 8
        self.count -= 1


@metal
def string_length(address: u64) -> i64:
    """The length of a string of the running program, without its zero byte. -EFAULT, or -E2BIG if it is too long."""
    buffer = unsafe.uninitialized(Array[u8, 256])
    done: u64 = 0
    while done < MAXIMUM_STRING:
        here = wrapping(address + done)
        count = min(u64(len(buffer)), PAGE_SIZE - here % PAGE_SIZE)
        if user.copy_in(buffer[0:count], here) != 0:
            return -EFAULT
        for index in range(count):
            if buffer[index] == 0:
                return i64(done + index) if done + index < MAXIMUM_STRING else -E2BIG
        done += count
    return -E2BIG


@metal
def end_of_string(reader: Window, address: u64) -> u64:
    """The address after a string's zero byte."""
    at = address
    while True:
        place = reader.reach(at, False)
        if place == 0:
            return at
        for byte in unsafe.slice(u8, place, PAGE_SIZE - at % PAGE_SIZE):
            at += 1
            if byte == 0:
                return at


@struct
class Start:
    """What a program is told at its start, and where it starts."""

    arguments: Slice[u8]  # the first ones, each followed by a zero byte
    environment: Slice[u8]  # the first ones, each followed by a zero byte
    more_arguments: UserStrings
    more_environment: UserStrings
    path: Slice[u8]  # AT_EXECFN
    hwcap: u64
    hwcap2: u64
    signal_stack: u64  # AT_MINSIGSTKSZ: bytes of the largest signal frame
    rseq_size: u64  # AT_RSEQ_FEATURE_SIZE; 0: no restartable sequences
    user: u32
    effective_user: u32
    group: u32
    effective_group: u32
    secure: bool
    entry: u64  # out: where to start
    stack: u64  # out: the stack pointer
    headers: u64  # out: AT_PHDR
    header_count: u64  # out: AT_PHNUM


@struct
class Pair:
    """An entry of the auxiliary vector."""

    key: u64
    value: u64

    def set(self, key: u64, value: u64) -> None:
        """Fill it in."""
        self.key = key
        self.value = value


@struct
class Builder:
    """Writes downwards, then upwards. The first error stays."""

    window: Window
    at: u64
    failed: bool

    @metal(inline=False)
    def push(self, data: Slice[u8]) -> u64:
        """Write bytes below all others; their address."""
        self.at -= u64(len(data))
        if self.window.write(self.at, data) != 0:
            self.failed = True
        return self.at

    @metal(inline=False)
    def word(self, value: u64) -> None:
        """Write 8 bytes and move up."""
        if self.window.put(self.at, value) != 0:
            self.failed = True
        self.at += 8

    def put(self, data: Slice[u8]) -> None:
        """Write bytes and move up."""
        if self.window.write(self.at, data) != 0:
            self.failed = True
        self.at += u64(len(data))

    def push_user(self, strings: UserStrings) -> None:
        """Write the running program's strings below all others, the last one first."""
        index = strings.count
        while index > 0 and not self.failed:
            index -= 1
            source, length = strings.at(index)
            if length < 0 or u64(length) >= MAXIMUM_STRING or u64(length) + PAGE_SIZE > self.at:
                self.failed = True
                return
            self.at -= u64(length) + 1
            self.copy(source, u64(length))

    def copy(self, source: u64, length: u64) -> None:
        """Copy a string from the running program to where the builder is, and end it by a zero byte."""
        done: u64 = 0
        while done < length and not self.failed:
            here = self.at + done
            count = min(length - done, PAGE_SIZE - here % PAGE_SIZE)
            place = self.window.reach(here, True)
            self.failed = place == 0 or user.copy_in(unsafe.slice(u8, place, count), source + done) != 0
            done += count
        if self.window.write(self.at + length, b"\0") != 0:
            self.failed = True

    def pointers(self, count: u64, address: u64) -> None:
        """A pointer to each of so many strings that were written one after the other from `address` on, and a null
        pointer."""
        reader = Window()
        reader.start(self.window.space)
        at = address
        for _ in range(count):
            self.word(at)
            at = end_of_string(reader, at)
        self.word(0)


@metal
def count_strings(strings: Slice[u8]) -> i64:
    """How many strings a blob has; -E2BIG if one is too long."""
    count: i64 = 0
    length: u64 = 0
    for byte in strings:
        length += 1
        if length > MAXIMUM_STRING:
            return -E2BIG
        if byte == 0:
            count += 1
            length = 0
    return count


@metal
def build_stack(space: AddressSpace, top: u64, start: Start) -> i64:
    """Fill the stack that ends at `top`, and set `start.stack`. 0, -E2BIG or -EFAULT (no memory, or no room, or what
    the running program was to give is not there)."""
    argument_count = count_strings(start.arguments)
    environment_count = count_strings(start.environment)
    if argument_count < 0 or environment_count < 0:
        return -E2BIG
    arguments_all = u64(argument_count) + start.more_arguments.count
    environment_all = u64(environment_count) + start.more_environment.count
    strings = u64(len(start.arguments)) + u64(len(start.environment)) + u64(len(start.path))
    strings += start.more_arguments.bytes + start.more_environment.bytes
    words = max(arguments_all, 1) + environment_all
    limit = min(max(space.stack_limit // 4, u64(LEAST_STRINGS)), u64(MOST_STRINGS))
    if strings + words * 8 > limit:
        return -E2BIG
    builder = Builder(at=top - 8)
    builder.window.start(space)
    builder.push(b"\0")
    path = builder.push(start.path)
    space.environment_end = path
    builder.push_user(start.more_environment)
    environment = builder.push(start.environment)
    space.environment_start = environment
    space.argument_end = environment
    builder.push_user(start.more_arguments)
    arguments = builder.push(start.arguments)
    space.argument_start = arguments
    builder.at = (builder.at - random_u64() % STACK_JITTER) & ~15
    platform = builder.push(PLATFORM)
    seed = Array[u64, 2]()
    seed[0] = random_u64()
    seed[1] = random_u64()
    random = builder.push(unsafe.slice(u8, unsafe.address(seed), 16))
    size = (1 + arguments_all + 1 + environment_all + 1) * 8 + VECTOR_ENTRIES * 16
    builder.at = (builder.at - size) & ~15
    start.stack = builder.at
    space.stack_start = builder.at
    builder.word(arguments_all)
    builder.pointers(arguments_all, arguments)
    builder.pointers(environment_all, environment)
    write_vector(builder, space, start, path, platform, random)
    return -EFAULT if builder.failed else i64(0)


@metal
def write_vector(builder: Builder, space: AddressSpace, start: Start, path: u64, platform: u64, random: u64) -> None:
    """The auxiliary vector, in Linux's order."""
    entries = Array[Pair, VECTOR_ENTRIES]()
    entries[0].set(AT_SYSINFO_EHDR, space.vdso)
    entries[1].set(AT_MINSIGSTKSZ, start.signal_stack)
    entries[2].set(AT_HWCAP, start.hwcap)
    entries[3].set(AT_PAGESZ, PAGE_SIZE)
    entries[4].set(AT_CLKTCK, CLOCK_TICKS)
    entries[5].set(AT_PHDR, start.headers)
    entries[6].set(AT_PHENT, PROGRAM_HEADER_SIZE)
    entries[7].set(AT_PHNUM, start.header_count)
    entries[8].set(AT_BASE, 0)
    entries[9].set(AT_FLAGS, 0)
    entries[10].set(AT_ENTRY, start.entry)
    entries[11].set(AT_UID, u64(start.user))
    entries[12].set(AT_EUID, u64(start.effective_user))
    entries[13].set(AT_GID, u64(start.group))
    entries[14].set(AT_EGID, u64(start.effective_group))
    entries[15].set(AT_SECURE, u64(start.secure))
    entries[16].set(AT_RANDOM, random)
    entries[17].set(AT_HWCAP2, start.hwcap2)
    entries[18].set(AT_EXECFN, path)
    entries[19].set(AT_PLATFORM, platform)
    if start.rseq_size != 0:
        entries[20].set(AT_RSEQ_FEATURE_SIZE, start.rseq_size)
        entries[21].set(AT_RSEQ_ALIGN, 32)
    first: u64 = 0 if space.vdso != 0 else 1
    end: u64 = VECTOR_ENTRIES if start.rseq_size != 0 else VECTOR_ENTRIES - 2  # the last is AT_NULL
    builder.put(unsafe.slice(u8, unsafe.address(entries[first]), (end - first) * sizeof(Pair)))
