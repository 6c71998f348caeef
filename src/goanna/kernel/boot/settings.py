"""What this machine is told to do: the image's boot information, over it the runner's, over both the command line.

The command line is words between blanks, `key=value` or `key`: `trace`, `verbose`, `processors=N`, `memory=SIZE`,
`stack=SIZE`, `files=N`, `filespace=SIZE` (memory that files may take), `hostname=NAME`, `program=PATH`,
`directory=PATH`, `console=virtio` (a virtio console in place of the serial port), `share=TAG:PATH[:ro]` (where the
folder of a virtio 9P device stands), `net=WORD,WORD` (an interface: net/config/setting.py), `env.KEY=VALUE`. Sizes take
K, M or G. What follows a word `--` are the program's arguments, in place of the image's. Words that are not known are
counted, so that a verbose start can say so.
"""

from goanna.kernel.shared.boot import FLAG_TRACE, FLAG_USER, FLAG_VERBOSE, FLAG_VIRTIO_CONSOLE, BootInformation
from goanna.metal import Array, Slice, metal, static, struct, u8, u16, u32, u64

__all__ = ["Settings", "settings", "take_command_line", "take_information"]

EXTRA = 4096  # bytes for what the command line says of arguments and environment


@struct
class Settings:
    """All in force after the last `take_`. Slices lie in memory that lives as long as the machine."""

    flags: u32  # FLAG_*
    processors: u32  # at most so many; 0: all there are
    arguments: Slice[u8]  # each followed by a zero byte
    environment: Slice[u8]  # KEY=VALUE, each followed by a zero byte
    program: Slice[u8]
    hostname: Slice[u8]
    directory: Slice[u8]  # where the program starts; empty: /
    tree: Slice[u8]  # where the loader's tree stands
    networks: Slice[u8]  # what is said of interfaces, each followed by a zero byte
    shares: Slice[u8]  # folders of the host and where they go (boot/shares.py), each followed by a zero byte
    returns: Slice[u8]  # paths of what goes back to the runner, each followed by a zero byte
    user: u32
    group: u32
    groups: Slice[u8]  # u32 numbers of those that the user is in besides
    wall_time: u64  # ns since 1970 when the machine started; 0: ask the machine's clock
    memory_limit: u64  # bytes; 0: all there is
    stack_limit: u64  # bytes; 0: the default
    files_limit: u64  # bytes that files in memory may take; 0: half of RAM
    open_files: u64  # 0: the default
    seed: Array[u8, 32]
    seeded: bool
    window: Array[u16, 4]  # of the runner's terminal
    unknown: u32  # words of the command line that mean nothing
    extra: Array[u8, EXTRA]
    used: u64  # bytes of `extra`


settings = static(Settings)  # written at boot by the first processor, constant afterwards


@metal
def take_information(information: BootInformation) -> None:
    """Take over what a checked boot information says; what it does not say stays."""
    settings.flags |= information.flags
    if information.processors != 0:
        settings.processors = information.processors
    if information.arguments.offset != 0:
        settings.arguments = information.bytes_of(information.arguments)
    if information.environment.offset != 0:
        settings.environment = information.bytes_of(information.environment)
    if information.program.offset != 0:
        settings.program = information.bytes_of(information.program)
    if information.hostname.offset != 0:
        settings.hostname = information.bytes_of(information.hostname)
    if information.directory.offset != 0:
        settings.directory = information.bytes_of(information.directory)
    if information.tree.offset != 0:
        settings.tree = information.bytes_of(information.tree)
    if information.shares.offset != 0:
        settings.shares = information.bytes_of(information.shares)
    if information.networks.offset != 0:
        settings.networks = information.bytes_of(information.networks)
    if information.returns.offset != 0:
        settings.returns = information.bytes_of(information.returns)
    if information.flags & FLAG_USER != 0:
        settings.user = information.user
        settings.group = information.group
        settings.groups = information.bytes_of(information.groups)
    if information.wall_time != 0:
        settings.wall_time = information.wall_time
    if information.memory_limit != 0:
        settings.memory_limit = information.memory_limit
    if information.stack_limit != 0:
        settings.stack_limit = information.stack_limit
    if information.files_limit != 0:
        settings.files_limit = information.files_limit
    if information.open_files != 0:
        settings.open_files = information.open_files
    if information.window[0] != 0:
        settings.window[:] = information.window[:]
    if information.has_seed():
        settings.seeded = True
        settings.seed[:] = information.seed[:]


@metal
def keep(data: Slice[u8]) -> bool:
    """Append bytes to the extra area. False if they do not fit."""
    end = settings.used + len(data)
    if end > EXTRA:
        return False
    settings.extra[settings.used : end] = data
    settings.used = end
    return True


@metal
def number(text: Slice[u8]) -> tuple[u64, bool]:
    """A decimal number, with K, M or G for 2^10, 2^20, 2^30; whether it is one."""
    value: u64 = 0
    if len(text) == 0 or len(text) > 12:
        return 0, False
    for index, byte in enumerate(text):
        if index == len(text) - 1 and index > 0:
            if byte == ord("K"):
                return value << 10, True
            if byte == ord("M"):
                return value << 20, True
            if byte == ord("G"):
                return value << 30, True
        if byte < ord("0") or byte > ord("9"):
            return 0, False
        value = value * 10 + u64(byte - ord("0"))
    return value, True


@metal
def starts_with(text: Slice[u8], start: Slice[u8]) -> bool:
    """Whether `text` begins with `start`."""
    return len(text) >= len(start) and text[0 : len(start)] == start


@metal
def take_word(word: Slice[u8]) -> bool:
    """One word of the command line; whether it means something."""
    if word == b"trace":
        settings.flags |= FLAG_TRACE
        return True
    if word == b"verbose":
        settings.flags |= FLAG_VERBOSE
        return True
    if word == b"console=virtio":
        settings.flags |= FLAG_VIRTIO_CONSOLE
        return True
    if starts_with(word, b"hostname="):
        settings.hostname = word[9:]
        return True
    if starts_with(word, b"program="):
        settings.program = word[8:]
        return True
    if starts_with(word, b"directory="):
        settings.directory = word[10:]
        return True
    if starts_with(word, b"env."):
        return add_variable(word[4:])
    if starts_with(word, b"share="):
        settings.shares, good = with_text(settings.shares, word[6:])
        return good
    if starts_with(word, b"net="):
        settings.networks, good = with_text(settings.networks, word[4:])
        return good
    if starts_with(word, b"processors="):
        value, good = number(word[11:])
        if good and value <= 0xFFFF_FFFF:
            settings.processors = u32(value)
            return True
        return False
    return take_size(word)


@metal
def take_size(word: Slice[u8]) -> bool:
    """The words whose value is a size or a count."""
    if starts_with(word, b"memory="):
        value, good = number(word[7:])
        if good:
            settings.memory_limit = value
        return good
    if starts_with(word, b"stack="):
        value, good = number(word[6:])
        if good:
            settings.stack_limit = value
        return good
    if starts_with(word, b"filespace="):
        value, good = number(word[10:])
        if good:
            settings.files_limit = value
        return good
    if starts_with(word, b"files="):
        value, good = number(word[6:])
        if good:
            settings.open_files = value
        return good
    return False


@metal
def add_variable(assignment: Slice[u8]) -> bool:
    """Put KEY=VALUE into the environment, in the place of another value of that key."""
    equals: u64 = 0
    while equals < len(assignment) and assignment[equals] != ord("="):
        equals += 1
    if equals == 0 or equals == len(assignment):
        return False
    old = settings.environment
    start = settings.used
    position: u64 = 0
    while position < len(old):
        end = position
        while old[end] != 0:
            end += 1
        entry = old[position : end + 1]
        if not starts_with(entry, assignment[0 : equals + 1]) and not keep(entry):
            settings.used = start
            return False
        position = end + 1
    if not keep(assignment) or not keep(b"\0"):
        settings.used = start
        return False
    settings.environment = settings.extra[start : settings.used]
    return True


@metal
def with_text(old: Slice[u8], text: Slice[u8]) -> tuple[Slice[u8], bool]:
    """One more text behind those there are, each followed by a zero byte; whether it fits."""
    start = settings.used
    if not keep(old) or not keep(text) or not keep(b"\0"):
        settings.used = start
        return old, False
    return settings.extra[start : settings.used], True


@metal
def first_argument() -> Slice[u8]:
    """argv[0] with its zero byte; the program's path has none."""
    end: u64 = 0
    while end < len(settings.arguments):
        if settings.arguments[end] == 0:
            return settings.arguments[0 : end + 1]
        end += 1
    return b"\0"


@metal
def take_command_line(line: Slice[u8]) -> None:
    """Take over what the kernel's command line says. The line must live as long as the machine."""
    position: u64 = 0
    while position < len(line):
        if line[position] == ord(" "):
            position += 1
            continue
        end = position
        while end < len(line) and line[end] != ord(" "):
            end += 1
        word = line[position:end]
        if word == b"--":
            take_arguments(line[end:])
            return
        if not take_word(word):
            settings.unknown += 1
        position = end


@metal
def take_arguments(line: Slice[u8]) -> None:
    """The words after `--` become the arguments after argv[0], as many as fit."""
    start = settings.used
    if not keep(first_argument()):
        return
    position: u64 = 0
    while position < len(line):
        end = position
        while end < len(line) and line[end] != ord(" "):
            end += 1
        if end > position and (not keep(line[position:end]) or not keep(b"\0")):
            break
        position = end + 1
    settings.arguments = settings.extra[start : settings.used]
