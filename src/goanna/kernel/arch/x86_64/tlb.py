"""Which processor runs on which page table, and how a change reaches them all.

A processor that takes a mapping away asks each processor that runs on the table to forget it, by an interrupt, and
waits. The others may be in the kernel with interrupts off: so whoever waits or spins calls `pause`, which answers
too. That is why `tlb_flush` may be called with a spin lock held: who spins for that lock answers.

A processor that idles keeps its table, for the thread that it ran last is the likeliest to run next, and is left in
peace: it compares `PageTable.changes` when it goes on. Only where a page of the table itself is freed must it let go at
once, because the processor may read ahead through it.
"""

from goanna.metal import ACQUIRE, RELAXED, Array, Atomic, Ptr, metal, per_processor, static, struct, u32, u64

from .apic import send_interrupt
from .calibrate import emulated
from .cpu import invalidate_all, invalidate_page, read_cr3, relax, write_cr3
from .layout import PAGE_SIZE, SIMULATED
from .page_table import PageTable, forget_table, kernel_table
from .park import kick, park_begin, park_halt, parked
from .processor import MAXIMUM_PROCESSORS, processor_index
from .trap import SHOOTDOWN, answer_shootdown

__all__ = [
    "PATIENCE", "park", "park_end", "pause", "table_rest", "table_resume", "table_switch", "tlb_flush",
    "tlb_flush_tables", "use_grew",
]  # fmt: skip

FEW = 32  # pages: more are forgotten all at once
PATIENCE = 32  # turns of a loop that spins, before it parks


@struct(align=64)
class Request:
    """What one processor asks the others to forget. Written by its owner while nobody is to answer."""

    start: u64
    pages: u64
    tables: bool  # pages of the table itself will be freed
    pending: Atomic[u64]  # processors that have not answered yet


requests = static(Array[Request, MAXIMUM_PROCESSORS])
inbox = static(Array[Atomic[u64], MAXIMUM_PROCESSORS])  # for each processor: whose requests it is to answer
running = per_processor(Ptr[PageTable])
seen = per_processor(u64)  # `changes` of that table when this processor last forgot all of it


@metal(inline=True)
def pause() -> None:
    """For loops that wait on another processor: rests, and answers flush requests."""
    relax()
    if inbox[processor_index()].load(order=RELAXED) != 0:
        answer()


@metal
def park() -> None:
    """Sleep until another processor kicks this one; between park_begin and park_end. Returns early if it is asked."""
    if inbox[processor_index()].load() == 0 and not SIMULATED:
        park_halt()


@metal
def park_end() -> None:
    """It is awake. Who saw it parked has sent no interrupt, so what was asked of it is answered now."""
    me = processor_index()
    parked.and_(~(u64(1) << u64(me)))
    if inbox[me].load() != 0:
        answer()


@metal
def answer() -> None:
    """Do what others ask of this processor."""
    me = u64(processor_index())
    asked = inbox[me].exchange(0)
    index: u64 = 0
    while asked != 0:
        if asked & 1 != 0:
            request = requests[index]
            if request.tables and running.resting.load() >> me & 1 != 0:
                table_switch(kernel_table)
            forget(request.start, request.pages)
            request.pending.and_(~(u64(1) << me))
            kick(u64(1) << index)
        asked >>= 1
        index += 1


answer_shootdown.set(answer)


@metal
def forget(start: u64, pages: u64) -> None:
    """Drop this processor's own translations of a range."""
    if pages > FEW:
        invalidate_all()
        return
    for index in range(u64(0), pages):
        invalidate_page(start + index * PAGE_SIZE)


@metal
def ask(targets: u64, start: u64, pages: u64, tables: bool) -> None:
    """Have the processors in `targets` forget a range; return when all have."""
    me = u64(processor_index())
    request = requests[me]
    request.start = start
    request.pages = pages
    request.tables = tables
    request.pending.store(targets)
    rest = targets
    index: u64 = 0
    while rest != 0:
        if rest & 1 != 0:
            inbox[index].or_(u64(1) << me)
            if parked.load() >> index & 1 != 0:
                kick(u64(1) << index)
            else:
                send_interrupt(index, SHOOTDOWN)
        rest >>= 1
        index += 1
    spins: u32 = 0
    while request.pending.load(order=ACQUIRE) != 0:
        pause()
        spins += 1
        if spins == PATIENCE:
            spins = 0
            park_begin()
            if request.pending.load() != 0:
                park()
            park_end()


@metal
def tlb_flush(table: PageTable, start: u64, pages: u64) -> None:
    """Make every processor that runs on `table` forget the translations of `pages` pages from `start` on.

    Returns when none can use them any more. To be called after the entries were changed and before the pages are used
    for something else.
    """
    flush(table, start, pages, False)


@metal
def tlb_flush_tables(table: PageTable, start: u64, pages: u64) -> None:
    """The same where pages of the table that served these addresses were taken out of it and are going to be freed."""
    flush(table, start, pages, True)


@metal
def flush(table: PageTable, start: u64, pages: u64, tables: bool) -> None:
    """Both."""
    active = table.active.load()
    mine = u64(1) << u64(processor_index())
    if active & mine != 0:
        forget(start, pages)
    others = active & ~mine
    if others != 0:
        table.changes.add(1)
        if not tables:
            others &= ~table.resting.load()
        if others != 0 and not SIMULATED:
            ask(others, start, pages, tables)


@forget_table.set
@metal
def flush_table(table: PageTable, address: u64) -> None:
    """Where the entry for an address leads is remembered too, and forgotten with the address."""
    tlb_flush_tables(table, address, 1)


@metal
def flush_kernel(start: u64, pages: u64) -> None:
    """The same for addresses of the kernel half, on all processors that run."""
    forget(start, pages)
    others = online.load() & ~(u64(1) << u64(processor_index()))
    if others != 0:
        ask(others, start, pages, False)


online = static(Atomic[u64])  # processors that answer, a bit each


@metal
def table_switch(table: PageTable) -> None:
    """Run on another address space (`kernel_table` has no program). Nothing happens if this processor does already."""
    global running, seen
    if running is table:
        return
    mine = u64(1) << u64(processor_index())
    table.active.or_(mine)
    seen = table.changes.load()
    write_cr3(table.root)
    old = running
    running = table
    if old is not None:
        old.resting.and_(~mine)
        old.active.and_(~mine)


@metal
def table_rest() -> None:
    """This processor is going to idle: until table_resume it touches no memory of a program."""
    if running is not None:
        running.resting.or_(u64(1) << u64(processor_index()))


@metal
def table_resume() -> None:
    """It goes on: what it was not asked to forget, it forgets now. It may be on kernel_table afterwards."""
    global seen
    if running is None:
        return
    running.resting.and_(~(u64(1) << u64(processor_index())))
    changes = running.changes.load()
    if changes != seen:
        seen = changes
        write_cr3(running.root)


@metal
def use_grew() -> None:
    """There is now much more memory in use than there was. A processor needs not be told; but QEMU's emulator fits the
    size of its own TLB to what was used of it when it is told to forget all, and keeps one of 256 pages until then."""
    if emulated():
        write_cr3(read_cr3())
