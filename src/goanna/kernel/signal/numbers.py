"""Signal numbers, action flags and siginfo codes, as programs know them on x86-64, arm64 and riscv64 alike.

Sources: Linux include/uapi/asm-generic/{signal,signal-defs,siginfo}.h, include/linux/signal.h for the default actions.
"""

SIGHUP = 1
SIGINT = 2
SIGQUIT = 3
SIGILL = 4
SIGTRAP = 5
SIGABRT = 6
SIGBUS = 7
SIGFPE = 8
SIGKILL = 9
SIGUSR1 = 10
SIGSEGV = 11
SIGUSR2 = 12
SIGPIPE = 13
SIGALRM = 14
SIGTERM = 15
SIGSTKFLT = 16
SIGCHLD = 17
SIGCONT = 18
SIGSTOP = 19
SIGTSTP = 20
SIGTTIN = 21
SIGTTOU = 22
SIGURG = 23
SIGXCPU = 24
SIGXFSZ = 25
SIGVTALRM = 26
SIGPROF = 27
SIGWINCH = 28
SIGIO = 29
SIGPWR = 30
SIGSYS = 31
SIGRTMIN = 32
SIGNALS = 64  # the highest number

SIGSET_SIZE = 8  # bytes of the kernel's sigset_t


def bits(*numbers: int) -> int:
    """The mask with these signals in it."""
    return sum(1 << (number - 1) for number in numbers)


# What a signal without a handler does; what is in none of these ends the process.
IGNORED = bits(SIGCONT, SIGCHLD, SIGWINCH, SIGURG)
STOPPING = bits(SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU)
DUMPING = bits(SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGFPE, SIGSEGV, SIGBUS, SIGSYS, SIGXCPU, SIGXFSZ)

UNBLOCKABLE = bits(SIGKILL, SIGSTOP)
# Raised by the instruction that the thread is at: delivered before all others.
SYNCHRONOUS = bits(SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS)

SIG_DFL = 0
SIG_IGN = 1

SA_NOCLDSTOP = 0x00000001
SA_NOCLDWAIT = 0x00000002
SA_SIGINFO = 0x00000004
SA_EXPOSE_TAGBITS = 0x00000800
SA_RESTORER = 0x04000000
SA_ONSTACK = 0x08000000
SA_RESTART = 0x10000000
SA_NODEFER = 0x40000000
SA_RESETHAND = 0x80000000

SIG_BLOCK = 0
SIG_UNBLOCK = 1
SIG_SETMASK = 2

SS_ONSTACK = 1
SS_DISABLE = 2
SS_AUTODISARM = 1 << 31

# si_code: who sent it.
SI_USER = 0
SI_KERNEL = 0x80
SI_QUEUE = -1
SI_TIMER = -2
SI_MESGQ = -3
SI_ASYNCIO = -4
SI_SIGIO = -5
SI_TKILL = -6
SI_DETHREAD = -7
SI_ASYNCNL = -60

# si_code: what happened.
ILL_ILLOPN = 2
FPE_INTDIV = 1
FPE_INTOVF = 2
FPE_FLTDIV = 3
FPE_FLTOVF = 4
FPE_FLTUND = 5
FPE_FLTRES = 6
FPE_FLTINV = 7
SEGV_MAPERR = 1
SEGV_ACCERR = 2
BUS_ADRALN = 1
BUS_ADRERR = 2
TRAP_BRKPT = 1
TRAP_TRACE = 2
CLD_EXITED = 1
CLD_KILLED = 2
CLD_DUMPED = 3
CLD_TRAPPED = 4
CLD_STOPPED = 5
CLD_CONTINUED = 6

# The highest si_code with a meaning of its own (Linux kernel/signal.c sig_sicodes); other signals may carry SIGIO's.
HIGHEST_CODE = {SIGILL: 11, SIGFPE: 15, SIGSEGV: 10, SIGBUS: 5, SIGTRAP: 6, SIGCHLD: 6, SIGSYS: 2}
HIGHEST_POLL_CODE = 6

SIGEV_SIGNAL = 0
SIGEV_NONE = 1
SIGEV_THREAD = 2
SIGEV_THREAD_ID = 4

RLIMIT_SIGPENDING = 11
