"""A terminal: what was typed and not yet read, what was written and not yet shown, and who is in front of it.

line_discipline.py puts in what is typed, terminal_output.py what is written; programs come by terminal_file.py, and
terminal_session.py knows whose controlling terminal it is. At the other end is the runner's terminal, or the master of
a pseudo-terminal (pseudo_terminal.py). Linux: struct tty_struct with n_tty's data.
"""

from goanna.kernel.arch import physical, virtual
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.terminal_settings import ICANON, STANDARD, Settings, WindowSize
from goanna.kernel.file.watch import Watchers
from goanna.kernel.memory import pages
from goanna.kernel.memory.objects import Cache
from goanna.kernel.thread.wait import WaitQueue
from goanna.metal import Array, Fn, Slice, copy, hook, metal, struct, u8, u32, u64, unsafe

INPUT_SIZE = 4096  # N_TTY_BUF_SIZE
OUTPUT_SIZE = 4096
WORD = 64

# Bytes that the runner's terminal is to show: how many of the first it takes now. With the terminal's lock held.
show_bytes = hook(Fn[[Slice[u8]], u64])
# There is room again for what is typed at the runner's terminal.
typing_wanted = hook(Fn[[], None])


@struct
class Terminal:
    """One terminal. Positions count all bytes ever. The process tree's lock protects `session` and `group`."""

    lock: SpinLock  # protects everything else; taken before the device's, never with the tree's
    session: u32  # whose controlling terminal it is; 0: nobody's
    group: u32  # the group in front
    number: u32  # of a pseudo-terminal
    pseudo: bool
    settings: Settings
    window: WindowSize

    input: u64  # kernel address of the ring
    head: u64  # where the next byte typed goes
    canonical: u64  # the end of the last line that is whole
    tail: u64  # what is read next
    marks: Array[u64, INPUT_SIZE // WORD]  # a bit for each byte of the ring: it ends a line
    literal: bool  # the next byte is no special character
    refused: bool  # there was no room for what was typed
    readers: WaitQueue
    typists: WaitQueue  # writers of the master, which wait for room

    output: u64  # kernel address of the ring
    written: u64
    shown: u64
    column: u32
    line_column: u32  # where the line being typed began
    stopped: bool  # by Ctrl-S or TCXONC: nothing is shown
    stopped_for_good: bool  # by TCXONC: Ctrl-Q doesn't help
    plain: bool  # the runner's terminal does itself what OPOST asks for
    writers: WaitQueue
    viewers: WaitQueue  # readers of the master
    watchers: Watchers
    master_watchers: Watchers

    signals: u64  # to be sent to the group in front once the lock is open: a bit for each number
    hangups: u64  # how often the other end went away
    exclusive: bool
    locked: bool  # the slave can't be opened yet
    packets: bool  # TIOCPKT
    packet_status: u8
    master_open: bool
    slave_opened: bool  # ever
    slaves: u32  # open descriptions of the slave
    references: u32  # one of the master, one of each description of the slave
    user: u32  # who the slave's file belongs to
    owner_group: u32
    mode: u32

    def setup(self) -> bool:
        """Get the memory. False: there is none."""
        memory = pages.allocate_order(1)
        if memory == 0:
            return False
        self.input = virtual(memory)
        self.output = self.input + INPUT_SIZE
        copy(self.settings, STANDARD)
        return True

    def has(self, flag: u32) -> bool:
        """Whether a local mode is on."""
        return self.settings.local & flag != 0

    def special(self, index: u64, byte: u8) -> bool:
        """Whether a byte is the special character of that index."""
        return byte != 0 and self.settings.characters[index] == byte

    def byte_at(self, position: u64) -> u8:
        """A byte that was typed."""
        return unsafe.load(u8, self.input + position % INPUT_SIZE)

    def marked(self, position: u64) -> bool:
        """Whether a byte that was typed ends a line."""
        place = position % INPUT_SIZE
        return (self.marks[place // WORD] >> (place % WORD)) & 1 != 0

    def mark(self, position: u64, wanted: bool) -> None:
        """Say whether a byte ends a line."""
        place = position % INPUT_SIZE
        bit = u64(1) << (place % WORD)
        word = self.marks[place // WORD]
        self.marks[place // WORD] = word | bit if wanted else word & ~bit

    def room(self) -> u64:
        """How many bytes more can be typed. One place stays free."""
        return INPUT_SIZE - 1 - min(self.head - self.tail, u64(INPUT_SIZE - 1))

    def keep(self, byte: u8, ends_line: bool) -> None:
        """Put a byte that was typed where readers find it. If there is no room, it takes the last one's place."""
        if self.room() == 0:
            self.head -= 1
        unsafe.store(u8, self.input + self.head % INPUT_SIZE, byte)
        self.mark(self.head, ends_line)
        self.head += 1
        if ends_line:
            self.canonical = self.head

    def readable(self, wanted: u64) -> bool:
        """Whether there is a line, or where there are none, `wanted` bytes."""
        if self.has(ICANON):
            return self.canonical != self.tail
        return self.head - self.tail >= wanted

    def flush_input(self) -> None:
        """Forget what was typed."""
        self.tail = self.head
        self.canonical = self.head
        if self.pseudo:
            self.tell_master(1)

    def flush_output(self) -> None:
        """Forget what was written and not shown."""
        self.shown = self.written
        self.writers.wake_all()
        if self.pseudo:
            self.tell_master(2)

    def tell_master(self, status: u8) -> None:
        """Packet mode: something happened that the master's next read says."""
        if self.packets:
            self.packet_status |= status
            self.viewers.wake_all()

    def waiting_output(self) -> u64:
        """How many bytes were written and not shown."""
        return self.written - self.shown

    def output_room(self) -> u64:
        """How many bytes more can be written."""
        return OUTPUT_SIZE - self.waiting_output()


terminals = Cache(Terminal)


@metal
def release_memory(terminal: Terminal) -> None:
    """Give back a terminal's memory and itself."""
    pages.free_order(physical(terminal.input), 1)
    terminals.free(terminal)
