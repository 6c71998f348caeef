"""What programs expect to find around them: users, hosts, names of services, types of files, certificates, time zones.

Only what an image has no file of its own for is put in. Certificates and the time-zone files are large beside a small
program, and go into images of programs that look for them (`Needs`).
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources.abc import Traversable

from goanna.failure import Failure
from goanna.image.assembly import Assembly
from goanna.image.erofs import File, Folder, Link
from goanna.image.name_lists import MIME_TYPES, PROTOCOLS, SERVICES

ZONES = "/usr/share/zoneinfo"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"

# What a program must be found to have for the large parts (see `find_needs`).
_CERTIFICATE_MARKS = (b"/etc/ssl/certs/ca-certificates.crt", b"/etc/ssl/certs", b"/etc/ssl/cert.pem")
_ZONE_MARKS = (b"/usr/share/zoneinfo",)
_GO_ZONES = b"time.LoadLocation\0"
_GO_MARK = b"\xff Go buildinf:"

# Folders that programs expect, beside those that the kernel mounts something on.
_FOLDERS = {
    "/bin": 0o755, "/dev": 0o755, "/etc": 0o755, "/home": 0o755, "/proc": 0o555, "/root": 0o700, "/run": 0o755,
    "/sys": 0o555, "/tmp": 0o1777, "/usr/bin": 0o755, "/usr/share": 0o755, "/var/tmp": 0o1777,
}  # fmt: skip

_PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
_GROUP = """\
root:x:0:
daemon:x:1:
bin:x:2:
tty:x:5:
nogroup:x:65534:
"""
_NSSWITCH = """\
passwd: files
group: files
hosts: files dns
protocols: files
services: files
"""
# Functions that open sockets, one of which is in every Go program that can (another program may anyhow), and what every
# resolver reads, Go's and the C libraries'.
_GO_SOCKETS = (b"syscall.socket\0", b"sys/unix.socket\0", b"net.init")
_RESOLVER_MARK = b"/etc/resolv.conf"
# Where the kernel writes which name servers the machine's interfaces were told of, and which hosts it knows.
_RESOLV, _HOSTS = b"../proc/net/pnp", b"../proc/net/hosts"


@dataclass(frozen=True)
class Needs:
    """What of the large parts a program looks for."""

    certificates: bool = False
    zones: bool = False
    sockets: bool = False  # those of the Internet's families, which not every kernel has
    resolver: bool = False  # it looks up hosts

    def __or__(self, other: Needs) -> Needs:
        return Needs(
            self.certificates or other.certificates, self.zones or other.zones, self.sockets or other.sockets,
            self.resolver or other.resolver,
        )


def find_needs(program: bytes) -> Needs:
    """What a program's bytes show of its needs.

    Every Go program that prints a date has the path of the zones in it; the Go function that asks for a zone by its
    name is only in those that do.
    """
    zones = _GO_ZONES in program if _GO_MARK in program else any(mark in program for mark in _ZONE_MARKS)
    sockets = _GO_MARK not in program or any(mark in program for mark in _GO_SOCKETS)
    certificates = any(mark in program for mark in _CERTIFICATE_MARKS)
    return Needs(certificates, zones, sockets, _RESOLVER_MARK in program)


def add_surroundings(tree: Assembly, needs: Needs, hostname: str | None = None, zone: str | None = None) -> None:
    """Put in what is not there already. Raises Failure for a zone that there is none of."""
    for path, mode in _FOLDERS.items():
        tree.offer(path, Folder(mode=mode))
    texts = {
        "/etc/passwd": _PASSWD, "/etc/group": _GROUP, "/etc/hostname": f"{hostname or 'goanna'}\n",
        "/etc/nsswitch.conf": _NSSWITCH, "/etc/services": SERVICES,
        "/etc/protocols": PROTOCOLS, "/etc/mime.types": MIME_TYPES,
    }  # fmt: skip
    for path, text in texts.items():
        tree.offer(path, File(data=text.encode()))
    tree.offer("/etc/resolv.conf", Link(target=_RESOLV))
    tree.offer("/etc/hosts", Link(target=_HOSTS))
    if needs.certificates:
        tree.offer(CERTIFICATES, File(data=_certificates()))
        tree.offer("/etc/ssl/cert.pem", Link(target=b"certs/ca-certificates.crt"))
    _add_zones(tree, needs.zones, zone)


def _add_zones(tree: Assembly, all_of_them: bool, zone: str | None) -> None:
    chosen = zone or "UTC"
    files = _zones()
    if chosen not in files and tree.find(f"{ZONES}/{chosen}") is None:
        raise Failure(f"--tz {chosen}: there is no such time zone", "Zones are named like Europe/Berlin, or UTC.")
    # Names that mean the same are one file under several names.
    made: dict[bytes, File] = {}
    for name in sorted(files) if all_of_them else [each for each in (chosen,) if each in files]:
        data = files[name]
        tree.offer(f"{ZONES}/{name}", made.setdefault(data, File(data=data)))
    tree.offer("/etc/localtime", Link(target=f"{ZONES}/{chosen}".encode()))
    tree.offer("/etc/timezone", File(data=f"{chosen}\n".encode()))


@cache
def _zones() -> dict[str, bytes]:
    """The time-zone files of the tzdata package, by their names."""
    return dict(_zones_below(importlib.resources.files("tzdata").joinpath("zoneinfo"), ""))


def _zones_below(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _zones_below(each, f"{prefix}{each.name}/")
        else:
            data = each.read_bytes()
            # RFC 8536: how each of them begins. The package has lists and modules beside them.
            if data.startswith(b"TZif"):
                yield prefix + each.name, data


def _certificates() -> bytes:
    """The roots that Mozilla trusts, as the certifi package has them."""
    return importlib.resources.files("certifi").joinpath("cacert.pem").read_bytes()
