"""SGDT, SIDT, SMSW, SLDT and STR of programs, which a processor with UMIP refuses: answered as Linux does.

Some programs look with these whether they run in a virtual machine. Without UMIP they would learn the kernel's
addresses; with it they learn the constants that Linux gives (arch/x86/kernel/umip.c), the same in every machine. The
encodings are in the Intel manual, volume 2, section 2.1 and appendix A.
"""

from goanna.metal import Array, Slice, constant, i8, i32, i64, metal, offsetof, struct, u8, u32, u64, unsafe, wrapping

from .frame import Frame
from .processor import features
from .thread_register import get_user_gs, thread_pointer
from .trap import PAGE_FAULT, on_user_fault
from .user_copy import user_copy_in, user_copy_out

__all__ = ["Store", "decode_store", "emulate_store"]

LONGEST = 15  # bytes of an instruction
USER_WRITE = 6  # the error code of a page fault: a write, in user mode
GDT_BASE, IDT_BASE = 0xFFFF_FFFF_FFFE_0000, 0xFFFF_FFFF_FFFF_0000  # what Linux says, with a limit of 0
CR0_SEEN = 0x8005_0033  # PE MP ET NE WP AM PG
TASK_SELECTOR = 0x40  # Linux's; and there is no local descriptor table
SLDT, STR, SGDT, SIDT, SMSW = 0x00, 0x01, 0x10, 0x11, 0x14  # second byte of the opcode, and the number in ModRM

# Where the registers lie in a frame, by their number in an instruction.
NAMES = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{number}" for number in range(8, 16)))
PLACES = constant(Array[u8, 16], [offsetof(Frame, name) for name in NAMES])


@struct
class Store:
    """One of the five, taken apart."""

    length: u64  # of the instruction; 0: it is none of them
    size: u64  # bytes that it writes, 2 to 10
    result: Array[u8, 16]  # those
    segment: u8  # the prefix that adds a base to the address: 0x64 FS, 0x65 GS, else none
    in_register: bool
    place: u64  # number of the register, or the address without the base


@metal
def register(frame: Frame, number: u64) -> u64:
    """The value of register 0 to 15."""
    return unsafe.load(u64, unsafe.address(frame) + u64(PLACES[number]))


@metal
def signed(code: Slice[u8], at: u64, size: u64) -> u64:
    """The displacement of 1 or 4 bytes at an offset, which are there."""
    if size == 1:
        return u64.wrap(i64(i8.wrap(code[at])))
    value: u32 = 0
    for index in range(u64(0), u64(4)):
        value |= u32(code[at + index]) << (u32.wrap(index) * 8)
    return u64.wrap(i64(i32.wrap(value)))


@metal
def answer(operation: u8) -> u64:
    """What a program is told of the machine."""
    match operation:
        case 0x00:  # SLDT
            return 0
        case 0x01:  # STR
            return TASK_SELECTOR
        case 0x10:  # SGDT
            return GDT_BASE
        case 0x11:  # SIDT
            return IDT_BASE
        case _:
            return CR0_SEEN


@metal
def decode_store(code: Slice[u8], frame: Frame, store: Store) -> None:
    """Take apart the instruction that `code` begins with, for a program in 64-bit mode with these registers."""
    store.length = 0
    store.segment = 0
    at: u64 = 0
    short_operand = False
    short_address = False
    while at < len(code):
        prefix = code[at]
        if prefix == 0x66:
            short_operand = True
        elif prefix == 0x67:
            short_address = True
        elif prefix in (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65):
            store.segment = prefix
        elif prefix not in (0xF2, 0xF3):
            break
        at += 1
    rex: u8 = 0
    if at < len(code) and code[at] & 0xF0 == 0x40:
        rex = code[at]
        at += 1
    if at + 3 > len(code) or code[at] != 0x0F or code[at + 1] > 1:
        return
    modrm = code[at + 2]
    operation = code[at + 1] << 4 | modrm >> 3 & 7
    if operation not in (SLDT, STR, SGDT, SIDT, SMSW):
        return
    at += 3
    store.in_register = modrm >> 6 == 3
    store.size = 2
    place = unsafe.address(store.result)
    if operation in (SGDT, SIDT):  # a limit of two bytes, a base of eight
        if store.in_register:
            return
        store.size = 10
        place += 2
    unsafe.store(u64, place, answer(operation), unaligned=True)
    low = u64(modrm & 7)
    extended: u64 = 8 if rex & 1 != 0 else 0
    if store.in_register:
        store.place = low | extended
        store.size = 8 if rex & 8 != 0 else 2 if short_operand else 4
        store.length = at
        return
    address: u64 = 0
    displacement: u64 = 4 if modrm >> 6 == 2 else u64(modrm >> 6)
    relative = False
    if low == 4:
        if at == len(code):
            return
        sib = code[at]
        at += 1
        index = u64(sib >> 3 & 7) | (8 if rex & 2 != 0 else 0)
        if index != 4:
            address = wrapping(register(frame, index) << u64(sib >> 6))
        if sib & 7 == 5 and displacement == 0:
            displacement = 4
        else:
            address = wrapping(address + register(frame, u64(sib & 7) | extended))
    elif low == 5 and displacement == 0:
        displacement = 4
        relative = True
    else:
        address = register(frame, low | extended)
    if at + displacement > len(code):
        return
    if displacement != 0:
        address = wrapping(address + signed(code, at, displacement))
        at += displacement
    if relative:
        address = wrapping(address + frame.rip + at)
    store.place = address & 0xFFFF_FFFF if short_address else address
    store.length = at


@metal
def emulate_store(frame: Frame) -> bool:
    """A general protection fault in user mode. True: it was one of the five, and the program goes on behind it, or
    with a signal because its operand can't be written. May block.
    """
    if not features.umip:
        return False
    code = Array[u8, LONGEST]()
    there = LONGEST - user_copy_in(unsafe.address(code), frame.rip, LONGEST)
    store = Store()
    decode_store(code[0:there], frame, store)
    if store.length == 0:
        return False
    if store.in_register:
        place = unsafe.address(frame) + u64(PLACES[store.place])
        unsafe.slice(u8, place, store.size)[0 : store.size] = store.result[0 : store.size]
    else:
        base: u64 = 0
        if store.segment == 0x64:
            base = thread_pointer()
        elif store.segment == 0x65:
            base = get_user_gs()
        address = wrapping(store.place + base)
        if user_copy_out(address, unsafe.address(store.result), store.size) != 0:
            on_user_fault(frame, PAGE_FAULT, USER_WRITE, address)
            return True
    frame.rip = wrapping(frame.rip + store.length)
    return True
