"""Speaks to QEMU itself, by its command socket (QMP): only when a machine has to be stopped from outside."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket

from qemu.qmp import QMPClient, QMPError

# Of QEMU's register listing, what tells where a processor stands.
_REGISTERS = re.compile(r"CPU#\d+|[RE]IP=[0-9a-f]+|[RE]SP=[0-9a-f]+|CR2=[0-9a-f]+|CR3=[0-9a-f]+|HLT=\d")


def quit_machine(commands: socket.socket, describe: bool, limit: float) -> str:
    """Ask QEMU to end, within `limit` seconds. Gives where its processors stood if `describe`, and else nothing."""
    # Whoever stops a machine doesn't want to hear that its socket closed.
    logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)
    try:
        return asyncio.run(asyncio.wait_for(_quit(commands, describe), limit))
    except (TimeoutError, QMPError, OSError, EOFError):
        return ""


async def _quit(commands: socket.socket, describe: bool) -> str:
    client = QMPClient("goanna")
    await client.connect(commands)
    state = ""
    if describe:
        text = await client.execute("human-monitor-command", {"command-line": "info registers -a"})
        state = "processors: " + " ".join(_REGISTERS.findall(str(text)))
    await client.execute("quit")
    with contextlib.suppress(QMPError, OSError, EOFError):
        await client.disconnect()
    return state
