"""/proc/PID: what a process is, has mapped, has open (proc(5), Linux fs/proc)."""

from goanna.kernel.arch import EXECUTE, READ, WRITE
from goanna.kernel.base.errno import ENOENT
from goanna.kernel.base.text import Text
from goanna.kernel.file.declare import Generated
from goanna.kernel.file.descriptor_tree import descriptor_name, jump_to_descriptor, path_text
from goanna.kernel.file.executable import get_executable
from goanna.kernel.file.place import drop_place
from goanna.kernel.file.process_status import write_stat, write_statm, write_status
from goanna.kernel.file.shown import shown_path
from goanna.kernel.file.subject import Subject, hold_place, hold_space
from goanna.kernel.file.tree import Entry, root_entry
from goanna.kernel.memory.area import AREA_BRK, AREA_SHARED, AREA_STACK, AREA_VDSO, Area
from goanna.kernel.memory.remote import peek
from goanna.kernel.memory.space import AddressSpace, release
from goanna.kernel.thread.current import current
from goanna.metal import Array, Ptr, Slice, i64, metal, u8, u64, unsafe

NAME_COLUMN = 73  # of a mapping's name, from 1


@metal
def write_maps(text: Text, subject: Subject) -> i64:
    """maps: a line for each mapping."""
    space = hold_space(subject.process)
    if space is None:
        return 0
    with space.lock:
        area = space.areas.first()
        while area is not None:
            write_area(text, space, area)
            area = space.areas.after(area)
    release(space)
    return 0


@metal
def write_area(text: Text, space: AddressSpace, area: Area) -> None:
    """One line of maps. With the space's lock."""
    begun = text.position
    text.hexadecimal(area.start, 8)
    text.byte(0x2D)
    text.hexadecimal(area.end, 8)
    text.byte(0x20)
    text.put(b"r" if (area.protection & READ) != 0 else b"-")
    text.put(b"w" if (area.protection & WRITE) != 0 else b"-")
    text.put(b"x" if (area.protection & EXECUTE) != 0 else b"-")
    text.put(b"s " if (area.flags & AREA_SHARED) != 0 else b"p ")
    text.hexadecimal(area.offset if area.source is not None else u64(0), 8)
    device: u64 = 0
    if area.source is not None and area.source.entry is not None:
        device = area.source.entry.real().tree.device
    text.put(b" 00:")
    text.hexadecimal(device, 2)
    text.byte(0x20)
    text.number(area.source.number if area.source is not None else u64(0))
    text.byte(0x20)
    write_area_name(text, area, begun)
    text.byte(0x0A)


@metal
def write_area_name(text: Text, area: Area, begun: u64) -> None:
    """What is mapped, if it has a name."""
    if area.source is not None and area.source.entry is not None:
        text.pad_to(NAME_COLUMN, begun)
        write_entry_path(text, area.source.entry)
    elif (area.flags & AREA_BRK) != 0:
        text.pad_to(NAME_COLUMN, begun)
        text.put(b"[heap]")
    elif (area.flags & AREA_STACK) != 0:
        text.pad_to(NAME_COLUMN, begun)
        text.put(b"[stack]")
    elif (area.flags & AREA_VDSO) != 0:
        text.pad_to(NAME_COLUMN, begun)
        text.put(b"[vdso]" if (area.protection & EXECUTE) != 0 else b"[vvar]")


LONGEST_SHOWN = 512  # bytes of a path that fit on the stack


@metal
def write_entry_path(text: Text, entry: Entry) -> None:
    """The path of an entry from the machine's root."""
    buffer = unsafe.uninitialized(Array[u8, LONGEST_SHOWN])
    text.put(buffer[0 : shown_path(entry, root_entry, buffer[:])])


CHUNK = 256  # bytes copied from a process's memory at once


@metal
def write_memory(text: Text, subject: Subject, start: u64, end: u64) -> None:
    """The bytes of a stretch of the process's memory, as far as they can be read."""
    space = hold_space(subject.process)
    if space is None:
        return
    buffer = unsafe.uninitialized(Array[u8, CHUNK])
    at = start
    while at < end:
        count = min(end - at, CHUNK)
        if peek(space, buffer[0:count], at) != count:
            break
        text.put(buffer[0:count])
        at += count
    release(space)


@metal
def stretch(subject: Subject, environment: bool) -> tuple[u64, u64]:
    """Where the arguments or the environment of a process lie."""
    space = hold_space(subject.process)
    if space is None:
        return 0, 0
    start = space.environment_start if environment else space.argument_start
    end = space.environment_end if environment else space.argument_end
    release(space)
    return start, end


@metal
def write_arguments(text: Text, subject: Subject) -> i64:
    """cmdline: each argument with its zero byte."""
    start, end = stretch(subject, False)
    write_memory(text, subject, start, end)
    return 0


@metal
def write_environment(text: Text, subject: Subject) -> i64:
    """environ: each variable with its zero byte."""
    start, end = stretch(subject, True)
    write_memory(text, subject, start, end)
    return 0


@metal
def read_word(space: AddressSpace, address: u64) -> tuple[u64, bool]:
    """A word of a process's memory, and whether it could be read."""
    word = Array[u64, 1]()
    good = peek(space, unsafe.slice(u8, unsafe.address(word), 8), address) == 8
    return word[0], good


LONGEST_VECTOR = 1 << 20  # words looked at on a stack


@metal
def skip_pointers(space: AddressSpace, address: u64) -> u64:
    """The address after a list of words that ends in zero; 0 if there is none."""
    at = address
    for _ in range(LONGEST_VECTOR):
        word, good = read_word(space, at)
        if not good:
            return 0
        at += 8
        if word == 0:
            return at
    return 0


@metal
def write_auxiliary(text: Text, subject: Subject) -> i64:
    """auxv: the auxiliary vector, from where the start of the program put it on the stack."""
    space = hold_space(subject.process)
    if space is None:
        return 0
    at = skip_pointers(space, space.stack_start + 8)
    if at != 0:
        at = skip_pointers(space, at)
    kind: u64 = 1
    while at != 0 and kind != 0:
        kind, good = read_word(space, at)
        value, good_too = read_word(space, at + 8)
        if not good or not good_too:
            break
        pair = Array[u64, 2]()
        pair[0] = kind
        pair[1] = value
        text.put(unsafe.slice(u8, unsafe.address(pair), 16))
        at += 16
    release(space)
    return 0


LIMIT_NAMES = (
    (0, b"Max cpu time              ", b"seconds   "),
    (1, b"Max file size             ", b"bytes     "),
    (2, b"Max data size             ", b"bytes     "),
    (3, b"Max stack size            ", b"bytes     "),
    (4, b"Max core file size        ", b"bytes     "),
    (5, b"Max resident set          ", b"bytes     "),
    (6, b"Max processes             ", b"processes "),
    (7, b"Max open files            ", b"files     "),
    (8, b"Max locked memory         ", b"bytes     "),
    (9, b"Max address space         ", b"bytes     "),
    (10, b"Max file locks            ", b"locks     "),
    (11, b"Max pending signals       ", b"signals   "),
    (12, b"Max msgqueue size         ", b"bytes     "),
    (13, b"Max nice priority         ", b""),
    (14, b"Max realtime priority     ", b""),
    (15, b"Max realtime timeout      ", b"us        "),
)


@metal
def write_limit(text: Text, value: u64) -> None:
    """One limit, 20 characters wide, and a space."""
    begun = text.position
    if value == 0xFFFFFFFFFFFFFFFF:
        text.put(b"unlimited")
    else:
        text.number(value)
    text.pad_to(21, begun)


def _limit_writer(index: int, name: bytes, unit: bytes):
    @metal
    def write(text: Text, subject: Subject) -> None:
        text.put(name)
        write_limit(text, subject.process.limits[index].current)
        write_limit(text, subject.process.limits[index].maximum)
        text.put(unit + b"\n")

    return write


def _chain(writers: list):
    """One function that calls each."""
    if not writers:

        @metal
        def nothing(text: Text, subject: Subject) -> i64:
            return 0

        return nothing
    first, rest = writers[0], _chain(writers[1:])

    @metal
    def write(text: Text, subject: Subject) -> i64:
        first(text, subject)
        return rest(text, subject)

    return write


_write_limits = _chain([_limit_writer(*each) for each in LIMIT_NAMES])


@metal
def write_limits(text: Text, subject: Subject) -> i64:
    """limits."""
    text.put(b"Limit                     Soft Limit           Hard Limit           Units     \n")
    return _write_limits(text, subject)


@metal
def process_entry(subject: Subject, which: u64) -> Ptr[Entry]:
    """The program (0), working directory (1) or root (2) of a process, with a reference; None if there is none."""
    if which == 0:
        return get_executable(subject.process)
    place = hold_place(subject.process)
    if place is None:
        return None
    entry = place.get_directory() if which == 1 else place.get_root()
    drop_place(place)
    return entry


def _place_link(which: int):
    @metal
    def jump(subject: Subject) -> Ptr[Entry]:
        return process_entry(subject, which)

    @metal
    def text(subject: Subject, buffer: Slice[u8]) -> i64:
        entry = process_entry(subject, which)
        if entry is None:
            return -ENOENT
        result = path_text(subject, entry, buffer)
        entry.drop()
        return result

    return {"jump": jump, "link": text}


@metal
def self_name(subject: Subject, buffer: Slice[u8]) -> i64:
    """self: who asks."""
    text = Text(window=buffer)
    text.number(u64(current().process.id))
    return i64(text.position)


@metal
def thread_self_name(subject: Subject, buffer: Slice[u8]) -> i64:
    """thread-self."""
    text = Text(window=buffer)
    text.number(u64(current().process.id))
    text.put(b"/task/")
    text.number(u64(current().id))
    return i64(text.position)


def _of_thread(base: str) -> list[Generated]:
    """What a process and each of its threads have."""
    return [
        Generated(f"{base}/stat", 0o444, text=write_stat),
        Generated(f"{base}/statm", 0o444, text=write_statm),
        Generated(f"{base}/status", 0o444, text=write_status),
        Generated(f"{base}/maps", 0o444, text=write_maps),
        Generated(f"{base}/cmdline", 0o444, text=write_arguments),
        Generated(f"{base}/environ", 0o400, text=write_environment),
        Generated(f"{base}/auxv", 0o400, text=write_auxiliary),
        Generated(f"{base}/limits", 0o444, text=write_limits),
        Generated(f"{base}/exe", 0o777, **_place_link(0)),
        Generated(f"{base}/cwd", 0o777, **_place_link(1)),
        Generated(f"{base}/root", 0o777, **_place_link(2)),
    ]


FILES = [
    Generated("/proc/self", 0o777, link=self_name),
    Generated("/proc/thread-self", 0o777, link=thread_self_name),
    *_of_thread("/proc/{pid}"),
    Generated("/proc/{pid}/net", 0o555),
    Generated("/proc/{pid}/fd", 0o500),
    Generated("/proc/{pid}/fd/{fd}", 0o777, link=descriptor_name, jump=jump_to_descriptor),
    *_of_thread("/proc/{pid}/task/{tid}"),
    Generated("/proc/{pid}/task/{tid}/fd", 0o500),
    Generated("/proc/{pid}/task/{tid}/fd/{fd}", 0o777, link=descriptor_name, jump=jump_to_descriptor),
]
