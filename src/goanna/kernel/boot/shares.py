"""Folders of the host that this machine is given: each virtio 9P device, found again by its tag, goes to its place."""

from goanna.kernel.arch import PAGE_SIZE, virtual
from goanna.kernel.base.errno import ENOENT, ENOMEM, ENOTDIR
from goanna.kernel.base.panic import fail
from goanna.kernel.base.text import Text
from goanna.kernel.boot.settings import settings
from goanna.kernel.boot.standing import SLASH, find_entry
from goanna.kernel.device.virtio.plan9 import Channel, connect
from goanna.kernel.file.crossing import cross
from goanna.kernel.file.mount import make_folder
from goanna.kernel.file.tree import Entry, child_of
from goanna.kernel.memory import pages
from goanna.kernel.share.mount import MAXIMUM_SHARES, mount_share, new_share
from goanna.metal import Array, Ptr, Slice, fill, i64, metal, sizeof, static, u8, u32, u64, unsafe

__all__ = ["add_channel", "mount_shares", "next_channel"]

COLON = 0x3A

channels = static(Array[Ptr[Channel], MAXIMUM_SHARES])  # filled at boot, constant afterwards
channel_count = static(u64)


@metal
def next_channel() -> Ptr[Channel]:
    """Where the driver of the next device keeps what it knows; None: there are enough, or memory is out."""
    if channel_count == MAXIMUM_SHARES:
        return None
    if channels[channel_count] is None:
        order: u32 = 0
        while (u64(PAGE_SIZE) << u64(order)) < sizeof(Channel):
            order += 1
        memory = pages.allocate_order(order)
        if memory == 0:
            return None
        fill(unsafe.slice(u8, virtual(memory), u64(PAGE_SIZE) << u64(order)), 0)
        channels[channel_count] = unsafe.pointer(Channel, virtual(memory))
    return channels[channel_count]


@metal
def add_channel() -> bool:
    """Start the device that was found. False: it can't be driven."""
    global channel_count
    channel: Channel = channels[channel_count]
    if channel.start() < 0:
        return False
    channel_count += 1
    return True


@metal
def find_channel(tag: Slice[u8]) -> Ptr[Channel]:
    """The device of that tag, or None."""
    for index in range(channel_count):
        channel: Channel = channels[index]
        if channel.name() == tag:
            return channel
    return None


@metal
def mount_shares() -> None:
    """Mount what the settings say: texts TAG:PATH, TAG:PATH:ro or TAG:PATH:rw. Stops the machine where one can't be."""
    position: u64 = 0
    while position < len(settings.shares):
        end = position
        while settings.shares[end] != 0:
            end += 1
        error = mount_one(settings.shares[position:end])
        if error < 0:
            refuse(settings.shares[position:end], error)
        position = end + 1


@metal
def mount_one(text: Slice[u8]) -> i64:
    """The same of one text. 0 or an errno."""
    colon: u64 = 0
    while colon < len(text) and text[colon] != COLON:
        colon += 1
    if colon == len(text):
        return -ENOENT
    channel = find_channel(text[0:colon])
    if channel is None:
        return -ENOENT
    path = text[colon + 1 :]
    read_only = ends_with(path, b":ro")
    if read_only or ends_with(path, b":rw"):
        path = path[0 : len(path) - 3]
    while len(path) > 1 and path[len(path) - 1] == SLASH:
        path = path[0 : len(path) - 1]
    start = len(path)
    while start > 0 and path[start - 1] != SLASH:
        start -= 1
    if start == 0 or start == len(path):
        return -ENOTDIR
    parent, error = made_folder(path[0:start])
    if parent is None:
        return error
    share = new_share()
    error = -ENOMEM
    if share is not None:
        connect(share.session, channel)
        error = mount_share(share, parent, path[start:], read_only)
    parent.drop()
    return error


@metal
def ends_with(text: Slice[u8], end: Slice[u8]) -> bool:
    """Whether a text ends so."""
    return len(text) >= len(end) and text[len(text) - len(end) :] == end


@metal
def made_folder(path: Slice[u8]) -> tuple[Ptr[Entry], i64]:
    """The directory of an absolute path, made where it isn't there, with a reference; or None and an errno."""
    at, error = find_entry(b"/")
    position: u64 = 0
    while position < len(path):
        if path[position] == SLASH:
            position += 1
            continue
        end = position
        while end < len(path) and path[end] != SLASH:
            end += 1
        child, missing = child_of(at, path[position:end])
        error = missing
        if error == -ENOENT:
            child = make_folder(at, path[position:end])
        at.drop()
        if child is None:
            return None, error
        at = cross(child)
        position = end
    if not at.is_directory():
        at.drop()
        return None, -ENOTDIR
    return at, 0


@metal
def refuse(text: Slice[u8], error: i64) -> None:
    """Say which folder can't be shared, and stop the machine."""
    buffer = Array[u8, 200]()
    sentence = Text(window=buffer[:])
    sentence.put(b"a folder can't be shared as ")
    sentence.put(text[0 : min(len(text), u64(120))])
    if error == -ENOENT:
        sentence.put(b": there is no device of that name, or no such place")
    elif error == -ENOTDIR:
        sentence.put(b": it is no folder, or its place is in none")
    elif error == -ENOMEM:
        sentence.put(b": too little memory, or too many folders")
    else:
        sentence.put(b": its server gives error ")
        sentence.number(u64(-error))
    fail(buffer[0 : sentence.position])
