"""The processors: /proc/cpuinfo, /sys/devices/system/cpu with topology and caches, and the one memory node."""

from goanna.kernel.arch import (
    CACHE_KINDS,
    MAXIMUM_PROCESSORS,
    PAGE_SIZE,
    CacheFacts,
    describe_processor,
    find_cache,
    processor_count,
)
from goanna.kernel.base.text import Text
from goanna.kernel.file.declare import Generated
from goanna.kernel.file.subject import Subject
from goanna.kernel.memory import pages
from goanna.metal import Slice, i64, metal, u8, u32, u64

__all__ = ["FILES"]

CPU = "/sys/devices/system/cpu"
NODE = "/sys/devices/system/node"
ITEM_PROCESSOR = 0xFF
CACHE_SHIFT = 8


@metal
def write_processors(text: Text, subject: Subject) -> i64:
    """cpuinfo."""
    for index in range(processor_count()):
        describe_processor(text, index, processor_count())
    return 0


@metal
def write_range(text: Text, first: u32, count: u32) -> None:
    """Processors as a list: 0-3."""
    text.number(u64(first))
    if count > 1:
        text.byte(0x2D)
        text.number(u64(first + count - 1))
    text.byte(0x0A)


@metal
def write_mask(text: Text, first: u32, count: u32) -> None:
    """Processors as a mask of hexadecimal digits, as many as all need."""
    text.hexadecimal(((u64(1) << u64(count)) - 1) << u64(first), u64((processor_count() + 3) // 4))
    text.byte(0x0A)


@metal
def write_all(text: Text, subject: Subject) -> i64:
    """cpu/online and its kin: all processors."""
    write_range(text, 0, processor_count())
    return 0


@metal
def write_all_mask(text: Text, subject: Subject) -> i64:
    """The same as a mask."""
    write_mask(text, 0, processor_count())
    return 0


@metal
def write_own(text: Text, subject: Subject) -> i64:
    """A processor's number: it shares its core with none."""
    write_range(text, subject.item, 1)
    return 0


@metal
def write_own_mask(text: Text, subject: Subject) -> i64:
    """The same as a mask."""
    write_mask(text, subject.item, 1)
    return 0


@metal
def cache_of(subject: Subject, facts: CacheFacts) -> u32:
    """The cache that a file is about: its index."""
    index = (subject.item >> CACHE_SHIFT) - 1
    find_cache(index, facts)
    return index


def _number_of_cache(index: int):
    @metal
    def write(text: Text, subject: Subject) -> i64:
        facts = CacheFacts()
        cache_of(subject, facts)
        text.line(b"", u64(facts.numbers[index]))
        return 0

    return write


@metal
def write_cache_kind(text: Text, subject: Subject) -> i64:
    """type."""
    facts = CacheFacts()
    cache_of(subject, facts)
    text.put(kind_name(facts.kind))
    return 0


@metal
def kind_name(kind: u32) -> Slice[u8]:
    """The type of a cache."""
    if kind == 1:
        return CACHE_KINDS[1]
    if len(CACHE_KINDS) > 2 and kind == 2:
        return CACHE_KINDS[2]
    return CACHE_KINDS[-1]


@metal
def write_cache_size(text: Text, subject: Subject) -> i64:
    """size, in KiB."""
    facts = CacheFacts()
    cache_of(subject, facts)
    bytes: u64 = 1
    for index in range(u64(1), u64(5)):
        bytes *= u64(facts.numbers[index])
    text.number(bytes // 1024)
    text.put(b"K\n")
    return 0


@metal
def sharers(subject: Subject) -> tuple[u32, u32]:
    """The first of the processors that have a cache in common, and how many there are."""
    facts = CacheFacts()
    cache_of(subject, facts)
    processor = subject.item & ITEM_PROCESSOR
    shared: u32 = 1
    while shared < facts.shared:
        shared *= 2
    first = processor // shared * shared
    return first, min(shared, processor_count() - first)


@metal
def write_sharers(text: Text, subject: Subject) -> i64:
    """shared_cpu_list."""
    first, count = sharers(subject)
    write_range(text, first, count)
    return 0


@metal
def write_sharers_mask(text: Text, subject: Subject) -> i64:
    """shared_cpu_map."""
    first, count = sharers(subject)
    write_mask(text, first, count)
    return 0


@metal
def node_line(text: Text, name: Slice[u8], count: u64) -> None:
    """A line of a node's meminfo: pages as KiB."""
    begun = text.position
    text.put(b"Node 0 ")
    text.put(name)
    text.pad_to(24, begun)
    text.padded(count * (PAGE_SIZE // 1024), 8)
    text.put(b" kB\n")


@metal
def write_node_memory(text: Text, subject: Subject) -> i64:
    """node0/meminfo."""
    total = pages.total_pages()
    free = min(pages.free_pages(), total)
    node_line(text, b"MemTotal:", total)
    node_line(text, b"MemFree:", free)
    node_line(text, b"MemUsed:", total - free)
    return 0


_ONE_CORE = ("core_cpus", "thread_siblings")
_ONE_PACKAGE = ("core_siblings", "die_cpus", "package_cpus")
_CORE, _CACHE = f"{CPU}/cpu{{n}}/topology", f"{CPU}/cpu{{n}}/cache/index{{n}}"
_CACHE_NUMBERS = (
    "level", "coherency_line_size", "physical_line_partition", "ways_of_associativity", "number_of_sets",
)  # fmt: skip

FILES = [
    Generated("/proc/cpuinfo", 0o444, text=write_processors),
    *(Generated(f"{CPU}/{name}", 0o444, text=write_all) for name in ("online", "possible", "present", "enabled")),
    *(Generated(f"{CPU}/{name}", 0o444, text=b"\n") for name in ("offline", "isolated")),
    Generated(f"{CPU}/kernel_max", 0o444, text=f"{MAXIMUM_PROCESSORS - 1}\n".encode()),
    *(Generated(f"{_CORE}/{name}", 0o444, text=write_own_mask) for name in _ONE_CORE),
    *(Generated(f"{_CORE}/{name}_list", 0o444, text=write_own) for name in _ONE_CORE),
    *(Generated(f"{_CORE}/{name}", 0o444, text=write_all_mask) for name in _ONE_PACKAGE),
    *(Generated(f"{_CORE}/{name}_list", 0o444, text=write_all) for name in _ONE_PACKAGE),
    Generated(f"{_CORE}/core_id", 0o444, text=write_own),
    Generated(f"{_CORE}/physical_package_id", 0o444, text=b"0\n"),
    Generated(f"{_CORE}/die_id", 0o444, text=b"0\n"),
    *(Generated(f"{_CACHE}/{name}", 0o444, text=_number_of_cache(index)) for index, name in enumerate(_CACHE_NUMBERS)),
    Generated(f"{_CACHE}/type", 0o444, text=write_cache_kind),
    Generated(f"{_CACHE}/size", 0o444, text=write_cache_size),
    Generated(f"{_CACHE}/shared_cpu_list", 0o444, text=write_sharers),
    Generated(f"{_CACHE}/shared_cpu_map", 0o444, text=write_sharers_mask),
    *(Generated(f"{NODE}/{name}", 0o444, text=b"0\n") for name in ("online", "possible", "has_cpu", "has_memory")),
    Generated(f"{NODE}/node0/cpulist", 0o444, text=write_all),
    Generated(f"{NODE}/node0/cpumap", 0o444, text=write_all_mask),
    Generated(f"{NODE}/node0/distance", 0o444, text=b"10\n"),
    Generated(f"{NODE}/node0/meminfo", 0o444, text=write_node_memory),
]
