"""The numbers of a process or thread: /proc/PID/stat, statm and status (proc(5), Linux fs/proc/array.c)."""

from goanna.kernel.arch import PAGE_SIZE
from goanna.kernel.base.text import Text
from goanna.kernel.file.accounting_files import write_allowed
from goanna.kernel.file.place import drop_place
from goanna.kernel.file.subject import Subject, hold_place, hold_space
from goanna.kernel.file.terminal_calls import device_of
from goanna.kernel.memory.space import AddressSpace, release
from goanna.kernel.thread.process import (
    FAULTS,
    MAJOR_FAULTS,
    PREEMPTIONS,
    SWITCHES,
    Process,
    Usage,
    tree_lock,
)
from goanna.kernel.thread.thread import Thread, ThreadState
from goanna.kernel.thread.usage import usage_of, usage_of_thread
from goanna.metal import Slice, copy, i64, metal, struct, u8, u32, u64

TICK = 10_000_000  # nanoseconds: USER_HZ is 100
INFINITY = 0xFFFFFFFFFFFFFFFF
KIBIBYTE = 1024


@struct
class Memory:
    """The sizes of an address space, in bytes."""

    mapped: u64
    resident: u64
    peak: u64
    locked: u64
    data: u64
    code: u64
    stack_start: u64
    code_start: u64
    code_end: u64
    data_start: u64
    data_end: u64
    break_start: u64
    argument_start: u64
    argument_end: u64
    environment_start: u64
    environment_end: u64


@metal
def measure(memory: Memory, process: Process) -> None:
    """Read the sizes; zeros for a process at its end."""
    space = hold_space(process)
    if space is None:
        return
    with space.lock:
        copy_sizes(memory, space)
    release(space)


@metal
def copy_sizes(memory: Memory, space: AddressSpace) -> None:
    """The same with the space's lock."""
    memory.mapped = space.mapped
    memory.resident = space.committed * PAGE_SIZE
    memory.peak = space.peak * PAGE_SIZE
    memory.locked = space.locked
    memory.data = space.data
    memory.code = space.code_end - space.code_start
    memory.stack_start = space.stack_start
    memory.code_start = space.code_start
    memory.code_end = space.code_end
    memory.data_start = space.data_start
    memory.data_end = space.data_end
    memory.break_start = space.break_start
    memory.argument_start = space.argument_start
    memory.argument_end = space.argument_end
    memory.environment_start = space.environment_start
    memory.environment_end = space.environment_end


@metal
def state_letter(thread: Thread) -> u8:
    """R running, S asleep, T stopped, Z ended."""
    if thread.state == ThreadState.DEAD or thread.process.zombie:
        return 0x5A
    with tree_lock:
        signals = thread.signals
        if signals is not None and signals.stopped:
            return 0x54
    return 0x53 if thread.state == ThreadState.BLOCKED else u8(0x52)


@metal
def state_name(letter: u8) -> Slice[u8]:
    """What status calls it."""
    match letter:
        case 0x53:
            return b" (sleeping)\n"
        case 0x54:
            return b" (stopped)\n"
        case 0x5A:
            return b" (zombie)\n"
        case _:
            return b" (running)\n"


@metal
def parent_of(process: Process) -> u64:
    """The number of a process's parent; 0: it has none."""
    with tree_lock:
        parent = process.parent
        return u64(0) if parent is None else u64(parent.id)


@metal
def write_terminal_of(text: Text, process: Process) -> None:
    """tty_nr and tpgid: the controlling terminal and the group in front of it; 0 and -1 if there is none."""
    device: u32 = 0
    group: i64 = -1
    with tree_lock:
        terminal = process.terminal
        if terminal is not None:
            device = device_of(terminal)
            group = i64(terminal.group)
    text.byte(0x20)
    text.number(u64(device))
    text.byte(0x20)
    text.signed(group)


@struct
class SignalSets:
    """The signals of a thread and its process, by what becomes of them."""

    own: u64  # pending for the thread
    shared: u64  # pending for the process
    blocked: u64
    ignored: u64
    caught: u64


@metal
def read_signals(sets: SignalSets, thread: Thread) -> None:
    """Read the sets; zeros for a thread at its end."""
    with tree_lock:
        signals = thread.process.signals
        if signals is None:
            return
        with signals.lock:
            sets.shared = signals.pending.set
            if thread.signals is not None:
                sets.own = thread.signals.pending.set
                sets.blocked = thread.signals.blocked
            for index in range(u64(0), u64(64)):
                handler = signals.actions[index].handler
                if handler == 1:
                    sets.ignored |= u64(1) << index
                elif handler != 0:
                    sets.caught |= u64(1) << index


@metal
def numbers(text: Text, first: u64, second: u64, third: u64, fourth: u64) -> None:
    """Four numbers, each after a space."""
    text.byte(0x20)
    text.number(first)
    text.byte(0x20)
    text.number(second)
    text.byte(0x20)
    text.number(third)
    text.byte(0x20)
    text.number(fourth)


# PF_ flags, Linux include/linux/sched.h.
FORKED = 0x40  # but has not run execve
RANDOMIZED = 0x400000  # addresses are chosen at random


@metal
def user_ticks(usage: Usage) -> u64:
    """The program's own time, in clock ticks."""
    return (usage.time - usage.system) // TICK


@metal
def write_stat(text: Text, subject: Subject) -> i64:
    """stat: 52 fields on a line."""
    thread: Thread = subject.thread
    process: Process = subject.process
    memory = Memory()
    measure(memory, process)
    sets = SignalSets()
    read_signals(sets, thread)
    used = Usage()
    reaped = Usage()
    with tree_lock:
        if subject.is_thread:
            usage_of_thread(thread, used)
        else:
            usage_of(process, used)
        copy(reaped, process.reaped)
    text.number(u64(thread.id))
    text.put(b" (")
    text.string(thread.name[:])
    text.put(b") ")
    text.byte(state_letter(thread))
    text.byte(0x20)
    text.number(parent_of(process))
    text.byte(0x20)
    text.number(u64(process.group))
    text.byte(0x20)
    text.number(u64(process.session))
    write_terminal_of(text, process)
    flags: u64 = RANDOMIZED if process.executed else RANDOMIZED | FORKED
    numbers(text, flags, used.counts[FAULTS], reaped.counts[FAULTS], used.counts[MAJOR_FAULTS])
    numbers(text, reaped.counts[MAJOR_FAULTS], user_ticks(used), used.system // TICK, user_ticks(reaped))
    text.byte(0x20)
    text.number(reaped.system // TICK)
    text.byte(0x20)
    text.number(u64(thread.nice + 20))
    text.byte(0x20)
    text.signed(i64(thread.nice))
    numbers(text, u64(process.thread_count), 0, process.started // TICK, memory.mapped)
    numbers(text, memory.resident // PAGE_SIZE, INFINITY, memory.code_start, memory.code_end)
    numbers(text, memory.stack_start, 0, 0, sets.own)
    numbers(text, sets.blocked, sets.ignored, sets.caught, 0)
    numbers(text, 0, 0, 17, u64(thread.processor))
    numbers(text, 0, u64(thread.policy), 0, 0)
    numbers(text, 0, memory.data_start, memory.data_end, memory.break_start)
    numbers(text, memory.argument_start, memory.argument_end, memory.environment_start, memory.environment_end)
    text.put(b" 0\n")
    return 0


@metal
def write_statm(text: Text, subject: Subject) -> i64:
    """statm: size, resident, shared, text, lib, data, dt, in pages."""
    memory = Memory()
    measure(memory, subject.process)
    text.number(memory.mapped // PAGE_SIZE)
    numbers(text, memory.resident // PAGE_SIZE, 0, (memory.code + PAGE_SIZE - 1) // PAGE_SIZE, 0)
    text.byte(0x20)
    text.number(memory.data // PAGE_SIZE)
    text.put(b" 0\n")
    return 0


@metal
def size_line(text: Text, name: Slice[u8], bytes: u64) -> None:
    """A line of status with a size."""
    text.put(name)
    text.padded(bytes // KIBIBYTE, 8)
    text.put(b" kB\n")


@metal
def four(text: Text, name: Slice[u8], first: u32, second: u32, third: u32, fourth: u32) -> None:
    """A line of status with four identities."""
    text.put(name)
    text.number(u64(first))
    text.byte(0x09)
    text.number(u64(second))
    text.byte(0x09)
    text.number(u64(third))
    text.byte(0x09)
    text.number(u64(fourth))
    text.byte(0x0A)


@metal
def set_line(text: Text, name: Slice[u8], bits: u64) -> None:
    """A line of status with a set."""
    text.put(name)
    text.hexadecimal(bits, 16)
    text.byte(0x0A)


@metal
def write_status(text: Text, subject: Subject) -> i64:
    """status: a line for each thing."""
    thread: Thread = subject.thread
    process: Process = subject.process
    text.put(b"Name:\t")
    text.string(thread.name[:])
    place = hold_place(process)
    if place is not None:
        text.put(b"\nUmask:\t")
        text.octal(u64(place.umask), 4)
        drop_place(place)
    text.put(b"\nState:\t")
    letter = state_letter(thread)
    text.byte(letter)
    text.put(state_name(letter))
    text.line(b"Tgid:\t", u64(process.id))
    text.put(b"Ngid:\t0\n")
    text.line(b"Pid:\t", u64(thread.id))
    text.line(b"PPid:\t", parent_of(process))
    text.put(b"TracerPid:\t0\n")
    me = process.credentials
    four(text, b"Uid:\t", me.user, me.effective_user, me.saved_user, me.file_user)
    four(text, b"Gid:\t", me.group, me.effective_group, me.saved_group, me.file_group)
    text.put(b"FDSize:\t64\nGroups:\t")
    for index in range(u64(me.group_count)):
        text.number(u64(me.groups[index]))
        text.byte(0x20)
    text.put(b" \n" if me.group_count == 0 else b"\n")
    text.line(b"NStgid:\t", u64(process.id))
    text.line(b"NSpid:\t", u64(thread.id))
    text.line(b"NSpgid:\t", u64(process.group))
    text.line(b"NSsid:\t", u64(process.session))
    text.put(b"Kthread:\t0\n")
    write_memory_status(text, process)
    text.put(b"CoreDumping:\t0\nTHP_enabled:\t1\n")
    text.line(b"Threads:\t", u64(process.thread_count))
    write_signal_status(text, thread)
    set_line(text, b"CapInh:\t", me.inheritable)
    set_line(text, b"CapPrm:\t", me.permitted)
    set_line(text, b"CapEff:\t", me.effective)
    set_line(text, b"CapBnd:\t", me.bounding)
    set_line(text, b"CapAmb:\t", me.ambient)
    text.line(b"NoNewPrivs:\t", u64(me.no_new_privileges))
    text.put(b"Seccomp:\t0\nSeccomp_filters:\t0\n")
    write_allowed(text, thread)
    text.line(b"voluntary_ctxt_switches:\t", thread.counts[SWITCHES].load())
    text.line(b"nonvoluntary_ctxt_switches:\t", thread.counts[PREEMPTIONS].load())
    return 0


@metal
def write_memory_status(text: Text, process: Process) -> None:
    """The Vm lines."""
    memory = Memory()
    measure(memory, process)
    size_line(text, b"VmPeak:\t", memory.mapped)
    size_line(text, b"VmSize:\t", memory.mapped)
    size_line(text, b"VmLck:\t", memory.locked)
    size_line(text, b"VmPin:\t", 0)
    size_line(text, b"VmHWM:\t", memory.peak)
    size_line(text, b"VmRSS:\t", memory.resident)
    size_line(text, b"VmData:\t", memory.data)
    size_line(text, b"VmExe:\t", memory.code)
    size_line(text, b"VmLib:\t", 0)
    size_line(text, b"VmSwap:\t", 0)


@metal
def write_signal_status(text: Text, thread: Thread) -> None:
    """The lines of pending, blocked, ignored and caught signals."""
    sets = SignalSets()
    read_signals(sets, thread)
    set_line(text, b"SigPnd:\t", sets.own)
    set_line(text, b"ShdPnd:\t", sets.shared)
    set_line(text, b"SigBlk:\t", sets.blocked)
    set_line(text, b"SigIgn:\t", sets.ignored)
    set_line(text, b"SigCgt:\t", sets.caught)
