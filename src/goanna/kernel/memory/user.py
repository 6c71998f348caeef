"""Copies between the kernel and the running program's memory: the only way in which the kernel touches it.

Each may fault, sleep and take the address space's lock, so none is called with a lock held. A copy that meets memory
which isn't there, or isn't the program's, gives -EFAULT; what it had copied before stays copied, as on Linux.
"""

from goanna.kernel.arch import (
    PAGE_SIZE,
    USER_TOP,
    WRITE,
    user_compare_exchange32,
    user_copy_in,
    user_copy_out,
    user_load32,
    user_zero,
)
from goanna.kernel.base.errno import EFAULT, ENAMETOOLONG
from goanna.metal import (
    Array,
    Slice,
    TypeVar,
    count_trailing_zeros,
    i64,
    metal,
    per_processor,
    sizeof,
    u8,
    u32,
    u64,
    unsafe,
    wrapping,
)

__all__ = [
    "accessible",
    "compare_exchange32_quietly",
    "copy_in",
    "copy_in_some",
    "copy_in_string",
    "copy_out",
    "copy_out_some",
    "get",
    "get_struct",
    "load32_quietly",
    "put",
    "put_struct",
    "quiet",
    "touch",
    "zero",
]

T = TypeVar("T")


@metal(inline=True)
def accessible(address: u64, size: u64) -> bool:
    """Whether [address, address + size) is where programs have memory at all (Linux access_ok)."""
    return size <= USER_TOP and address <= USER_TOP - size


@metal
def copy_in(destination: Slice[u8], source: u64) -> i64:
    """Fill `destination` from the program's memory at `source`. 0 or -EFAULT."""
    if not accessible(source, len(destination)):
        return -EFAULT
    return 0 if user_copy_in(unsafe.address(destination), source, len(destination)) == 0 else -EFAULT


@metal
def copy_out(destination: u64, source: Slice[u8]) -> i64:
    """Write `source` to the program's memory at `destination`. 0 or -EFAULT."""
    if not accessible(destination, len(source)):
        return -EFAULT
    return 0 if user_copy_out(destination, unsafe.address(source), len(source)) == 0 else -EFAULT


@metal
def copy_in_some(destination: Slice[u8], source: u64) -> u64:
    """Like copy_in, but gives the number of bytes copied: what a read or write has done when it meets a hole."""
    if not accessible(source, len(destination)):
        return 0
    return len(destination) - user_copy_in(unsafe.address(destination), source, len(destination))


@metal
def copy_out_some(destination: u64, source: Slice[u8]) -> u64:
    """Like copy_out, but gives the number of bytes copied."""
    if not accessible(destination, len(source)):
        return 0
    return len(source) - user_copy_out(destination, unsafe.address(source), len(source))


@metal
def zero(address: u64, size: u64) -> i64:
    """Fill the program's memory with zeros. 0 or -EFAULT."""
    if not accessible(address, size):
        return -EFAULT
    return 0 if user_zero(address, size) == 0 else -EFAULT


@metal
def get(kind: type[T], address: u64) -> tuple[T, i64]:
    """Read one number of the given type. The number, and 0 or -EFAULT: `value, result = get(u32, address)`."""
    cell = Array[T, 1]()
    result = copy_in(unsafe.slice(u8, unsafe.address(cell), sizeof(T)), address)
    return cell[0], result


@metal
def put(address: u64, value: T) -> i64:
    """Write one number. 0 or -EFAULT."""
    cell = Array[T, 1]()
    cell[0] = value
    return copy_out(address, unsafe.slice(u8, unsafe.address(cell), sizeof(T)))


@metal
def get_struct(destination: T, address: u64) -> i64:
    """Fill a structure. 0 or -EFAULT."""
    return copy_in(unsafe.slice(u8, unsafe.address(destination), sizeof(T)), address)


@metal
def put_struct(address: u64, source: T) -> i64:
    """Write a structure. 0 or -EFAULT."""
    return copy_out(address, unsafe.slice(u8, unsafe.address(source), sizeof(T)))


@metal
def copy_in_string(destination: Slice[u8], address: u64) -> i64:
    """Copy a text that ends in a zero byte, the zero byte too. Its length without it, -EFAULT or -ENAMETOOLONG.

    Nothing is read past the page that holds the zero byte.
    """
    done: u64 = 0
    step: u64 = FIRST_STEP
    while done < len(destination):
        here = wrapping(address + done)
        count = min(len(destination) - done, PAGE_SIZE - here % PAGE_SIZE, step)
        part = destination[done : done + count]
        if copy_in(part, here) != 0:
            return -EFAULT
        end = zero_byte(part)
        if end < count:
            return i64(done + end)
        done += count
        step = PAGE_SIZE
    return -ENAMETOOLONG


FIRST_STEP = 64  # bytes of a text that are copied first: most are shorter
EACH_BYTE = 0x0101010101010101


@metal
def zero_byte(data: Slice[u8]) -> u64:
    """Where the first zero byte is, looked for by words; len(data) if there is none."""
    index: u64 = 0
    start = unsafe.address(data)
    while index + 8 <= len(data):
        word = unsafe.load(u64, start + index)
        zeros = wrapping(word - EACH_BYTE) & ~word & (EACH_BYTE << 7)
        if zeros != 0:
            return index + count_trailing_zeros(zeros) // 8
        index += 8
    while index < len(data) and data[index] != 0:
        index += 1
    return index


quiet = per_processor(bool)  # a fault of the kernel's in user memory is not to be mended: a spin lock is held


@metal
def load32_quietly(address: u64) -> tuple[bool, u32]:
    """Whether it faulted, and an aligned word of the program's. Page faults are not served, so a spin lock may be
    held."""
    global quiet
    quiet = True
    fault, value = user_load32(address)
    quiet = False
    return fault, value


@metal
def compare_exchange32_quietly(address: u64, expected: u32, new: u32) -> tuple[bool, u32]:
    """Whether it faulted, and the aligned word that was there: `new` is stored if it was `expected`. As above."""
    global quiet
    quiet = True
    fault, old = user_compare_exchange32(address, expected, new)
    quiet = False
    return fault, old


@metal
def touch(address: u64, access: u32) -> bool:
    """Have the page at an address mapped for READ or WRITE, as an access by the program would; whether that can be."""
    if not accessible(address, 4):
        return False
    if access == WRITE:
        while True:
            fault, value = user_load32(address)
            if fault:
                return False
            fault, old = user_compare_exchange32(address, value, value)
            if fault or old == value:
                return not fault
    fault, _ = user_load32(address)
    return not fault
