"""Part of the smoke test: what a processor that idles remembers of a page table must not outlive its rest."""

from goanna.kernel.arch import (
    PAGE_SIZE,
    PageTable,
    pause,
    table_map,
    table_page_allocate,
    table_page_free,
    table_rest,
    table_resume,
    table_switch,
    table_trim,
    table_unmap,
    tlb_flush,
    tlb_flush_tables,
    user_copy_in,
    virtual,
)
from goanna.metal import Array, Atomic, metal, static, u32, u64, unsafe

__all__ = ["disturb", "rest"]

ADDRESS = 0x60_0000  # alone in the part of the address space that one page of the table serves
TABLE_SPAN = 0x20_0000

step = static(Atomic[u32])


@metal
def wait_for(number: u32) -> None:
    """Until the other processor has done its step."""
    while step.load() != number:
        pause()


@metal
def seen_value() -> u64:
    """What a program would read at ADDRESS; 0 if it would fault."""
    value = Array[u64, 1]()
    user_copy_in(unsafe.address(value), ADDRESS, 8)
    return value[0]


@metal
def rest(space: PageTable) -> None:
    """The processor that idles, twice."""
    wait_for(1)
    assert seen_value() == 1, "the first page is not there"
    table_rest()
    step.store(2)
    wait_for(3)
    table_resume()
    assert seen_value() == 2, "a translation outlived a processor's rest"
    table_rest()
    step.store(4)
    wait_for(5)
    table_resume()
    table_switch(space)
    assert seen_value() == 3, "a freed page table outlived a processor's rest"
    step.store(6)


@metal
def put_page(space: PageTable, number: u64) -> None:
    """A page with a number at its start."""
    page = table_page_allocate()
    unsafe.store(u64, virtual(page), number)
    assert table_map(space, ADDRESS, page, 3), "no page"


@metal
def disturb(space: PageTable) -> None:
    """The other one: changes what it remembers."""
    put_page(space, 1)
    step.store(1)
    wait_for(2)
    put_page(space, 2)
    tlb_flush(space, ADDRESS, 1)
    step.store(3)
    wait_for(4)
    table_unmap(space, ADDRESS)
    table = table_trim(space, ADDRESS, ADDRESS + TABLE_SPAN)
    assert table != 0, "no table was taken out"
    tlb_flush_tables(space, ADDRESS, TABLE_SPAN // PAGE_SIZE)
    table_page_free(table)
    put_page(space, 3)
    step.store(5)
    wait_for(6)
