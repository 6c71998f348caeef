"""Which signal an exception of a program becomes, as Linux's arch/x86/kernel/traps.c decides."""

from goanna.metal import i32, metal, u16, u32, u64, unsafe

__all__ = ["fault_signal", "float_fault", "page_fault_error"]

X87 = 16

SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV = 4, 5, 7, 8, 11
SI_KERNEL = 0x80
FPE_INTDIV, FPE_FLTDIV, FPE_FLTOVF, FPE_FLTUND, FPE_FLTRES, FPE_FLTINV = 1, 3, 4, 5, 6, 7
ILL_ILLOPN, TRAP_BRKPT, TRAP_TRACE, BUS_ADRALN, SEGV_MAPERR = 2, 1, 2, 1, 1

TRAP_FLAG = 0x100

FLOAT_STATUS, FLOAT_MXCSR = 2, 24  # offsets in the FXSAVE area
PROTECTION, USER = 1, 4  # bits of a page fault's error code


@metal
def fault_signal(vector: u32, address: u64, flags: u64, float_area: u64) -> tuple[u32, i32, u64]:
    """The signal, its si_code and si_addr for an exception at `address`; signal 0: there is nothing to tell.

    `float_area` holds the thread's vector state, saved just now.
    """
    match vector:
        case 0:  # DIVIDE
            return SIGFPE, FPE_INTDIV, address
        case 1:  # DEBUG: INT1 comes this way too
            return SIGTRAP, TRAP_TRACE if (flags & TRAP_FLAG) != 0 else TRAP_BRKPT, address
        case 3:  # BREAKPOINT
            return SIGTRAP, SI_KERNEL, u64(0)
        case 6:  # INVALID_OPCODE
            return SIGILL, ILL_ILLOPN, address
        case 11 | 12:  # SEGMENT, STACK
            return SIGBUS, SI_KERNEL, u64(0)
        case 9:  # the coprocessor's segment overrun
            return SIGFPE, SI_KERNEL, u64(0)
        case 14:  # PAGE_FAULT in what was written in the program's stead, at `address`
            return SIGSEGV, SEGV_MAPERR, address
        case 16 | 19:  # X87, SIMD
            code = float_fault(float_area, vector == X87)
            if code == 0:
                return u32(0), i32(0), u64(0)
            return SIGFPE, code, address
        case 17:  # ALIGNMENT
            return SIGBUS, BUS_ADRALN, u64(0)
        case _:  # OVERFLOW, BOUNDS, general protection and what no program can raise
            return SIGSEGV, SI_KERNEL, u64(0)


@metal
def float_fault(area: u64, x87: bool) -> i32:
    """The si_code of SIGFPE: which exception is raised and not masked; 0 if none is (Linux fpu__exception_code)."""
    raised: u32 = 0
    if x87:
        raised = u32(unsafe.load(u16, area + FLOAT_STATUS)) & ~u32(unsafe.load(u16, area))
    else:
        control = unsafe.load(u32, area + FLOAT_MXCSR)
        raised = control & ~(control >> 7)
    if (raised & 1) != 0:
        return FPE_FLTINV
    if (raised & 4) != 0:
        return FPE_FLTDIV
    if (raised & 8) != 0:
        return FPE_FLTOVF
    if (raised & 0x12) != 0:
        return FPE_FLTUND
    if (raised & 0x20) != 0:
        return FPE_FLTRES
    return 0


@metal
def page_fault_error(code: u64, kernel_address: bool) -> u64:
    """The error code as programs see it: it doesn't tell what is mapped in the kernel's half."""
    return code | USER | (PROTECTION if kernel_address else 0)
