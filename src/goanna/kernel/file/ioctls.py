"""ioctl: the commands every descriptor has; the rest goes to the file (Linux do_vfs_ioctl)."""

from goanna.kernel.arch import PAGE_SIZE
from goanna.kernel.base.errno import EBADF, ENOTTY
from goanna.kernel.file import flags
from goanna.kernel.file.descriptors import files, get_open_file
from goanna.kernel.memory import user
from goanna.metal import i32, i64, metal, u32, u64


@metal
def sys_ioctl(descriptor: i32, command: u32, argument: u64) -> i64:
    """ioctl(2)."""
    description = get_open_file(descriptor)
    if description is None:
        return -EBADF
    result: i64 = 0
    match command:
        case flags.FIOCLEX:
            files().mark_close_on_exec(descriptor, True)
        case flags.FIONCLEX:
            files().mark_close_on_exec(descriptor, False)
        case flags.FIONBIO:
            wanted, result = user.get(u32, argument)
            if result == 0:
                description.change_status(flags.O_NONBLOCK, flags.O_NONBLOCK if wanted != 0 else u32(0))
        case flags.FIGETBSZ:
            result = user.put(argument, u32(PAGE_SIZE))
        case _:
            result = -ENOTTY
            if description.operations.control is not None:
                result = description.operations.control(description, command, argument)
    description.drop()
    return result

