"""The 16550 serial port: the console and the control channel.

Registers as in the National Semiconductor PC16550D data sheet. The driver holds no text back: bytes go to the transmit
FIFO when there is room. What arrives is read by polling or from the interrupt; nobody locks here, the caller does.
"""

from goanna.metal import Array, Fn, Slice, constant, struct, u8, u64, wrapping

__all__ = ["Serial"]

DATA, INTERRUPTS, FIFO, LINE, MODEM, LINE_STATUS, SCRATCH = 0, 1, 2, 3, 4, 5, 7
DIVISOR_LOW, DIVISOR_HIGH = 0, 1  # while DIVISOR_ACCESS is set

RECEIVED, EMPTY = 1 << 0, 1 << 5  # line status: a byte is there; the transmit FIFO is empty
IDLE = 1 << 6  # line status: the last byte has left the port
RECEIVE_INTERRUPT = 1 << 0
FIFO_ON = 0x07  # on, both cleared, interrupt from the first byte
EIGHT_BITS, DIVISOR_ACCESS = 0x03, 0x80
READY = 0x0B  # DTR, RTS, OUT2, which lets the interrupt through
FIFO_SIZE = 16
ABSENT = 0xFF  # what reading an unused port gives


@struct
class Setting:
    """A register and its value."""

    register: u64
    value: u8


# Registers and what they are set to, in this order: 115200 baud, 8 bits, no parity, FIFO on, no interrupt.
SETUP = constant(
    Array[Setting, 7],
    [
        {"register": INTERRUPTS, "value": 0},
        {"register": LINE, "value": DIVISOR_ACCESS},
        {"register": DIVISOR_LOW, "value": 1},
        {"register": DIVISOR_HIGH, "value": 0},
        {"register": LINE, "value": EIGHT_BITS},
        {"register": FIFO, "value": FIFO_ON},
        {"register": MODEM, "value": READY},
    ],
)
PATIENCE = 10_000_000  # readings of the line status; a port that stays busy longer loses the text


@struct
class Serial:
    """One port. `base` is its first register's address in whatever space `read` and `write` reach."""

    base: u64
    read: Fn[[u64], u8]
    write: Fn[[u64, u8], None]
    room: u64  # bytes the transmit FIFO is known to take

    def start(self) -> bool:
        """Set up 115200 baud, 8 bits, no parity, FIFO on, no interrupt. False: there is no such port."""
        self.write(self.base + SCRATCH, 0x5A)
        if self.read(self.base + SCRATCH) != 0x5A or self.read(self.base + LINE_STATUS) == ABSENT:
            return False
        for step in range(u64(len(SETUP))):
            self.write(wrapping(self.base + SETUP[step].register), SETUP[step].value)
        return True

    def interrupt_on_receive(self, wanted: bool) -> None:
        """Whether a byte that arrives interrupts."""
        self.write(self.base + INTERRUPTS, RECEIVE_INTERRUPT if wanted else 0)

    def put(self, byte: u8) -> None:
        """Send a byte, waiting for room."""
        if self.room == 0:
            for _ in range(PATIENCE):
                if self.read(self.base + LINE_STATUS) & EMPTY != 0:
                    break
            self.room = FIFO_SIZE
        self.write(self.base + DATA, byte)
        self.room -= 1

    def write_all(self, data: Slice[u8]) -> None:
        """Send all bytes, waiting for room."""
        for byte in data:
            self.put(byte)

    def drain(self) -> None:
        """Wait until the last byte has left the port: what it still holds is lost when the machine stops."""
        for _ in range(PATIENCE):
            if self.read(self.base + LINE_STATUS) & IDLE != 0:
                return

    def available(self) -> bool:
        """Whether a byte has arrived."""
        return self.read(self.base + LINE_STATUS) & RECEIVED != 0

    def receive(self, target: Slice[u8]) -> u64:
        """Take what has arrived, as much as fits. Gives the number of bytes; never waits."""
        count: u64 = 0
        while count < len(target) and self.available():
            target[count] = self.read(self.base + DATA)
            count += 1
        return count
