"""A kernel of two functions in which checks can fail, and readers of a panic table as the kernel has it: bytes."""

from goanna.kernel.shared.panic_table import PanicTable, TextReader
from goanna.metal import Array, Slice, metal, static, u8, u32, u64, unsafe

numbers = static(Array[u32, 8])
total = static(u32)
spelled = static(Array[u8, 256])


@metal(inline=False)
def element(index: u64) -> u32:
    numbers[index] += 1
    return numbers[index]


@metal(export="_start", section=".text")
def start() -> None:
    global total
    total = element(5)
    total += element(u64(total))
    while True:
        pass


@metal
def find(table: Slice[u8], address: u64) -> u64:
    return unsafe.at(PanicTable, unsafe.address(table)).site(address)


@metal
def text(table: PanicTable, offset: u64) -> Slice[u8]:
    reader = TextReader(table=table, position=offset)
    length: u64 = 0
    while length < len(spelled):
        spelled[length] = reader.next()
        if spelled[length] == 0:
            break
        length += 1
    return spelled[0:length]


@metal
def file_of(table: Slice[u8], site: u64) -> Slice[u8]:
    read = unsafe.at(PanicTable, unsafe.address(table))
    return text(read, read.file(site))


@metal
def reason_of(table: Slice[u8], site: u64) -> Slice[u8]:
    read = unsafe.at(PanicTable, unsafe.address(table))
    return text(read, read.reason(site))


@metal
def function_at(table: Slice[u8], address: u64) -> u64:
    return unsafe.at(PanicTable, unsafe.address(table)).function(address)


@metal
def module_of(table: Slice[u8], function: u64) -> Slice[u8]:
    read = unsafe.at(PanicTable, unsafe.address(table))
    return text(read, read.module(function))


@metal
def name_of(table: Slice[u8], function: u64) -> Slice[u8]:
    read = unsafe.at(PanicTable, unsafe.address(table))
    return text(read, read.name(function))


@metal
def valid(table: Slice[u8], available: u64) -> bool:
    return unsafe.at(PanicTable, unsafe.address(table)).valid(available)
