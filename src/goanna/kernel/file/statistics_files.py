"""What the machine has done and has left: /proc/stat, loadavg, uptime, meminfo, vmstat, and what sysinfo(2) says."""

from goanna.kernel.arch import HUGE_SIZE, PAGE_SHIFT, PAGE_SIZE, now, processor_count
from goanna.kernel.base.text import Text
from goanna.kernel.file.declare import Generated
from goanna.kernel.file.drive import cached_pages
from goanna.kernel.file.node import space_used
from goanna.kernel.file.subject import Subject
from goanna.kernel.memory import pages
from goanna.kernel.memory.objects import slab_pages
from goanna.kernel.thread.process import FAULTS, FETCHED_BYTES, MAJOR_FAULTS, Usage, tree_lock
from goanna.kernel.thread.queue import queue_of
from goanna.kernel.thread.stack import stack_size
from goanna.kernel.thread.thread import next_in_table, thread_total, threads_born
from goanna.kernel.thread.tick import LOAD_ONE, TICK, load_averages, processor_idle, runnable
from goanna.kernel.thread.usage import usage_of
from goanna.kernel.time.wall import wall_offset
from goanna.metal import Array, Slice, i64, metal, struct, u8, u32, u64

__all__ = ["FILES"]

NANOSECONDS = 1_000_000_000
KIBIBYTE = 1024


@metal
def seconds_and_hundredths(text: Text, nanoseconds: u64) -> None:
    """A time as uptime writes it."""
    text.number(nanoseconds // NANOSECONDS)
    text.byte(0x2E)
    text.zeros(nanoseconds % NANOSECONDS // 10_000_000, 2)


@metal
def write_uptime(text: Text, subject: Subject) -> i64:
    """uptime: since boot, and how long processors were idle, added up."""
    idle: u64 = 0
    for processor in range(processor_count()):
        idle += processor_idle(processor)
    seconds_and_hundredths(text, now())
    text.byte(0x20)
    seconds_and_hundredths(text, idle)
    text.byte(0x0A)
    return 0


@metal
def write_load(text: Text, subject: Subject) -> i64:
    """loadavg: averages over 1, 5 and 15 minutes, threads that run or could and all, the youngest's number."""
    averages = Array[u64, 3]()
    load_averages(averages)
    for index in range(u64(0), u64(3)):
        hundredths = (averages[index] * 100 + LOAD_ONE // 200) // LOAD_ONE
        text.number(hundredths // 100)
        text.byte(0x2E)
        text.zeros(hundredths % 100, 2)
        text.byte(0x20)
    text.number(runnable())
    text.byte(0x2F)
    text.number(thread_total())
    _, last = threads_born()
    text.line(b" ", u64(last))
    return 0


@struct
class Ticks:
    """What a processor, or all, spent its time with, in clock ticks."""

    program: u64
    nice: u64
    kernel: u64
    idle: u64
    switches: u64

    def add(self, processor: u32) -> None:
        """Count a processor's in."""
        queue = queue_of(processor)
        self.program += queue.ticks[0].load()
        self.nice += queue.ticks[1].load()
        self.kernel += queue.ticks[2].load()
        self.idle += processor_idle(processor) // TICK
        self.switches += queue.switches.load()

    def write(self, text: Text) -> None:
        """The columns: user, nice, system, idle, then iowait to guest_nice, which are none here."""
        text.number(self.program)
        text.byte(0x20)
        text.number(self.nice)
        text.byte(0x20)
        text.number(self.kernel)
        text.byte(0x20)
        text.number(self.idle)
        text.put(b" 0 0 0 0 0 0\n")


@metal
def write_statistics(text: Text, subject: Subject) -> i64:
    """stat."""
    total = Ticks()
    for processor in range(processor_count()):
        total.add(processor)
    text.put(b"cpu  ")
    total.write(text)
    for processor in range(processor_count()):
        one = Ticks()
        one.add(processor)
        text.put(b"cpu")
        text.number(u64(processor))
        text.byte(0x20)
        one.write(text)
    born, _ = threads_born()
    text.line(b"ctxt ", total.switches)
    text.line(b"btime ", wall_offset() // NANOSECONDS)
    text.line(b"processes ", born)
    text.line(b"procs_running ", runnable())
    text.put(b"procs_blocked 0\n")
    return 0


@struct
class Memory:
    """Where pages are."""

    total: u64
    free: u64
    cached: u64  # read from drives, kept while there is room
    files: u64  # in the writable layer, /tmp and the like
    anonymous: u64  # of programs
    slabs: u64  # of kernel objects
    stacks: u64  # of threads in the kernel

    def find(self) -> None:
        """Count them."""
        self.total = pages.total_pages()
        self.free = min(pages.free_pages(), self.total)
        self.cached = cached_pages()
        self.files = (space_used() + (PAGE_SIZE - 1)) >> PAGE_SHIFT
        self.slabs = slab_pages()
        with tree_lock:
            thread = next_in_table(None)
            while thread is not None:
                self.stacks += stack_size() >> PAGE_SHIFT
                process = thread.process
                if process is not None and process.id == thread.id and process.borrowed_from is None:
                    self.anonymous += process.space.committed if process.space is not None else u64(0)
                thread = next_in_table(thread)


@metal
def memory_line(text: Text, name: Slice[u8], count: u64) -> None:
    """A line of meminfo: pages as KiB."""
    begun = text.position
    text.put(name)
    text.pad_to(17, begun)
    text.padded(count * (PAGE_SIZE // KIBIBYTE), 8)
    text.put(b" kB\n")


@metal
def write_memory(text: Text, subject: Subject) -> i64:
    """meminfo. There is no swap and no list of inactive pages, and nothing waits to be written."""
    memory = Memory()
    memory.find()
    memory_line(text, b"MemTotal:", memory.total)
    memory_line(text, b"MemFree:", memory.free)
    memory_line(text, b"MemAvailable:", memory.free + memory.cached)
    memory_line(text, b"Buffers:", 0)
    memory_line(text, b"Cached:", memory.cached + memory.files)
    memory_line(text, b"SwapCached:", 0)
    memory_line(text, b"Active:", memory.anonymous + memory.cached + memory.files)
    memory_line(text, b"Inactive:", 0)
    memory_line(text, b"SwapTotal:", 0)
    memory_line(text, b"SwapFree:", 0)
    memory_line(text, b"Dirty:", 0)
    memory_line(text, b"Writeback:", 0)
    memory_line(text, b"AnonPages:", memory.anonymous)
    memory_line(text, b"Shmem:", memory.files)
    memory_line(text, b"KReclaimable:", 0)
    memory_line(text, b"Slab:", memory.slabs)
    memory_line(text, b"SReclaimable:", 0)
    memory_line(text, b"SUnreclaim:", memory.slabs)
    memory_line(text, b"KernelStack:", memory.stacks)
    memory_line(text, b"CommitLimit:", memory.total // 2)
    memory_line(text, b"Committed_AS:", memory.anonymous + memory.files)
    text.put(b"HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\n")
    text.put(b"HugePages_Surp:        0\n")
    memory_line(text, b"Hugepagesize:", HUGE_SIZE >> PAGE_SHIFT)
    memory_line(text, b"Hugetlb:", 0)
    return 0


@metal
def write_memory_statistics(text: Text, subject: Subject) -> i64:
    """vmstat: the lines about what is counted here."""
    memory = Memory()
    memory.find()
    used = Usage()
    with tree_lock:
        thread = next_in_table(None)
        while thread is not None:
            process = thread.process
            if process is not None and process.id == thread.id:
                one = Usage()
                usage_of(process, one)
                used.add(one)
                used.add(process.reaped)
            thread = next_in_table(thread)
    text.line(b"nr_free_pages ", memory.free)
    text.line(b"nr_slab_unreclaimable ", memory.slabs)
    text.line(b"nr_anon_pages ", memory.anonymous)
    text.line(b"nr_file_pages ", memory.cached + memory.files)
    text.line(b"nr_shmem ", memory.files)
    text.line(b"nr_kernel_stack ", memory.stacks * (PAGE_SIZE // KIBIBYTE))
    text.line(b"pgpgin ", used.counts[FETCHED_BYTES] // KIBIBYTE)
    text.put(b"pgpgout 0\npswpin 0\npswpout 0\n")
    text.line(b"pgfault ", used.counts[FAULTS] + used.counts[MAJOR_FAULTS])
    text.line(b"pgmajfault ", used.counts[MAJOR_FAULTS])
    return 0


FILES = [
    Generated("/proc/meminfo", 0o444, text=write_memory),
    Generated("/proc/stat", 0o444, text=write_statistics),
    Generated("/proc/uptime", 0o444, text=write_uptime),
    Generated("/proc/loadavg", 0o444, text=write_load),
    Generated("/proc/vmstat", 0o444, text=write_memory_statistics),
]
