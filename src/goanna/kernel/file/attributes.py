"""What is known about a file besides its bytes, and the two forms in which programs ask for it: stat and statx."""

from goanna.kernel.arch import PAGE_SIZE, Stat
from goanna.metal import Array, i64, metal, sizeof, struct, u8, u16, u32, u64

STATX_BASIC_STATS = 0x7FF
STATX_BTIME = 0x800
STATX_MNT_ID = 0x1000
STATX_ATTR_MOUNT_ROOT = 0x2000


@struct
class Attributes:
    """struct kstat. Times are nanoseconds since 1970."""

    device: u64  # of the file system: device_number(major, minor)
    inode: u64
    mode: u32  # type and permissions
    links: u32
    user: u32
    group: u32
    special_device: u64  # what a device file stands for
    size: u64  # bytes
    block_size: u32  # bytes that are good to move at once
    mount: u64  # statx's stx_mnt_id
    mount_top: bool  # it is the top of that mount
    access_time: i64
    modify_time: i64
    change_time: i64
    birth_time: i64
    has_birth_time: bool
    has_blocks: bool
    blocks: u64  # units of 512 bytes that it takes up, if has_blocks; else what its size needs


CHANGE_MODE = 1
CHANGE_USER = 2
CHANGE_GROUP = 4
CHANGE_SIZE = 8
CHANGE_ACCESS_TIME = 16
CHANGE_MODIFY_TIME = 32


@struct
class Change:
    """What is to become of a file's attributes (struct iattr). Whether it may has been found out."""

    what: u32  # CHANGE_ bits
    mode: u32  # permissions
    user: u32
    group: u32
    size: u64
    access_time: i64  # nanoseconds since 1970
    modify_time: i64

    def wants(self, bit: u32) -> bool:
        """Whether one attribute is to be changed."""
        return (self.what & bit) != 0


@struct
class Space:
    """How much a tree holds and has room for, for statfs."""

    total: u64  # bytes
    free: u64
    files: u64
    files_free: u64


NANOSECONDS = 1_000_000_000


@metal
def device_number(major: u32, minor: u32) -> u64:
    """A dev_t as programs see it (new_encode_dev)."""
    return u64((minor & 0xFF) | (major << 8) | ((minor & 0xFFF00) << 12))


@metal
def device_major(device: u64) -> u32:
    """The major number of a device number."""
    return u32((device >> 8) & 0xFFF)


@metal
def device_minor(device: u64) -> u32:
    """The minor number of a device number."""
    return u32((device & 0xFF) | ((device >> 12) & 0xFFF00))


@metal
def fill_stat(stat: Stat, attributes: Attributes) -> None:
    """Write struct stat, which is zero."""
    stat.st_dev = attributes.device
    stat.st_ino = attributes.inode
    stat.st_mode = attributes.mode
    stat.st_nlink = u64(attributes.links)
    stat.st_uid = attributes.user
    stat.st_gid = attributes.group
    stat.st_rdev = attributes.special_device
    stat.st_size = i64(attributes.size)
    stat.st_blksize = i64(block_size(attributes))
    stat.st_blocks = i64(blocks(attributes))
    stat.st_atime = attributes.access_time // NANOSECONDS
    stat.st_atime_nsec = u64(attributes.access_time % NANOSECONDS)
    stat.st_mtime = attributes.modify_time // NANOSECONDS
    stat.st_mtime_nsec = u64(attributes.modify_time % NANOSECONDS)
    stat.st_ctime = attributes.change_time // NANOSECONDS
    stat.st_ctime_nsec = u64(attributes.change_time % NANOSECONDS)


@metal
def blocks(attributes: Attributes) -> u64:
    """How many units of 512 bytes it takes up: whole pages of its content."""
    if attributes.has_blocks:
        return attributes.blocks
    return (attributes.size + PAGE_SIZE - 1) // PAGE_SIZE * (PAGE_SIZE // 512) if attributes.special_device == 0 else 0


@metal
def block_size(attributes: Attributes) -> u32:
    """st_blksize: a page where nothing else was said."""
    return PAGE_SIZE if attributes.block_size == 0 else attributes.block_size


@struct
class StatxTimestamp:
    """struct statx_timestamp."""

    seconds: i64
    nanoseconds: u32
    reserved: u32

    def set(self, time: i64) -> None:
        """From nanoseconds since 1970."""
        self.seconds = time // NANOSECONDS
        self.nanoseconds = u32(time % NANOSECONDS)


@struct
class Statx:
    """struct statx (include/uapi/linux/stat.h)."""

    stx_mask: u32
    stx_blksize: u32
    stx_attributes: u64
    stx_nlink: u32
    stx_uid: u32
    stx_gid: u32
    stx_mode: u16
    padding: u16
    stx_ino: u64
    stx_size: u64
    stx_blocks: u64
    stx_attributes_mask: u64
    stx_atime: StatxTimestamp
    stx_btime: StatxTimestamp
    stx_ctime: StatxTimestamp
    stx_mtime: StatxTimestamp
    stx_rdev_major: u32
    stx_rdev_minor: u32
    stx_dev_major: u32
    stx_dev_minor: u32
    stx_mnt_id: u64
    reserved: Array[u8, 104]


assert sizeof(Statx) == 256


@metal
def fill_statx(statx: Statx, attributes: Attributes) -> None:
    """Write struct statx, which is zero."""
    statx.stx_mask = STATX_BASIC_STATS | STATX_MNT_ID
    statx.stx_blksize = block_size(attributes)
    statx.stx_nlink = attributes.links
    statx.stx_uid = attributes.user
    statx.stx_gid = attributes.group
    statx.stx_mode = u16(attributes.mode)
    statx.stx_ino = attributes.inode
    statx.stx_size = attributes.size
    statx.stx_blocks = blocks(attributes)
    statx.stx_atime.set(attributes.access_time)
    statx.stx_mtime.set(attributes.modify_time)
    statx.stx_ctime.set(attributes.change_time)
    if attributes.has_birth_time:
        statx.stx_mask = STATX_BASIC_STATS | STATX_MNT_ID | STATX_BTIME
        statx.stx_btime.set(attributes.birth_time)
    statx.stx_rdev_major = device_major(attributes.special_device)
    statx.stx_rdev_minor = device_minor(attributes.special_device)
    statx.stx_dev_major = device_major(attributes.device)
    statx.stx_dev_minor = device_minor(attributes.device)
    statx.stx_mnt_id = attributes.mount
    statx.stx_attributes_mask = STATX_ATTR_MOUNT_ROOT
    if attributes.mount_top:
        statx.stx_attributes = STATX_ATTR_MOUNT_ROOT
