"""What the kernel says: lines, only when asked to (-v) or when it must. Where they go is set by device/control.py.

    line = Line()
    text = line.start()
    text.put(b"memory: ")
    text.number(count)
    say(line.bytes())
"""

from goanna.kernel.base.text import Text
from goanna.metal import Array, Fn, Slice, hook, metal, static, struct, u8, u64

__all__ = ["LONGEST_LINE", "Line", "say", "verbose", "warn", "write_line"]

LONGEST_LINE = 200  # bytes; longer ones are cut

write_line = hook(Fn[[Slice[u8]], None])  # a line without its newline, in any context
verbose = static(bool)  # the person asked to hear more; set once at boot


@metal
def say(line: Slice[u8]) -> None:
    """Tell what is going on, if asked to."""
    if verbose:
        write_line(line)


@metal
def warn(line: Slice[u8]) -> None:
    """Tell what a person must know, asked or not."""
    write_line(line)


@struct
class Line:
    """A line under way; `start` before anything else."""

    text: Text
    buffer: Array[u8, LONGEST_LINE]

    def start(self) -> Text:
        """Begin the line; what comes back is written to."""
        self.text.window = self.buffer[:]
        self.text.start = 0
        self.text.position = 0
        return self.text

    def bytes(self) -> Slice[u8]:
        """What has been written, cut to what fits."""
        return self.buffer[0 : min(self.text.position, u64(LONGEST_LINE))]
