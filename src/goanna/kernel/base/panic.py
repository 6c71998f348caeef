"""The end of a kernel that has found itself wrong: why, where in the Python sources, what the program was doing.

Everything is written to one buffer and sent as one text, which no lock guards: whoever holds a lock may be what failed.
A panic inside a panic sends what there is so far. The machine then stops with the status of Goanna's own failures.
"""

from goanna.kernel.arch import (
    FRAME_LINE,
    LOWEST_KERNEL_ADDRESS,
    Frame,
    describe_frame,
    fault_name,
    halt_forever,
    on_kernel_fault,
    processor_index,
    stop,
    stop_others,
)
from goanna.kernel.base.text import Text
from goanna.kernel.shared.control import FAILURE_STATUS
from goanna.kernel.shared.panic_table import NOT_FOUND, PanicTable, TextReader
from goanna.metal import Array, Atomic, Fn, Ptr, Slice, hook, metal, static, u8, u32, u64, unsafe

__all__ = ["describe_program", "fail", "kernel_fault", "panic_output", "set_panic_table"]

LONGEST = 8192  # bytes of text
LONGEST_NAME = 256  # bytes of a text of the panic table, which may be damaged
DEEPEST = 32  # calls in a back trace
STACK_SIZE = 16384  # bytes: a back trace does not leave the stack on which it starts

panic_output = hook(Fn[[Slice[u8]], None])  # the whole text, in any context, locks or not
describe_program = hook(Fn[[Text], None])  # the program's counter and its last system call, as lines; reads only

panic_table = static(Ptr[PanicTable])
depth = static(Atomic[u32])  # panics begun
speaker = static(Atomic[u32])  # 1 + the processor whose panic is told; 0: none yet
buffer = static(Array[u8, LONGEST])
text = static(Text)


@metal
def set_panic_table(address: u64, available: u64) -> bool:
    """Use the table at an address, of at most `available` bytes. False: it makes no sense; only addresses are told."""
    global panic_table
    table = unsafe.pointer(PanicTable, address)
    if not table.valid(available):
        return False
    panic_table = table
    return True


@metal(cold=True)
def kernel_fault(frame: Frame, vector: u32, code: u64, address: u64) -> None:
    """An exception of the kernel's own: a failed check, or worse. Never returns."""
    if begin():
        site: u64 = NOT_FOUND
        if panic_table is not None:
            site = panic_table.site(frame.program_counter())
        text.put(b"goanna: kernel panic: ")
        if site != NOT_FOUND and panic_table.fails(site):
            put_text(panic_table.reason(site))
        else:
            text.put(fault_name(vector))
            text.put(b", code 0x")
            text.hexadecimal(code, 1)
            text.put(b", address 0x")
            text.hexadecimal(address, 1)
        text.byte(0x0A)
        place(frame.program_counter(), b"  at ")
        back_trace(frame.frame_pointer())
        registers(frame)
        describe_program(text)
    end()


@metal(cold=True)
def fail(reason: Slice[u8]) -> None:
    """End the machine for a reason that is no fault of the kernel's: an image that is damaged, too little memory.

    One line, no back trace. Never returns.
    """
    if begin():
        text.put(b"goanna: ")
        text.put(reason)
        text.byte(0x0A)
    end()


@metal
def begin() -> bool:
    """Stop the other processors. Whether this is the first panic, whose text is to be written."""
    me = processor_index() + 1
    old, first = speaker.compare_exchange(0, me)
    if not first and old != me:
        halt_forever()
    if depth.add(1) != 0:
        return False
    stop_others()
    text.window = buffer[:]
    text.start = 0
    text.position = 0
    return True


@metal
def end() -> None:
    """Send the text and stop. A panic inside this stops at once."""
    if depth.add(1) <= 2:
        if depth.load() > 2:
            text.put(b"  and another panic while this one was told\n")
        panic_output(buffer[0 : min(text.position, u64(LONGEST))])
    stop(FAILURE_STATUS)


@metal
def place(address: u64, lead: Slice[u8]) -> None:
    """One line: a function, a file and a line of the Python sources, or an address."""
    text.put(lead)
    site: u64 = NOT_FOUND
    if panic_table is not None:
        site = panic_table.site(address)
        put_function(panic_table.function(address))
    if site != NOT_FOUND:
        text.byte(0x28)
        put_text(panic_table.file(site))
        text.byte(0x3A)
        text.number(panic_table.line(site))
        text.byte(0x29)
    else:
        text.put(b"0x")
        text.hexadecimal(address, 1)
    text.byte(0x0A)


@metal
def put_function(function: u64) -> None:
    """A function of the panic table, with its module, and a space."""
    if function != NOT_FOUND:
        module = panic_table.module(function)
        if put_text(module):
            text.byte(0x2E)
        put_text(panic_table.name(function))
        text.byte(0x20)


@metal
def put_text(offset: u64) -> bool:
    """A text of the panic table. False if it is empty."""
    reader = TextReader(table=panic_table, position=offset)
    for index in range(u64(LONGEST_NAME)):
        byte = reader.next()
        if byte == 0:
            return index != 0
        text.byte(byte)
    return True


@metal
def back_trace(frame_pointer: u64) -> None:
    """Follow the saved frame pointers, as long as they lead up one stack."""
    at = frame_pointer
    for _ in range(u64(DEEPEST)):
        if at % 8 != 0 or at < LOWEST_KERNEL_ADDRESS or at - frame_pointer >= STACK_SIZE:
            return
        above = unsafe.load(u64, at)
        back = unsafe.load(u64, at + 8)
        if back < LOWEST_KERNEL_ADDRESS:
            return
        place(back, b"  from ")
        if above <= at:
            return
        at = above


@metal
def registers(frame: Frame) -> None:
    """The processor's registers, three a line."""
    line = Array[u8, FRAME_LINE]()
    index: u64 = 0
    while True:
        length = describe_frame(frame, index, line[:])
        if length == 0:
            return
        text.put(b"  ")
        text.put(line[0:length])
        text.byte(0x0A)
        index += 1


on_kernel_fault.set(kernel_fault)
