"""What a machine is told at its start: the image's header, which the image writer fills in, and the boot information.

Boot information comes twice in the same form: from the image (always), and from the runner (QEMU's fw_cfg file
`opt/goanna/boot`, if there is one). A text with offset 0, a number 0 and a seed of zeros mean "not said": the other one
counts. No seed is ever in an image. All numbers are little-endian; texts are bytes without a final zero.
"""

from collections.abc import Iterable, Mapping

from goanna.metal import Array, Slice, sizeof, struct, u8, u16, u32, u64, unsafe

__all__ = [
    "BOOT_MAGIC",
    "BOOT_VERSION",
    "CHECKSUM_BLOCK",
    "CONSOLE_PORT",
    "CONTROL_PORT",
    "ERROR_PORT",
    "FIRMWARE_MEMORY",
    "FLAG_CONTROL",
    "FLAG_DEBUG_EXIT",
    "FLAG_PORTS",
    "FLAG_RESOLVER",
    "FLAG_SETTLED",
    "FLAG_SOCKETS",
    "FLAG_TERMINAL_ERROR",
    "FLAG_TERMINAL_INPUT",
    "FLAG_TERMINAL_OUTPUT",
    "FLAG_TERMINAL_PLAIN",
    "FLAG_TOGETHER",
    "FLAG_TRACE",
    "FLAG_USER",
    "FLAG_VERBOSE",
    "FLAG_VIRTIO_CONSOLE",
    "IMAGE_MAGIC",
    "IMAGE_VERSION",
    "WORKING_MEMORY",
    "BootInformation",
    "ImageHeader",
    "Region",
    "Text",
    "boot_information",
]

IMAGE_MAGIC = int.from_bytes(b"GoannaIm", "little")
IMAGE_VERSION = 2
BOOT_MAGIC = int.from_bytes(b"GoannaBt", "little")
BOOT_VERSION = 5
HEADER_SIZE = 144  # bytes of ImageHeader
FIXED_SIZE = 192  # bytes of BootInformation before the string area
CHECKSUM_BLOCK = 4096  # bytes of the bundle under one entry of the checksum table: a page, checked when it is mapped

# The names of the three ports of a virtio console between runner and kernel: standard input and output; records of
# standard error; the control channel.
CONSOLE_PORT, ERROR_PORT, CONTROL_PORT = b"goanna.console", b"goanna.error", b"goanna.control"
TREE_DISK = b"goanna-tree"  # the serial number of the disk with the tree that stands beside the image, if it has one

# Bytes of a machine's memory beyond the end of the image: what the kernel and the smallest program take while they run
# (page tables, stacks, the heap), and how much of that firmware may keep for itself at the end of memory.
WORKING_MEMORY = 1 << 20
FIRMWARE_MEMORY = 1 << 18

FLAG_TRACE = 1  # print each system call
FLAG_VERBOSE = 2  # the kernel says what it does
FLAG_CONTROL = 4  # the control channel's port is there
FLAG_DEBUG_EXIT = 8  # isa-debug-exit is there
FLAG_USER = 16  # `user` and `group` are said
FLAG_PORTS = 32  # the named ports of a virtio console are there
FLAG_VIRTIO_CONSOLE = 64  # a virtio console is used where there is one, by whatever name
FLAG_TOGETHER = 128  # standard output and error are one file on the other side: bytes of one never overtake the other's
FLAG_SETTLED = 256  # a program's parts lie at the same addresses in each run: a debugger is told of them before
FLAG_TERMINAL_INPUT = 512  # standard input is a terminal on the other side
FLAG_TERMINAL_OUTPUT = 1024  # standard output is
FLAG_TERMINAL_ERROR = 2048  # standard error is
FLAG_TERMINAL_PLAIN = 4096  # that terminal does itself what a terminal does to output
FLAG_SOCKETS = 8192  # an image's kernel has sockets of the Internet's families (for the runner)
FLAG_RESOLVER = 16384  # an image's program looks up hosts: the runner connects it unless told otherwise


@struct
class Region:
    """A stretch of physical memory in the loaded image. Size 0: there is none."""

    address: u64  # physical, bytes
    size: u64  # bytes


@struct
class ImageHeader:
    """Where the parts of the image lie. The kernel exports it as `image_header`; the image writer patches it."""

    magic: u64 = IMAGE_MAGIC
    version: u32 = IMAGE_VERSION
    size: u32 = HEADER_SIZE
    boot: Region  # BootInformation
    bundle: Region  # the EROFS tree, on a page boundary
    checksums: Region  # u64 xxh64 (seed 0) of each CHECKSUM_BLOCK bytes of the bundle, the last one cut short
    roots: Region  # the same of the checksum table, so that what is read at the start doesn't grow with the image
    panic_table: Region
    image_end: u64  # physical address after the last byte
    boot_checksum: u64  # xxh64 of the boot information
    roots_checksum: u64  # xxh64 of `roots`
    panic_checksum: u64  # xxh64 of the panic table
    bundle_blocks: u64  # entries of the checksum table
    reserved: u64

    def valid(self) -> bool:
        """Whether an image writer of this version has filled the header in."""
        known = self.magic == IMAGE_MAGIC and self.version == IMAGE_VERSION and self.size == HEADER_SIZE
        return known and self.image_end != 0


@struct
class Text:
    """A piece of the string area. Offset 0: not said, which an empty text is not."""

    offset: u32  # bytes from the start of the boot information
    length: u32  # bytes


TEXTS = 10
STRINGS = 1 << 0 | 1 << 1 | 1 << 6 | 1 << 7 | 1 << 9  # arguments, environment, shares, returns, networks


@struct
class BootInformation:
    """The fixed part; the string area follows at once. `check` before anything else is read."""

    magic: u64 = BOOT_MAGIC
    version: u32 = BOOT_VERSION
    size: u32  # bytes, the string area counted in
    flags: u32  # FLAG_*
    processors: u32  # at most so many; 0: all there are
    # TEXTS pieces, of which those in STRINGS (a bit each) are several, each followed by a zero byte.
    arguments: Text  # each followed by a zero byte; the first is argv[0]
    environment: Text  # KEY=VALUE, each followed by a zero byte
    program: Text  # path of the program in the bundle
    hostname: Text
    directory: Text  # path of the working directory; / if nobody says
    tree: Text  # path at which the tree stands that is beside the image: on the disk TREE_DISK, or loaded to memory
    shares: Text  # folders of the host: TAG:PATH:ro or TAG:PATH:rw, each followed by a zero byte
    returns: Text  # paths of files and folders that go back to the runner at the end, each followed by a zero byte
    groups: Text  # u32 numbers of groups that the user is in besides
    networks: Text  # what is said of each interface (net/config/setting.py), each followed by a zero byte
    wall_time: u64  # ns since 1970 when the machine started
    memory_limit: u64  # bytes for the program; 0: all there is
    stack_limit: u64  # bytes, RLIMIT_STACK; 0: 8 MiB
    open_files: u64  # RLIMIT_NOFILE; 0: the default
    files_limit: u64  # bytes that files in memory may take; 0: the default
    seed: Array[u8, 32]  # from the runner's random source
    user: u32  # whom the program runs as, with FLAG_USER
    group: u32
    window: Array[u16, 4]  # of the terminal: rows, columns, pixels across and down

    def check(self, available: u64) -> bool:
        """Whether magic, version, size (at most `available` bytes) and all texts are sound. To be called first."""
        if available < FIXED_SIZE or self.magic != BOOT_MAGIC or self.version != BOOT_VERSION:
            return False
        if self.size < FIXED_SIZE or u64(self.size) > available:
            return False
        for index in range(u64(0), u64(TEXTS)):
            text = unsafe.at(Text, unsafe.address(self.arguments) + index * sizeof(Text))
            if not self.sound(text, STRINGS >> index & 1 != 0):
                return False
        return self.groups.length % 4 == 0

    def sound(self, text: Text, terminated: bool) -> bool:
        """Whether a text lies inside, and ends in a zero byte where it is made of strings."""
        if text.offset == 0:
            return text.length == 0
        if text.offset < FIXED_SIZE or u64(text.offset) + u64(text.length) > u64(self.size):
            return False
        if not terminated or text.length == 0:
            return True
        return self.bytes_of(text)[u64(text.length) - 1] == 0

    def bytes_of(self, text: Text) -> Slice[u8]:
        """The bytes of a text of this boot information; empty if it was not said."""
        return unsafe.slice(u8, unsafe.address(self) + u64(text.offset), u64(text.length))

    def has_seed(self) -> bool:
        """Whether the runner gave a seed."""
        said: u8 = 0
        for byte in self.seed:
            said |= byte
        return said != 0


assert sizeof(ImageHeader) == HEADER_SIZE and sizeof(BootInformation) == FIXED_SIZE


def boot_information(
    *,
    arguments: Iterable[bytes] | None = None,
    environment: Mapping[bytes, bytes] | None = None,
    program: bytes | None = None,
    hostname: bytes | None = None,
    directory: bytes | None = None,
    tree: bytes | None = None,
    shares: Iterable[bytes] | None = None,
    returns: Iterable[bytes] | None = None,
    groups: Iterable[int] | None = None,
    networks: Iterable[bytes] | None = None,
    **numbers: object,
) -> bytes:
    """Boot information packed by the host: what is None is "not said". Other fields by name: flags, seed, wall_time,
    user, …

    Raises ValueError for a zero byte in a text, and OverflowError for a number that does not fit.
    """
    area = bytearray()
    start = FIXED_SIZE

    def text(data: bytes | None) -> dict[str, int]:
        if data is None:
            return {"offset": 0, "length": 0}
        area.extend(data)
        return {"offset": start + len(area) - len(data), "length": len(data)}

    def strings(items: Iterable[bytes] | None) -> bytes | None:
        return None if items is None else b"".join(plain(each) + b"\0" for each in items)

    def plain(data: bytes | None) -> bytes:
        if data and b"\0" in data:
            raise ValueError(f"{data!r} contains a zero byte, which no program can receive")
        return data or b""

    pairs = None if environment is None else [key + b"=" + value for key, value in environment.items()]
    texts = {
        "arguments": text(strings(arguments)),
        "environment": text(strings(pairs)),
        "program": text(None if program is None else plain(program)),
        "hostname": text(None if hostname is None else plain(hostname)),
        "directory": text(None if directory is None else plain(directory)),
        "tree": text(None if tree is None else plain(tree)),
        "shares": text(strings(shares)),
        "returns": text(strings(returns)),
        "networks": text(strings(networks)),
        "groups": text(None if groups is None else b"".join(each.to_bytes(4, "little") for each in groups)),
    }
    return BootInformation.pack(size=start + len(area), **texts, **numbers) + bytes(area)
