"""What a terminal is set to: struct termios, struct winsize, and the numbers of the calls on them (termios(3),
ioctl_tty(2); Linux include/uapi/asm-generic/termbits.h and ioctls.h, which all our architectures use).
"""

from goanna.metal import Array, constant, sizeof, struct, u8, u16, u32

# Input.
BRKINT, PARMRK, ISTRIP, INLCR, IGNCR, ICRNL, IUCLC = 0x2, 0x8, 0x20, 0x40, 0x80, 0x100, 0x200
IXON, IXANY, IMAXBEL, IUTF8 = 0x400, 0x800, 0x2000, 0x4000
# Output.
OPOST, OLCUC, ONLCR, OCRNL, ONOCR, ONLRET = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
TABS, SPACES_FOR_TABS = 0x1800, 0x1800
# Control: 38,400 baud, 8 bits, receiver on, hang up on last close.
B38400, CS8, CREAD, HUPCL = 0xF, 0x30, 0x80, 0x400
SPEED = 38400
# Local.
ISIG, ICANON, ECHO, ECHOE, ECHOK, ECHONL, NOFLSH = 0x1, 0x2, 0x8, 0x10, 0x20, 0x40, 0x80
TOSTOP, ECHOCTL, ECHOKE, IEXTEN, EXTPROC = 0x100, 0x200, 0x800, 0x8000, 0x10000

CHARACTERS = 19  # NCCS
(VINTR, VQUIT, VERASE, VKILL, VEOF, VTIME, VMIN, VSWTC, VSTART, VSTOP, VSUSP, VEOL, VREPRINT, VDISCARD, VWERASE,
 VLNEXT, VEOL2) = range(17)  # fmt: skip
DISABLED = 0  # a special character that there is none of

TCGETS, TCSETS, TCSETSW, TCSETSF = 0x5401, 0x5402, 0x5403, 0x5404
TCGETA, TCSETA, TCSETAW, TCSETAF = 0x5405, 0x5406, 0x5407, 0x5408
TCSBRK, TCXONC, TCFLSH, TIOCEXCL, TIOCNXCL, TIOCSCTTY = 0x5409, 0x540A, 0x540B, 0x540C, 0x540D, 0x540E
TIOCGPGRP, TIOCSPGRP, TIOCOUTQ, TIOCSTI, TIOCGWINSZ, TIOCSWINSZ = 0x540F, 0x5410, 0x5411, 0x5412, 0x5413, 0x5414
TIOCPKT, TIOCNOTTY, TIOCSETD, TIOCGETD, TCSBRKP, TIOCGSID = 0x5420, 0x5422, 0x5423, 0x5424, 0x5425, 0x5429
TCGETS2, TCSETS2, TCSETSW2, TCSETSF2 = 0x802C542A, 0x402C542B, 0x402C542C, 0x402C542D
TIOCGPTN, TIOCSPTLCK, TIOCGDEV, TIOCVHANGUP = 0x80045430, 0x40045431, 0x80045432, 0x5437
TIOCGPKT, TIOCGPTLCK, TIOCGEXCL, TIOCGPTPEER = 0x80045438, 0x80045439, 0x80045440, 0x5441

FLUSH_INPUT, FLUSH_OUTPUT, FLUSH_BOTH = 0, 1, 2  # TCFLSH: TCIFLUSH, TCOFLUSH, TCIOFLUSH
STOP_OUTPUT, START_OUTPUT, SEND_STOP, SEND_START = 0, 1, 2, 3  # TCXONC: TCOOFF, TCOON, TCIOFF, TCION

# Packet mode: what the master's reads begin with.
PACKET_DATA, PACKET_FLUSH_READ, PACKET_FLUSH_WRITE, PACKET_STOP, PACKET_START = 0, 1, 2, 4, 8
PACKET_NO_STOP, PACKET_DO_STOP = 16, 32


@struct
class Settings:
    """struct termios2, whose first OLD_SIZE bytes are struct termios."""

    input: u32
    output: u32
    control: u32
    local: u32
    discipline: u8
    characters: Array[u8, CHARACTERS]
    input_speed: u32
    output_speed: u32


OLD_SIZE = 36
assert sizeof(Settings) == 44


@struct
class WindowSize:
    """struct winsize."""

    rows: u16
    columns: u16
    width: u16  # pixels
    height: u16


# tty_std_termios.
STANDARD = constant(
    Settings,
    {
        "input": ICRNL | IXON,
        "output": OPOST | ONLCR,
        "control": B38400 | CS8 | CREAD,
        "local": ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
        "characters": [3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0],
        "input_speed": SPEED,
        "output_speed": SPEED,
    },
)
