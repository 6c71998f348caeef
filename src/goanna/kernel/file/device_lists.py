"""Lists of devices in /proc: consoles, misc, partitions, diskstats (proc(5)). Programs see no block devices, and so no
partitions: the drives that a machine has are read by the kernel alone.
"""

from goanna.kernel.base.text import Text
from goanna.kernel.file.declare import Generated
from goanna.kernel.file.device_files import FILES as DEVICES
from goanna.kernel.file.subject import Subject
from goanna.metal import i64, metal

__all__ = ["FILES"]

MISCELLANEOUS = 10  # the major number of devices that have a driver each
_MISC = "".join(
    f"{each.device[1]:3} {each.path.rpartition('/')[2]}\n" for each in DEVICES if each.device[0] == MISCELLANEOUS
).encode()


@metal
def write_nothing(text: Text, subject: Subject) -> i64:
    """A list of nothing."""
    return 0


FILES = [
    # The console can be written to and is where /dev/console leads: hvc0, device 229:0.
    Generated("/proc/consoles", 0o444, text=b"hvc0                 -W- (EC  p  )  229:0\n"),
    Generated("/proc/misc", 0o444, text=_MISC or write_nothing),
    Generated("/proc/partitions", 0o444, text=b"major minor  #blocks  name\n\n"),
    Generated("/proc/diskstats", 0o444, text=write_nothing),
]
