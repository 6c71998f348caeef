"""Folders of this computer that a machine is given as they are: --share HOST[:GUEST][:ro|rw].

QEMU serves each over 9P, as the user that it runs as; the kernel mounts it (kernel/boot/shares.py).
"""

from __future__ import annotations

import os
import posixpath
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from goanna.failure import Failure

_MODES = {"ro": True, "rw": False}
_EXAMPLE = "Write it like --share ./data:/data, and :ro behind it if it is only to be read."
# As many as the kernel mounts (kernel/share/mount.py).
_MOST = 8


@dataclass(frozen=True)
class Share:
    """One folder, and where the program finds it."""

    host: Path
    guest: str
    read_only: bool


def parse_shares(texts: Sequence[str]) -> list[Share]:
    """Shares as they are written. Raises Failure for what can't be shared."""
    shares = [_parse(each) for each in texts]
    if len(shares) > _MOST:
        raise Failure(f"--share: a machine has at most {_MOST} of them, and these are {len(shares)}")
    for index, share in enumerate(shares):
        if any(each.guest == share.guest for each in shares[:index]):
            raise Failure(f"--share {texts[index]}: {share.guest} is another folder's place already")
    return shares


def _parse(text: str) -> Share:
    rest, _, mode = text.rpartition(":")
    read_only = _MODES.get(mode, False)
    if mode not in _MODES or not rest:
        rest = text
    host, colon, guest = rest.rpartition(":")
    if not colon or (not guest.startswith("/") and os.path.lexists(rest)):
        host, guest = rest, ""
    if colon and guest and not guest.startswith("/"):
        raise Failure(f"--share {text}: {guest!r} is no absolute path", _EXAMPLE)
    if not host:
        raise Failure(f"--share {text}: names no folder of this computer", _EXAMPLE)
    folder = Path(host)
    if not folder.exists():
        raise Failure(f"--share {text}: there is no {host}", "Its path is seen from the folder you are in.")
    if not folder.is_dir():
        raise Failure(f"--share {text}: {host} is no folder", f"A single file goes along by --add {host}.")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise Failure(f"--share {text}: {host} can't be read by you")
    place = posixpath.normpath(guest or f"/{folder.resolve().name}")
    if place.strip("/") == "":
        raise Failure(f"--share {text}: a shared folder can't be the root of a machine", _EXAMPLE)
    if "\0" in text:
        raise Failure(f"--share {text!r}: has a zero byte")
    return Share(folder.resolve(), "/" + place.lstrip("/"), read_only)


def told(shares: Sequence[Share]) -> list[bytes] | None:
    """What boot information says of shares."""
    if not shares:
        return None
    return [
        os.fsencode(f"{_tag(index)}:{each.guest}:{'ro' if each.read_only else 'rw'}")
        for index, each in enumerate(shares)
    ]


def share_words(shares: Sequence[Share], bus: str) -> Iterator[str]:
    """The words of QEMU's command line that give a machine its shares."""
    for index, each in enumerate(shares):
        tag = _tag(index)
        path = str(each.host).replace(",", ",,")
        # passthrough: files are made as QEMU's user makes them, with the modes that the program asks for.
        yield "-fsdev"
        yield (
            f"local,id={tag},path={path},security_model=passthrough,multidevs=remap"
            f"{',readonly=on' if each.read_only else ''}"
        )
        yield "-device"
        yield f"virtio-9p-{bus},fsdev={tag},mount_tag={tag}"


def _tag(index: int) -> str:
    return f"goanna{index}"


def check_qemu(qemu: Path) -> None:
    """Raise Failure for a QEMU that was built without shared folders."""
    done = subprocess.run(
        [qemu, "-M", "none", "-device", "virtio-9p-device,help"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise Failure(
            f"{qemu} can't share folders: it was built without virtfs",
            "Take the QEMU of your distribution, or put files into the image by --add.",
        )
