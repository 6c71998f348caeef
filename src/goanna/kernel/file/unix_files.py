"""/proc/net/unix: all Unix sockets, and those that wait to be accepted (proc_pid_net(5))."""

from goanna.kernel.base.text import Text
from goanna.kernel.file.declare import Generated
from goanna.kernel.file.network_files import upper
from goanna.kernel.file.subject import Subject
from goanna.kernel.net.unix.endpoint import Endpoint, State
from goanna.kernel.net.unix.names import everybody, names_lock
from goanna.metal import i64, metal, u64

__all__ = ["FILES"]

LISTENS = 0x10000  # SO_ACCEPTCON among the flags
UNCONNECTED, CONNECTING, CONNECTED = 1, 2, 3  # Linux's socket_state


@metal
def write_unix(text: Text, subject: Subject) -> i64:
    """The youngest last."""
    text.put(b"Num       RefCount Protocol Flags    Type St Inode Path\n")
    with names_lock:
        each = everybody.head()
        while each is not None:
            add(text, each)
            each = everybody.after(each)
    return 0


@metal
def add(text: Text, self: Endpoint) -> None:
    """Write a socket's line; what the name begins with says whether it is a path, and zero bytes are shown as @."""
    waits = self.pending_link.linked()
    connected = self.state == State.CONNECTED or not self.friends.empty()  # datagrams count from either side
    state: u64 = CONNECTED if connected else UNCONNECTED
    text.put(b"0000000000000000: ")
    upper(text, u64(self.references.load()) + 1, 8)
    text.put(b" 00000000 ")
    upper(text, LISTENS if self.state == State.LISTENING else u64(0), 8)
    text.byte(0x20)
    upper(text, u64(self.socket.kind), 4)
    text.byte(0x20)
    upper(text, u64(CONNECTING) if waits else state, 2)
    text.byte(0x20)
    text.padded(0 if waits else self.socket.inode, 5)
    name = self.address()
    if len(name) != 0:
        text.byte(0x20)
        abstract = name[0] == 0
        for byte in name if abstract else name[0 : len(name) - 1]:
            text.byte(byte if byte != 0 else 0x40)
    text.byte(0x0A)


FILES = [Generated("/proc/{pid}/net/unix", 0o444, text=write_unix)]
