"""The first line of a script: which program runs it, with which argument (execve(2), Linux fs/binfmt_script.c)."""

from goanna.kernel.base.errno import ENOEXEC
from goanna.kernel.memory.source import PageSource, read_source
from goanna.metal import Array, Slice, i64, metal, struct, u8, u64

__all__ = ["LONGEST_LINE", "ScriptLine", "read_line"]

LONGEST_LINE = 256  # bytes that are looked at, BINPRM_BUF_SIZE
NEWLINE, SPACE, TAB = 0x0A, 0x20, 0x09


@struct
class ScriptLine:
    """What a script begins with. `text` holds the file's first bytes."""

    text: Array[u8, LONGEST_LINE]
    name: u64  # where the interpreter's path begins, 0: this is no script
    name_end: u64
    argument: u64  # where its one argument begins
    argument_end: u64  # the same as `argument`: there is none

    def interpreter(self) -> Slice[u8]:
        """The path of the interpreter."""
        return self.text[self.name : self.name_end]

    def option(self) -> Slice[u8]:
        """The argument, maybe empty."""
        return self.text[self.argument : self.argument_end]

    def skip(self, start: u64, end: u64) -> u64:
        """The first place from `start` on that is neither blank nor tab."""
        at = start
        while at < end and self.text[at] in (SPACE, TAB):
            at += 1
        return at


@metal
def read_line(line: ScriptLine, source: PageSource, size: u64) -> i64:
    """Read the first line of a file of `size` bytes. 0; -ENOEXEC: it names no program; -EIO, -ENOMEM."""
    line.name = 0
    count = min(size, u64(LONGEST_LINE))
    error = read_source(source, 0, line.text[0:count])
    if error < 0:
        return error
    if count < 2 or line.text[0] != 0x23 or line.text[1] != 0x21:
        return 0
    end: u64 = 2
    while end < count and line.text[end] != NEWLINE and line.text[end] != 0:
        end += 1
    whole = end < count or size < LONGEST_LINE
    while end > 2 and line.text[end - 1] in (SPACE, TAB):
        end -= 1
    start = line.skip(2, end)
    at = start
    while at < end and line.text[at] not in (SPACE, TAB):
        at += 1
    # A path that is cut off at the last byte that is looked at may be another program's.
    if start == end or (at == end and not whole):
        return -ENOEXEC
    line.name = start
    line.name_end = at
    line.argument = line.skip(at, end)
    line.argument_end = end
    return 0
