"""Writes generated text, of which only a window is kept: what one read of a file in /proc asked for.

A generator writes its whole text each time; bytes before and after the window are only counted. So a file of any length
needs no more memory than one read.
"""

from goanna.metal import Array, Slice, i64, metal, struct, u8, u64, unsafe

DIGITS = b"0123456789abcdef"


@struct
class Text:
    """A text under way. `window` is filled with the bytes from `start` on."""

    window: Slice[u8]
    start: u64  # position of the window's first byte in the text
    position: u64  # bytes written so far

    def put(self, data: Slice[u8]) -> None:
        """Write bytes."""
        begin = max(self.position, self.start)
        end = min(self.position + len(data), self.start + len(self.window))
        if begin < end:
            kept = data[begin - self.position : end - self.position]
            self.window[begin - self.start : end - self.start] = kept
        self.position += len(data)

    def byte(self, value: u8) -> None:
        """Write one byte."""
        one = Array[u8, 1]()
        one[0] = value
        self.put(one)

    def number(self, value: u64) -> None:
        """Write a number in decimal."""
        self.digits(value, 10, 1, 0x20)

    def signed(self, value: i64) -> None:
        """Write a number with its sign if it is negative."""
        if value < 0:
            self.byte(0x2D)
            self.number(u64.wrap(~value) + 1)
        else:
            self.number(u64(value))

    def hexadecimal(self, value: u64, width: u64) -> None:
        """Write a number in hexadecimal, zeros in front up to `width` digits."""
        self.digits(value, 16, width, 0x30)

    def octal(self, value: u64, width: u64) -> None:
        """Write a number in octal, zeros in front up to `width` digits."""
        self.digits(value, 8, width, 0x30)

    def padded(self, value: u64, width: u64) -> None:
        """Write a number in decimal, spaces in front up to `width` characters."""
        self.digits(value, 10, width, 0x20)

    def zeros(self, value: u64, width: u64) -> None:
        """Write a number in decimal, zeros in front up to `width` digits."""
        self.digits(value, 10, width, 0x30)

    def digits(self, value: u64, base: u64, width: u64, filler: u8) -> None:
        """Write a number in a base up to 16."""
        buffer = unsafe.uninitialized(Array[u8, 24])
        place: u64 = 24
        rest = value
        while rest != 0 or place == 24:
            place -= 1
            buffer[place] = DIGITS[rest % base]
            rest = rest // base
        while 24 - place < width and place != 0:
            place -= 1
            buffer[place] = filler
        self.put(buffer[place:24])

    def line(self, name: Slice[u8], value: u64) -> None:
        """Write a name, a number and the line's end."""
        self.put(name)
        self.number(value)
        self.byte(0x0A)

    def string(self, text: Slice[u8]) -> None:
        """Write bytes up to the first zero."""
        self.put(text[0 : text_length(text)])

    def pad_to(self, column: u64, begun: u64) -> None:
        """Write spaces until `column` characters follow position `begun`."""
        while self.position - begun < column:
            self.byte(0x20)


@metal
def text_length(text: Slice[u8]) -> u64:
    """How many bytes come before the first zero."""
    length: u64 = 0
    while length < len(text) and text[length] != 0:
        length += 1
    return length
