"""How generated files are declared: a path, and what lies there. The tables are in process_files, system_files and
device_files; generated_nodes.py makes nodes of them.

A component in braces stands for every number of its kind: {pid}, {tid} of that process, {fd} of that process.
"""

from dataclasses import dataclass

from goanna.kernel.base.text import Text
from goanna.kernel.file.subject import Subject
from goanna.kernel.file.tree import Entry
from goanna.metal import Fn, MetalFunction, Ptr, Slice, i64, metal, u8
from goanna.metal.function import Constant

# Writes a file's whole text. 0 or an errno.
Generator = Fn[[Text, Subject], i64]
# Takes what was written to a file, at most 128 bytes. 0 or an errno.
Store = Fn[[Slice[u8], Subject], i64]
# Writes a link's text: its length, or an errno.
LinkText = Fn[[Subject, Slice[u8]], i64]
# Where a link leads that is no text to be walked, with a reference; None: nowhere.
Jump = Fn[[Subject], Ptr[Entry]]


@dataclass(frozen=True)
class Generated:
    """One generated file. `mode` holds permissions; the type follows from what is given."""

    path: str
    mode: int
    text: MetalFunction | bytes | None = None  # a Generator, or a text that never changes
    store: MetalFunction | None = None  # a Store, of a file with a generator that can be written
    link: MetalFunction | None = None  # a LinkText
    jump: MetalFunction | None = None  # a Jump
    operations: Constant | None = None  # of a device, or of a file that is no text
    device: tuple[int, int] = (0, 0)  # a device's numbers


def link_to(target: bytes) -> MetalFunction:
    """The text of a link that never changes."""
    @metal
    def write(subject: Subject, buffer: Slice[u8]) -> i64:
        buffer[0 : len(target)] = target
        return len(target)

    return write
