"""The frame on the user stack in which a signal handler finds its arguments, and from which rt_sigreturn goes back.

The layout is Linux's struct rt_sigframe to the byte, the XSAVE area with its software-reserved words too, since
debuggers, Go's runtime and C libraries read and change it. Nothing that comes back is believed: segments, flags,
program counter, MXCSR and the XSAVE header are made or found harmless before the processor sees them.

Sources: Linux arch/x86/include/uapi/asm/{sigcontext,ucontext}.h, arch/x86/kernel/{signal,signal_64}.c, fpu/signal.c.
"""

from goanna.kernel.arch.signal_setup import SignalReturn, SignalSetup, StackRecord
from goanna.metal import Array, Slice, copy, fill, metal, offsetof, sizeof, struct, u8, u16, u32, u64, unsafe, wrapping

from .float import CONTROL_WORD, MXCSR, float_init, float_mask, float_restore, float_save, float_size
from .frame import USER_CODE, USER_DATA, Frame
from .layout import USER_TOP
from .user_copy import user_copy_in, user_copy_out

__all__ = [
    "MINIMUM_SIGNAL_STACK",
    "call_restart_by",
    "signal_frame_pop",
    "signal_frame_push",
]

MINIMUM_SIGNAL_STACK = 2048  # MINSIGSTKSZ
RED_ZONE = 128  # bytes below the stack pointer that a function may use without saying so
RESTART_SYSCALL = 219

SA_SIGINFO = 4
SA_RESTORER = 0x04000000
SA_ONSTACK = 0x08000000
SS_AUTODISARM = 1 << 31

UC_FP_XSTATE = 1
UC_SIGCONTEXT_SS = 2
UC_STRICT_RESTORE_SS = 4

FLAGS_CLEARED = 0x100 | 0x400 | 0x10000  # TF DF RF, in a handler
FLAGS_RESTORED = 0x50DD5  # CF PF AF ZF SF TF DF OF RF AC (Linux FIX_EFLAGS)

FP_XSTATE_MAGIC1 = 0x46505853
FP_XSTATE_MAGIC2 = 0x46505845
MAGIC2_SIZE = 4
LEGACY_SIZE = 512  # FXSAVE
HEADER_SIZE = 64  # the XSAVE header after it
FEATURE_X87, FEATURE_SSE = 1, 2
FEATURES_LEGACY = FEATURE_X87 | FEATURE_SSE
MXCSR_DEFAULT_MASK = 0xFFBF  # what a zero MXCSR_MASK stands for


@struct
class SignalContext:
    """struct sigcontext."""

    r8: u64
    r9: u64
    r10: u64
    r11: u64
    r12: u64
    r13: u64
    r14: u64
    r15: u64
    rdi: u64
    rsi: u64
    rbp: u64
    rbx: u64
    rdx: u64
    rax: u64
    rcx: u64
    rsp: u64
    rip: u64
    flags: u64
    cs: u16
    gs: u16
    fs: u16
    ss: u16
    error: u64
    trap: u64
    old_mask: u64
    cr2: u64
    float_address: u64
    reserved: Array[u64, 8]


@struct
class UserContext:
    """struct ucontext."""

    flags: u64
    link: u64
    stack: StackRecord
    context: SignalContext
    mask: u64


INFORMATION_SIZE = 128


@struct
class SignalFrame:
    """struct rt_sigframe."""

    restorer: u64
    user: UserContext
    information: Array[u8, INFORMATION_SIZE]


@struct
class SoftwareWords:
    """struct _fpx_sw_bytes, at SOFTWARE_OFFSET in the FXSAVE area."""

    magic: u32
    extended_size: u32  # bytes to the end of the second magic number
    features: u64  # what is in the area, as XCR0 has it
    size: u32  # bytes of the XSAVE area
    padding: Array[u32, 7]


SOFTWARE_OFFSET = LEGACY_SIZE - sizeof(SoftwareWords)
MXCSR_OFFSET = 24
MXCSR_MASK_OFFSET = 28
X87_OFFSET = 32  # eight registers of 16 bytes
XMM_OFFSET, XMM_SIZE = 160, 256
XSTATE_BV_OFFSET = LEGACY_SIZE
XCOMP_BV_OFFSET = LEGACY_SIZE + 8
USER_OFFSET = offsetof(SignalFrame, "user")
INFORMATION_OFFSET = offsetof(SignalFrame, "information")
assert sizeof(SignalContext) == 256 and sizeof(UserContext) == 304 and sizeof(SignalFrame) == 440


@metal
def on_stack(stack: StackRecord, pointer: u64) -> bool:
    """Whether a stack pointer lies in the alternate stack (Linux __on_sig_stack)."""
    return pointer > stack.address and pointer - stack.address <= stack.size


@metal
def accessible(address: u64, size: u64) -> bool:
    """Whether [address, address + size) is where programs have memory at all."""
    return address <= USER_TOP and size <= USER_TOP - address


@metal
def signal_frame_push(frame: Frame, float_area: u64, setup: SignalSetup) -> bool:
    """Write the frame for a handler and make the thread go on in it, with fresh vector state.

    False if the stack can't take it; then the thread's registers are unchanged. May fault and sleep: no lock is held.
    """
    if (setup.flags & SA_RESTORER) == 0:
        return False
    size = float_size()
    extended = size != LEGACY_SIZE
    armed = setup.stack.size != 0
    stack = wrapping(frame.rsp - RED_ZONE)
    watched = armed and (setup.stack.flags & SS_AUTODISARM) == 0
    nested = watched and on_stack(setup.stack, frame.rsp)
    entering = armed and (setup.flags & SA_ONSTACK) != 0 and not (watched and on_stack(setup.stack, stack))
    if entering:
        stack = wrapping(setup.stack.address + setup.stack.size)
    end: u64 = MAGIC2_SIZE if extended else 0
    float_address = wrapping(stack - size - end) & ~u64(63)
    address = wrapping((wrapping(float_address - sizeof(SignalFrame)) & ~u64(15)) - 8)
    if (nested or entering) and not on_stack(setup.stack, address):
        return False
    if not accessible(address, sizeof(SignalFrame)) or not accessible(float_address, size + end):
        return False

    float_save(float_area)
    mark_float_area(float_area, size)
    if user_copy_out(float_address, float_area, size) != 0:
        return False
    magic = Array[u32, 1]()
    magic[0] = FP_XSTATE_MAGIC2
    if user_copy_out(float_address + size, unsafe.address(magic), end) != 0:
        return False

    out = SignalFrame(restorer=setup.restorer)
    out.user.flags = (UC_FP_XSTATE if extended else 0) | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS
    copy(out.user.stack, setup.stack)
    out.user.mask = setup.mask
    save_registers(out.user.context, frame)
    out.user.context.error = setup.fault_error
    out.user.context.trap = setup.fault_number
    out.user.context.cr2 = setup.fault_address
    out.user.context.old_mask = setup.mask
    out.user.context.float_address = float_address
    out.information[0:INFORMATION_SIZE] = setup.information
    written: u64 = sizeof(SignalFrame) if (setup.flags & SA_SIGINFO) != 0 else INFORMATION_OFFSET
    if user_copy_out(address, unsafe.address(out), written) != 0:
        return False

    frame.rdi = u64(setup.number)
    frame.rsi = address + INFORMATION_OFFSET
    frame.rdx = address + USER_OFFSET
    frame.rax = 0
    frame.rsp = address
    frame.rip = setup.handler
    frame.rflags &= ~u64(FLAGS_CLEARED)
    frame.make_safe()
    float_init(float_area)
    float_restore(float_area)
    return True


@metal
def mark_float_area(area: u64, size: u64) -> None:
    """Say in a saved area's software-reserved words what is in it, for the handler and for signal_frame_pop."""
    words = unsafe.at(SoftwareWords, area + SOFTWARE_OFFSET)
    fill(unsafe.slice(u8, unsafe.address(words), sizeof(SoftwareWords)), 0)
    words.magic = FP_XSTATE_MAGIC1
    words.extended_size = u32(size) + MAGIC2_SIZE
    words.features = float_mask() if size != LEGACY_SIZE else FEATURES_LEGACY
    words.size = u32(size)
    if size != LEGACY_SIZE:
        # Programs that know FXSAVE alone read and change x87 and SSE state without looking at the header.
        write_initial(area, unsafe.load(u64, area + XSTATE_BV_OFFSET))


@metal
def write_initial(area: u64, present: u64) -> None:
    """Mark x87 and SSE state as in use; XSAVEOPT has not written what is as at a program's start."""
    if (present & FEATURE_X87) == 0:
        fill(unsafe.slice(u8, area, MXCSR_OFFSET), 0)
        fill(unsafe.slice(u8, area + X87_OFFSET, XMM_OFFSET - X87_OFFSET), 0)
        unsafe.store(u16, area, CONTROL_WORD)
    if (present & FEATURE_SSE) == 0:
        fill(unsafe.slice(u8, area + XMM_OFFSET, XMM_SIZE), 0)
        unsafe.store(u32, area + MXCSR_OFFSET, MXCSR)
    unsafe.store(u64, area + XSTATE_BV_OFFSET, present | FEATURES_LEGACY)


@metal
def save_registers(context: SignalContext, frame: Frame) -> None:
    """The thread's registers as the handler sees them."""
    context.r8 = frame.r8
    context.r9 = frame.r9
    context.r10 = frame.r10
    context.r11 = frame.r11
    context.r12 = frame.r12
    context.r13 = frame.r13
    context.r14 = frame.r14
    context.r15 = frame.r15
    context.rdi = frame.rdi
    context.rsi = frame.rsi
    context.rbp = frame.rbp
    context.rbx = frame.rbx
    context.rdx = frame.rdx
    context.rax = frame.rax
    context.rcx = frame.rcx
    context.rsp = frame.rsp
    context.rip = frame.rip
    context.flags = frame.rflags
    context.cs = USER_CODE
    context.ss = USER_DATA


@metal
def signal_frame_pop(frame: Frame, float_area: u64, scratch: Slice[u8], out: SignalReturn) -> bool:
    """Go back to where the frame below the stack pointer says. False if it isn't a frame that can be gone back to; then
    the thread's registers are unchanged.

    `scratch` lies at a multiple of 64 and takes float_size() bytes. May fault and sleep: no lock is held.
    """
    address = wrapping(frame.rsp - 8)
    user = UserContext()
    if not accessible(address, sizeof(SignalFrame)):
        return False
    if user_copy_in(unsafe.address(user), address + USER_OFFSET, sizeof(UserContext)) != 0:
        return False
    context = user.context
    strict = (user.flags & UC_STRICT_RESTORE_SS) != 0
    if (context.cs | 3) != USER_CODE or (strict and (context.ss | 3) != USER_DATA) or context.rip >= USER_TOP:
        return False
    if context.float_address == 0:
        float_init(float_area)
    else:
        if not take_float_state(context.float_address, scratch, mxcsr_mask(float_area)):
            return False
        size = float_size()
        unsafe.slice(u8, float_area, size)[0:size] = scratch[0:size]
    float_restore(float_area)
    restore_registers(frame, context)
    out.mask = user.mask
    copy(out.stack, user.stack)
    return True


@metal
def restore_registers(frame: Frame, context: SignalContext) -> None:
    """Take the registers from a context, none of which can hurt after make_safe."""
    frame.r8 = context.r8
    frame.r9 = context.r9
    frame.r10 = context.r10
    frame.r11 = context.r11
    frame.r12 = context.r12
    frame.r13 = context.r13
    frame.r14 = context.r14
    frame.r15 = context.r15
    frame.rdi = context.rdi
    frame.rsi = context.rsi
    frame.rbp = context.rbp
    frame.rbx = context.rbx
    frame.rdx = context.rdx
    frame.rax = context.rax
    frame.rcx = context.rcx
    frame.rsp = context.rsp
    frame.rip = context.rip
    frame.rflags = (frame.rflags & ~u64(FLAGS_RESTORED)) | (context.flags & FLAGS_RESTORED)
    frame.make_safe()


@metal
def mxcsr_mask(float_area: u64) -> u32:
    """The bits of MXCSR that this processor has, by a fresh save of the thread's state."""
    float_save(float_area)
    mask = unsafe.load(u32, float_area + MXCSR_MASK_OFFSET)
    return mask if mask != 0 else MXCSR_DEFAULT_MASK


@metal
def take_float_state(address: u64, scratch: Slice[u8], mask: u32) -> bool:
    """Copy vector state that a program wrote into `scratch`, in a form that can be restored without a fault.

    False if it can't be read, or has what the processor would refuse: Linux sends SIGSEGV then, too.
    """
    size = float_size()
    alignment: u64 = 16 if size == LEGACY_SIZE else 64
    if address % alignment != 0:
        return False
    if not accessible(address, LEGACY_SIZE):
        return False
    base = unsafe.address(scratch)
    fill(scratch, 0)
    if user_copy_in(base, address, LEGACY_SIZE) != 0:
        return False
    if (unsafe.load(u32, base + MXCSR_OFFSET) & ~mask) != 0:
        return False
    if size == LEGACY_SIZE:
        return True
    words = unsafe.at(SoftwareWords, base + SOFTWARE_OFFSET)
    wanted: u64 = FEATURES_LEGACY
    if words.magic == FP_XSTATE_MAGIC1 and sized(words, size):
        second = Array[u32, 1]()
        length = u64(words.size)
        if not accessible(address, length + MAGIC2_SIZE):
            return False
        if user_copy_in(unsafe.address(second), address + length, MAGIC2_SIZE) != 0:
            return False
        if second[0] == FP_XSTATE_MAGIC2:
            wanted = words.features
            if user_copy_in(base + LEGACY_SIZE, address + LEGACY_SIZE, length - LEGACY_SIZE) != 0:
                return False
            return check_header(base, wanted)
    unsafe.store(u64, base + XSTATE_BV_OFFSET, FEATURES_LEGACY)
    return True


@metal
def sized(words: SoftwareWords, size: u64) -> bool:
    """Whether the sizes in the software-reserved words make sense (Linux check_xstate_in_sigframe)."""
    length = u64(words.size)
    return length >= LEGACY_SIZE + HEADER_SIZE and length <= size and length <= u64(words.extended_size)


@metal
def check_header(base: u64, wanted: u64) -> bool:
    """Bring the XSAVE header in order: what isn't wanted starts afresh. False for what XRSTOR refuses."""
    present = unsafe.load(u64, base + XSTATE_BV_OFFSET)
    if (present & ~float_mask()) != 0 or unsafe.load(u64, base + XCOMP_BV_OFFSET) != 0:
        return False
    if unsafe.load(u64, base + XCOMP_BV_OFFSET + 8) != 0:
        return False
    unsafe.store(u64, base + XSTATE_BV_OFFSET, present & wanted)
    return True


@metal
def call_restart_by(frame: Frame) -> None:
    """Make the program call restart_syscall where it made the call that was interrupted."""
    frame.restart_call()
    frame.rax = RESTART_SYSCALL
