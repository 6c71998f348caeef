"""Two machines with guest/network in them, Goanna's and the comparison Linux's, each with ports of this computer that
lead to it through QEMU's user network: as users have it.
"""

from __future__ import annotations

import json
import re
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import programs
from benchmarks.linux import PeerUnavailable
from benchmarks.machines import Machine, linux_machine

# The program's ports, in its order: guest/network/main.go.
WEB, SINK, SOURCE, ECHO, FACTS, IDLE = range(8080, 8086)
MEMORY = 512  # MiB
DESCRIPTORS = 20_000
HOST = "127.0.0.1"
GOANNA_NETWORK = "net=address=10.0.2.15/24,gateway=10.0.2.2"
LINUX_NETWORK = "ip=10.0.2.15::10.0.2.2:255.255.255.0:peer:eth0:off"


@dataclass(frozen=True)
class Facts:
    """What the program says its machine has counted. Packets are those of the network device."""

    time: int  # ns
    idle: int  # ns
    received: int
    sent: int
    free: int  # KiB


class Peer:
    """A machine that serves."""

    def __init__(self, name: str, machine: Machine, folder: Path, counting: bool) -> None:
        self.name = name
        self.ports = dict(zip((WEB, SINK, SOURCE, ECHO, FACTS, IDLE), _free_ports(6), strict=True))
        forwards = [
            f"hostfwd={'udp' if port == ECHO else 'tcp'}:{HOST}:{here}-:{port}" for port, here in self.ports.items()
        ]
        self._monitor = folder / f"{name}{counting}.qmp"
        words = [
            "-netdev", ",".join(["user,id=n0", *forwards]), "-device", "virtio-net-device,netdev=n0",
            "-qmp", f"unix:{self._monitor},server=on,wait=off",
        ]  # fmt: skip
        if counting:
            # Recording is what makes QEMU tell how many instructions the guest has executed. It slows every look at a
            # clock down, and Linux calibrates a timer for 100 ms of its time: those are not to be 100 million looks.
            words += ["-icount", f"shift=3,rr=record,rrfile={folder / name}.rr"]
        self._process = subprocess.Popen(
            machine.command("microvm", MEMORY, *words),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def connect(self, port: int) -> socket.socket:
        """A connection to one of the program's TCP ports. QEMU has room for one that the machine has not taken yet, and
        accepts it long before the machine does: so where the program greets, that has been heard."""
        made = socket.create_connection((HOST, self.ports[port]), timeout=30)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if port != WEB and len(made.recv(1)) != 1:
            made.close()
            raise ConnectionError(f"{self.name} ended a connection")
        return made

    def wait(self, seconds: float = 60) -> None:
        """Wait until the program serves; QEMU accepts connections long before, and ends them."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self.facts()
            except (OSError, ValueError):
                if self._process.poll() is not None:
                    break
                time.sleep(0.2)
            else:
                return
        raise PeerUnavailable(f"{self.name} did not serve within {seconds:.0f} s")

    def facts(self, collect: bool = False) -> Facts:
        """What the machine has counted; `collect` has the program give back its own memory first."""
        with self.connect(FACTS) as connection, connection.makefile("rw") as stream:
            stream.write("collect\n" if collect else "now\n")
            stream.flush()
            words = stream.readline().split()
            if len(words) != 5:
                raise ValueError(f"{self.name} told {words}")
            return Facts(*map(int, words))

    def instructions(self) -> int:
        """How many instructions the guest has executed. Of a counting machine."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self._monitor))
            stream = monitor.makefile("rw")
            stream.readline()
            answer = ""
            for request in (
                {"execute": "qmp_capabilities"},
                {"execute": "human-monitor-command", "arguments": {"command-line": "info replay"}},
            ):
                stream.write(json.dumps(request))
                stream.flush()
                while "return" not in (answer := stream.readline()):
                    pass
        found = re.search(r"instruction count = (\d+)", answer)
        if found is None:
            raise PeerUnavailable(f"this QEMU doesn't say how many instructions were executed: {answer}")
        return int(found[1])

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def _free_ports(count: int) -> list[int]:
    """Ports of this computer that nobody listens at."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def peers(folder: Path, counting: bool = False) -> Iterator[tuple[list[Peer], str]]:
    """Both machines, serving, Goanna's first; and why Linux is missing where it can't be had."""
    # Ten thousand connections are as many descriptors, here and in QEMU, which inherits the limit.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, DESCRIPTORS) if most >= 0 else DESCRIPTORS, most))
    program = programs.network(folder)
    image = programs.image(program)
    machines = {"Goanna": Machine(image, ("-append", GOANNA_NETWORK))}
    missing = ""
    try:
        machines["Linux"] = linux_machine(program, folder, boot=LINUX_NETWORK)
    except PeerUnavailable as reason:
        missing = f"Linux not measured: {str(reason).splitlines()[0]}"
    with ExitStack() as stack:
        made = []
        for name, machine in machines.items():
            made.append(Peer(name, machine, folder, counting))
            stack.callback(made[-1].stop)
        for each in made:
            each.wait()
        yield made, missing
