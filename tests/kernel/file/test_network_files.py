"""/proc/net of a machine that has nothing but loopback: what Linux shows there."""

import subprocess

from tests.kernel.syscall.bench import Machine
from tests.kernel.syscall.linux import needs_linux, needs_own_tree

FILES = ["dev", "if_inet6", "igmp", "igmp6", "route"]


@needs_linux
@needs_own_tree
def test_files_are_those_of_linux():
    up = "import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh14x', b'lo', 0x49))"
    script = f'python3 -c "{up}"; for name in {" ".join(FILES)}; do cat /proc/self/net/$name; echo END; done'
    shown = subprocess.run(["unshare", "-n", "sh", "-c", script], check=True, capture_output=True).stdout
    machine = Machine()
    for name, theirs in zip(FILES, shown.split(b"END\n"), strict=False):
        assert machine.file(b"/proc/net/" + name.encode()) == theirs, name


def test_a_line_has_no_border():
    machine = Machine()
    assert machine.file(b"/proc/self/net/dev", 7) == machine.file(b"/proc/self/net/dev")
