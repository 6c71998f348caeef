"""The smallest kernel on top of the arch room: tells over COM1 what it found and that its parts work, then stops
the machine.

    GOANNA_ARCH=x86_64 python -m tests.boot.arch.smoke OUT.elf
"""

import sys
import tempfile
from pathlib import Path

from goanna.kernel import arch
from goanna.kernel.arch import (
    KERNEL_AREA,
    KERNEL_OFFSET,
    NEVER,
    USER_TOP,
    Context,
    Frame,
    PageTable,
    before_user,
    command_line,
    console_write,
    enter_user,
    entropy,
    float_init,
    float_restore,
    float_restore_checked,
    float_save,
    float_size,
    give_memory,
    halt_forever,
    halt_until_interrupt,
    image_end,
    interrupt_window,
    kernel_map,
    main,
    memory_size,
    now,
    on_call,
    on_kernel_fault,
    on_page_fault,
    on_reschedule,
    on_timer,
    on_user_fault,
    pause,
    prepare_context,
    processor_count,
    processor_index,
    processor_main,
    raise_work,
    send_reschedule,
    set_debug_exit,
    set_kernel_stack,
    set_timer,
    start_clock,
    start_processors,
    stop,
    stop_others,
    switch_context,
    table_create,
    table_map,
    table_page_allocate,
    table_page_free,
    table_switch,
    table_unmap,
    take_work,
    tlb_flush,
    user_copy_in,
    user_copy_out,
    user_frame,
    user_load32,
    virtual,
    wall_clock,
)
from goanna.kernel.arch.x86_64.clock import counter_rate
from goanna.kernel.arch.x86_64.frame import FRAME_LINE, describe_frame
from goanna.kernel.arch.x86_64.kernel_map import enter_gate
from goanna.kernel.base.lock import SpinLock
from goanna.metal import (
    Array,
    Atomic,
    Fn,
    Slice,
    constant,
    extern_static,
    fill,
    metal,
    per_processor,
    static,
    u8,
    u16,
    u32,
    u64,
    unsafe,
)
from goanna.metal.backend import assemble
from goanna.metal.compile import compile_object
from goanna.metal.link import kernel_script, link
from goanna.metal.runtime import runtime_object
from goanna.metal.target import kernel_target
from tests.boot.arch.resting import disturb, rest

kernel_end = extern_static("__kernel_end", u8)
next_page = static(u64)
last_page = static(u64)
ticks = static(Atomic[u32])
calls = static(u32)
faults = static(u32)
works = static(u32)
others = static(Atomic[u32])
kicks = static(Atomic[u32])
first = static(Context)
second = static(Context)
stack = static(Array[u8, 8192], align=16)
space = static(PageTable)
user_page = static(u64)
table_frees = static(u32)
mine = per_processor(u32)
lock = static(SpinLock)
total = static(u64)  # under `lock`
contest = static(Atomic[bool])
done = static(Atomic[u32])
TURNS = 2000
NOTHING = Fn[[], None]

# getppid; store its result; touch an unmapped page; UD2; exit by call 60.
PROGRAM = constant(
    Array[u8, 40],
    bytes.fromhex("b86e000000 0f05 48a3 0010400000000000 48a1 0020400000000000 0f0b b83c000000 0f05 ebfe").ljust(40),
)
CODE, DATA, LATER = 0x400000, 0x401000, 0x402000


@metal
def say(text: Slice[u8]) -> None:
    """Print."""
    for byte in text:
        console_write(byte)


@metal
def number(value: u64) -> None:
    """Print in hexadecimal."""
    for digit in range(u64(0), u64(16)):
        nibble = u8.wrap(value >> (60 - digit * 4)) & 15
        console_write(nibble + (48 if nibble < 10 else 87))
    console_write(10)


@image_end.set
@metal
def end_of_image() -> u64:
    """No bundle here."""
    return unsafe.address(kernel_end) - KERNEL_OFFSET


@table_page_allocate.set
@metal
def allocate() -> u64:
    """Pages from the last range."""
    global next_page
    page = next_page
    if page + 4096 > last_page:
        return 0
    next_page += 4096
    fill(unsafe.slice(u8, virtual(page), 4096), 0)
    return page


@table_page_free.set
@metal
def free(page: u64) -> None:
    """Counts."""
    global table_frees
    table_frees += 1


@metal
def add(start: u64, end: u64) -> None:
    """One range of memory."""
    global next_page, last_page
    say(b"range ")
    number(start)
    say(b"   to ")
    number(end)
    next_page, last_page = start, end


@on_call.set
@metal
def call(frame: Frame) -> None:
    """getppid answers 42, exit ends the test."""
    global calls
    calls += 1
    if frame.number() == 60:
        finish()
    frame.set_result(42)
    raise_work(4)


@before_user.set
@metal
def do_work(frame: Frame) -> None:
    """Takes it."""
    global works
    if take_work() == 4:
        works += 1


@on_page_fault.set
@metal
def page_fault(frame: Frame, address: u64, access: u32) -> bool:
    """Maps the page behind the data."""
    global faults
    faults += 1
    if address & ~u64(4095) == LATER:
        return table_map(space, LATER, allocate(), 3)
    return False


@on_user_fault.set
@metal
def user_fault(frame: Frame, vector: u32, code: u64, address: u64) -> None:
    """Skips UD2."""
    assert vector == 6, "unexpected fault of the program"
    frame.set_program_counter(frame.program_counter() + 2)


@on_kernel_fault.set
@metal
def kernel_fault(frame: Frame, vector: u32, code: u64, address: u64) -> None:
    """Shows the registers."""
    buffer = Array[u8, FRAME_LINE]()
    line: u64 = 0
    say(b"KERNEL FAULT ")
    number(u64(vector))
    say(b"at ")
    number(address)
    while True:
        length = describe_frame(frame, line, buffer)
        if length == 0:
            break
        say(buffer[0:length])
        say(b"\n")
        line += 1
    stop(1)


@on_timer.set
@metal
def timer() -> None:
    """Counts."""
    ticks.add(1)


@on_reschedule.set
@metal
def reschedule() -> None:
    """Counts."""
    kicks.add(1)


@metal
def compete() -> None:
    """All processors take one lock again and again, and make each other forget translations while they hold it."""
    global total
    table_switch(space)
    for turn in range(u64(0), u64(TURNS)):
        with lock:
            total += 1
            if turn % 32 == 0:
                tlb_flush(space, LATER, 1 + turn)
    done.add(1)


@processor_main.set
@metal
def other_main() -> None:
    """Another processor: waits."""
    global mine
    mine = processor_index() + 100
    others.add(mine)
    while not contest.load():
        interrupt_window()
        pause()
    compete()
    if mine == 101:
        rest(space)
    while True:
        halt_until_interrupt()


@metal
def entry(argument: u64) -> None:
    """The second context."""
    say(b"context ")
    number(argument)
    switch_context(second, first)


@metal(inline=False)
def overflow(depth: u64) -> u64:
    """Recursion without an end."""
    room = Array[u64, 16]()
    room[depth & 15] = depth
    return overflow(depth + 1) + room[(depth + 1) & 15]


@metal
def misbehave(how: Slice[u8]) -> None:
    """What must fault: each ends the machine by KERNEL FAULT."""
    if how == b"null":
        number(unsafe.load(u64, 8, volatile=True))
    if how == b"write-text":
        unsafe.store(u8, unsafe.address(give_memory), 0, volatile=True)
    if how == b"write-text-direct":
        unsafe.store(u8, virtual(unsafe.address(give_memory) - KERNEL_OFFSET), 0, volatile=True)
    if how == b"run-data":
        unsafe.store(u8, unsafe.address(stack), 0xC3)
        unsafe.function(NOTHING, unsafe.address(stack))()
    if how == b"run-direct":
        unsafe.function(NOTHING, virtual(unsafe.address(give_memory) - KERNEL_OFFSET))()
    if how == b"start-code":
        number(unsafe.load(u64, 0x10_0000, volatile=True))
    if how == b"beyond":
        number(unsafe.load(u64, virtual(memory_size() + (1 << 30)), volatile=True))
    if how == b"locks":
        enter_gate()
        say(b"locked\n")
        stop_others()
        stop(3)
    if how == b"overflow":
        for index in range(u64(1), u64(3)):
            assert kernel_map(KERNEL_AREA + index * 4096, allocate(), True), "no page"
        prepare_context(second, KERNEL_AREA + 3 * 4096, overflow_entry, 0)
        switch_context(first, second)


@metal
def overflow_entry(argument: u64) -> None:
    """On a small stack with a guard page."""
    number(overflow(argument))


@main.set
@metal
def run() -> None:
    """The test."""
    global user_page
    start_clock()
    say(b"Goanna smoke\n")
    say(command_line())
    say(b"\nmemory ")
    number(memory_size())
    say(b"now ")
    number(now())
    if command_line() != b"no-debug-exit" and command_line() != b"locks":
        set_debug_exit()
    say(b"rate ")
    number(counter_rate)
    give_memory(add)
    say(b"wall ")
    number(wall_clock())
    if command_line() != b"":
        misbehave(command_line())
    prepare_context(second, unsafe.address(stack) + 8192, entry, 0x77)
    switch_context(first, second)
    start = now()
    set_timer(start + 2_000_000)
    while ticks.load() == 0:
        halt_until_interrupt()
    say(b"timer ns ")
    number(now() - start)
    set_timer(NEVER)
    start_processors(0)
    say(b"processors ")
    number(u64(processor_count()))
    begin = now()
    while others.load() == 0 and processor_count() > 1 and now() < begin + 500_000_000:
        pause()
    if processor_count() > 1:
        send_reschedule(1)
        while kicks.load() == 0:
            pause()
        say(b"kicked\n")
    show_vector_state()
    show_entropy()
    assert table_create(space), "no page"
    contest.store(True)
    compete()
    while done.load() != processor_count():
        pause()
    say(b"turns ")
    number(total)
    if processor_count() > 1:
        disturb(space)
        say(b"rested\n")
    user_page = allocate()
    unsafe.slice(u8, virtual(user_page), 40)[0:40] = PROGRAM
    assert table_map(space, CODE, user_page, 5), "no page"
    assert table_map(space, DATA, allocate(), 3), "no page"
    value = Array[u64, 1]()
    value[0] = 0x1234_5678_9ABC
    left = user_copy_out(DATA + 4090, unsafe.address(value), 8)
    say(b"copied across: 0 left is ")
    number(left)
    left = user_copy_out(0x500FFA, unsafe.address(value), 8)
    say(b"not copied ")
    number(left)
    left = user_copy_in(unsafe.address(value), DATA + 4090, 8)
    say(b"read back ")
    number(value[0])
    assert table_unmap(space, LATER) != 0, "nothing mapped"
    tlb_flush(space, LATER, 1)
    for index in range(u64(0), u64(2)):
        assert kernel_map(KERNEL_AREA + index * 4096, allocate(), True), "no page"
    top: u64 = KERNEL_AREA + 8192
    set_kernel_stack(top)
    frame = user_frame(top)
    frame.start(CODE, USER_TOP - 8)
    enter_user(frame)


@metal
def show_vector_state() -> None:
    """A state that is changed, saved, loaded: the control word of the x87 unit stands for all."""
    area = virtual(allocate())
    float_init(area)
    float_restore(area)
    unsafe.store(u16, area, 0x27F)
    unsafe.store(u64, area + 512, 1)  # XSAVE's header: the x87 state is there
    float_restore(area)
    float_init(area)
    float_save(area)
    say(b"control word ")
    number(u64(unsafe.load(u16, area)))
    unsafe.store(u64, area + 520, 1 << 63)  # the compacted format, which has not been asked for
    say(b"refused ")
    number(u64(not float_restore_checked(area)))
    say(b"vector state ")
    number(float_size())


@metal
def show_entropy() -> None:
    """Two numbers of the processor's, if it gives any, differ."""
    one, good = entropy()
    two, _ = entropy()
    say(b"entropy ")
    number(u64(good and one != two))


@metal
def finish() -> None:
    """Report and stop."""
    say(b"calls ")
    number(u64(calls))
    say(b"faults ")
    number(u64(faults))
    say(b"works ")
    number(u64(works))
    say(b"answer ")
    _, value = user_load32(DATA)
    number(u64(value))
    say(b"now ")
    number(now())
    say(b"done\n")
    stop_others()
    stop(0)
    halt_forever()


def build(out: Path) -> None:
    """Compile, assemble, link."""
    target = kernel_target("x86_64")
    with tempfile.TemporaryDirectory() as folder:
        code, start, memory = (Path(folder, name) for name in ("kernel.o", "boot.o", "memory.o"))
        runtime_object(target, memory)
        compile_object(arch.ROOTS, target, code, debug=True)
        assemble(arch.ASSEMBLY, target, start)
        link([code, start, memory], kernel_script(target, arch.KERNEL_VIRTUAL, arch.KERNEL_PHYSICAL), out)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
