"""A number of the kernel that a program may change while it runs, by a file of /proc/sys (sysctl(8))."""

from goanna.kernel.base.errno import EINVAL
from goanna.metal import Slice, i64, metal, struct, u8, u64

__all__ = ["Setting", "parse_setting"]


@struct
class Setting:
    """Whoever needs the number reads `value`, which is written as a whole."""

    value: u64
    least: u64
    most: u64

    def set(self, said: Slice[u8]) -> i64:
        """Take what was written. 0, or -EINVAL: it is no number, or none of those that it may be."""
        if len(said) == 0:
            return 0
        value, good = parse_setting(said)
        if not good or value < self.least or value > self.most:
            return -EINVAL
        self.value = value
        return 0


@metal
def parse_setting(said: Slice[u8]) -> tuple[u64, bool]:
    """A decimal number, with blanks around it; whether it is one (proc_dointvec)."""
    value: u64 = 0
    digits: u64 = 0
    ended = False
    for byte in said:
        blank = byte in (0x20, 0x09, 0x0A, 0)
        if blank:
            ended = digits != 0
        elif ended or byte < 0x30 or byte > 0x39 or digits == 19:
            return 0, False
        else:
            value = value * 10 + u64(byte - 0x30)
            digits += 1
    return value, digits != 0
