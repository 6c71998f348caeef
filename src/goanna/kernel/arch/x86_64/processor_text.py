"""What /proc/cpuinfo says of a processor, and its caches: as CPUID tells it (Intel SDM volume 2A, AMD APM volume 3)."""

from goanna.metal import Array, TypeVar, constant, metal, struct, u8, u16, u32, u64

from .cpu import cpuid
from .processor import apic_ids, features

__all__ = ["CACHE_KINDS", "CacheFacts", "describe_processor", "find_cache"]

T = TypeVar("T")  # goanna.kernel.base.text.Text, which this room doesn't know

# The features by the word that tells of them, from bit 0 on, by the names that Linux gives them; - is none that it
# shows.
WORDS = (
    (1, 0, 3, "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx "
              "fxsr sse sse2 ss ht tm ia64 pbe"),
    (0x8000_0001, 0, 3, "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm "
                        "3dnowext 3dnow"),
    (1, 0, 2, "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 "
              "sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand hypervisor"),
    (0x8000_0001, 0, 2, "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop "
                        "skinit wdt - lwp fma4 tce - nodeid_msr - tbm topoext"),
    (7, 0, 1, "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq "
              "rdseed adx smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw "
              "avx512vl"),
    (7, 0, 2, "- avx512vbmi umip pku - waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme "
              "avx512_vpopcntdq - la57 - - - - - rdpid - - cldemote - movdiri movdir64b"),
    (7, 0, 3, "- - - - fsrm"),
    (0xD, 1, 0, "xsaveopt xsavec xgetbv1 xsaves"),
)  # fmt: skip
_lists = [(words[3] + " -" * 32).split()[:32] for words in WORDS]
_names = [("" if name == "-" else name).encode() for names in _lists for name in names]
_texts = b"".join(_names)
NAMES = constant(Array[u8, len(_texts)], _texts)
STARTS = constant(Array[u16, len(_names) + 1], [sum(map(len, _names[:index])) for index in range(len(_names) + 1)])
PLACES = constant(Array[u32, 3 * len(WORDS)], [each for words in WORDS for each in words[:3]])
EXTENDED = 0x8000_0000  # leaves from here on


@metal
def leaf_word(leaf: u32, subleaf: u32, register: u32) -> u32:
    """A word that CPUID gives, register 0 to 3 for EAX to EDX; 0 for a leaf that the processor doesn't have."""
    highest, _, _, _ = cpuid(leaf & EXTENDED, 0)
    if leaf > highest:
        return 0
    words = Array[u32, 4]()
    words[0], words[1], words[2], words[3] = cpuid(leaf, subleaf)
    return words[u64(register)]


@metal
def put_words(text: T, leaf: u32, first: u32, last: u32) -> None:
    """The characters in registers of a leaf."""
    for register in range(first, last + 1):
        word = leaf_word(leaf, 0, register)
        for index in range(u32(0), u32(4)):
            byte = u8.wrap(word >> (8 * index))
            if byte != 0:
                text.byte(byte)


@metal
def describe_processor(text: T, index: u32, count: u32) -> None:
    """The lines of one processor, of so many: each is a core of the one package."""
    signature = leaf_word(1, 0, 0)
    family = signature >> 8 & 0xF
    model = signature >> 4 & 0xF
    if family in (6, 15):
        model += (signature >> 16 & 0xF) << 4
    if family == 15:
        family += signature >> 20 & 0xFF
    text.line(b"processor\t: ", u64(index))
    text.put(b"vendor_id\t: ")
    put_words(text, 0, 1, 1)
    put_words(text, 0, 3, 3)
    put_words(text, 0, 2, 2)
    text.line(b"\ncpu family\t: ", u64(family))
    text.line(b"model\t\t: ", u64(model))
    text.put(b"model name\t: ")
    for leaf in range(u32(0x8000_0002), u32(0x8000_0005)):
        put_words(text, leaf, 0, 3)
    text.line(b"\nstepping\t: ", u64(signature & 0xF))
    text.line(b"physical id\t: ", 0)
    text.line(b"siblings\t: ", u64(count))
    text.line(b"core id\t\t: ", u64(index))
    text.line(b"cpu cores\t: ", u64(count))
    text.line(b"apicid\t\t: ", u64(apic_ids[u64(index)]))
    text.line(b"initial apicid\t: ", u64(apic_ids[u64(index)]))
    text.put(b"fpu\t\t: yes\nfpu_exception\t: yes\n")
    text.line(b"cpuid level\t: ", u64(features.leaves))
    text.put(b"wp\t\t: yes\nflags\t\t:")
    for word in range(u64(0), u64(len(WORDS))):
        bits = leaf_word(PLACES[word * 3], PLACES[word * 3 + 1], PLACES[word * 3 + 2])
        for bit in range(u64(0), u64(32)):
            start = u64(STARTS[word * 32 + bit])
            end = u64(STARTS[word * 32 + bit + 1])
            if bits >> u32(bit) & 1 != 0 and start != end:
                text.byte(0x20)
                text.put(NAMES[start:end])
    text.line(b"\nclflush size\t: ", u64(leaf_word(1, 0, 1) >> 8 & 0xFF) * 8)
    sizes = leaf_word(0x8000_0008, 0, 0)
    text.put(b"address sizes\t: ")
    text.number(u64(sizes & 0xFF))
    text.put(b" bits physical, ")
    text.number(u64(sizes >> 8 & 0xFF))
    text.put(b" bits virtual\npower management:\n\n")


CACHE_LEAF = 4  # Intel's
CACHE_LEAF_AMD = 0x8000_001D
TOPOLOGY_EXTENSIONS = 1 << 22  # 8000_0001 ECX
MOST_CACHES = 8
CACHE_KINDS = (b"", b"Data\n", b"Instruction\n", b"Unified\n")


@struct
class CacheFacts:
    """One cache of a processor."""

    kind: u32  # an index of CACHE_KINDS; 0: there is none
    shared: u32  # processors, at most, that have it in common
    numbers: Array[u32, 5]  # level, bytes of a line, partitions, ways, sets


@metal
def find_cache(index: u32, facts: CacheFacts) -> bool:
    """The cache of that index, and whether there is one."""
    leaf: u32 = CACHE_LEAF_AMD if leaf_word(0x8000_0001, 0, 2) & TOPOLOGY_EXTENSIONS != 0 else CACHE_LEAF
    a = leaf_word(leaf, index, 0)
    b = leaf_word(leaf, index, 1)
    facts.kind = a & 0x1F
    facts.shared = (a >> 14 & 0xFFF) + 1
    facts.numbers[0] = a >> 5 & 7
    facts.numbers[1] = (b & 0xFFF) + 1
    facts.numbers[2] = (b >> 12 & 0x3FF) + 1
    facts.numbers[3] = (b >> 22) + 1
    facts.numbers[4] = leaf_word(leaf, index, 2) + 1
    return index < MOST_CACHES and facts.kind in (1, 2, 3)
