"""Named pipes: a pipe that a name in the tree leads to (fifo(7), Linux fs/pipe.c fifo_open).

The pipe belongs to the node; while nobody has it open it is empty. Opening an end waits for somebody at the other one.
"""

from goanna.kernel.base.errno import ENOMEM, ENXIO, ERESTARTSYS
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.flags import O_ACCMODE, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, POLLHUP
from goanna.kernel.file.node import Node
from goanna.kernel.file.pipe import (
    Pipe,
    control_pipe,
    create_pipe,
    destroy_pipe,
    empty_pipe,
    pipe_of,
    pipe_watchers,
    pipes,
    poll_pipe,
    read_pipe,
    write_pipe,
)
from goanna.kernel.file.tree import attributes_by_entry
from goanna.kernel.thread.wait import Wake
from goanna.kernel.time.timer import NEVER
from goanna.metal import Ptr, constant, i64, metal, static, u32, u64, unsafe

__all__ = ["NAMED_PIPE", "end_named_pipe", "open_named_pipe"]

making_lock = static(SpinLock)  # protects Node.attached of named pipes


@metal
def named_pipe(node: Node) -> Ptr[Pipe]:
    """The pipe of a node, made when it is first opened; None: memory is out."""
    with making_lock:
        if node.attached != 0:
            return unsafe.pointer(Pipe, node.attached)
    made = create_pipe()
    if made is None:
        return None
    made.readers = 0
    made.writers = 0
    with making_lock:
        if node.attached == 0:
            node.attached = unsafe.address(made)
            return made
    pipes.free(made)
    return unsafe.pointer(Pipe, node.attached)


@metal
def end_named_pipe(node: Node) -> None:
    """The node ends, and with it the pipe."""
    if node.attached != 0:
        destroy_pipe(unsafe.at(Pipe, node.attached))
        node.attached = 0


@metal
def open_named_pipe(node: Node, flags: u32) -> tuple[Ptr[Description], i64]:
    """Open an end, or both. -ENXIO: to write without waiting, and nobody reads. -ERESTARTSYS: a signal came."""
    pipe = named_pipe(node)
    if pipe is None:
        return None, -ENOMEM
    access = flags & O_ACCMODE
    if access not in (O_RDONLY, O_WRONLY):
        access = O_RDWR
    waits = access != O_RDWR and (flags & O_NONBLOCK) == 0
    with pipe.busy:
        if access == O_WRONLY and (flags & O_NONBLOCK) != 0 and pipe.readers == 0:
            return None, -ENXIO
        # From here on who opens the other end may find this one, do all that it wants, and close it again.
        seen = pipe.write_opens if access == O_RDONLY else pipe.read_opens
        waits = waits and not has_partner(pipe, access, seen)
        count_ends(pipe, access, True)
        early = access == O_RDONLY and (flags & O_NONBLOCK) != 0 and pipe.writers == 0
        unseen = pipe.write_opens + 1
    with pipe.lock:
        pipe.partners.wake_all()
    if waits and not wait_for_partner(pipe, access, seen):
        with pipe.busy:
            if not has_partner(pipe, access, seen):
                count_ends(pipe, access, False)
                return None, -ERESTARTSYS
    description = create(NAMED_PIPE, flags, unsafe.address(pipe))
    if description is None:
        with pipe.busy:
            count_ends(pipe, access, False)
        pipe.tell_readers(True)
        pipe.tell_writers()
        return None, -ENOMEM
    if early:
        description.position = unseen
    return description, 0


@metal
def count_ends(pipe: Pipe, access: u32, opened: bool) -> None:
    """One more who has an end open, or one less. `busy` is held."""
    if access != O_WRONLY:
        if opened:
            pipe.readers += 1
            pipe.read_opens += 1
        else:
            pipe.readers -= 1
    if access != O_RDONLY:
        if opened:
            pipe.writers += 1
            pipe.write_opens += 1
        else:
            pipe.writers -= 1


@metal
def has_partner(pipe: Pipe, access: u32, seen: u64) -> bool:
    """Whether the other end is open, or has been opened more often than `seen`."""
    if access == O_RDONLY:
        return pipe.writers != 0 or pipe.write_opens != seen
    return pipe.readers != 0 or pipe.read_opens != seen


@metal
def wait_for_partner(pipe: Pipe, access: u32, seen: u64) -> bool:
    """Wait until the other end is open, or has been opened more often than `seen`. False: a signal came."""
    with pipe.lock:
        while not has_partner(pipe, access, seen):
            if pipe.partners.wait(pipe.lock, NEVER, True) == Wake.SIGNAL:
                return False
        return True


@metal
def poll_named(description: Description) -> u32:
    """A reader that did not wait for a writer does not hear of its absence before one has come."""
    events = poll_pipe(description)
    if description.position == pipe_of(description).write_opens + 1:
        events &= ~u32(POLLHUP)
    return events


@metal
def release_named(description: Description) -> None:
    """One description of an end is gone."""
    pipe = pipe_of(description)
    with pipe.busy:
        if description.readable():
            pipe.readers -= 1
        if description.writable():
            pipe.writers -= 1
        if pipe.readers == 0 and pipe.writers == 0:
            empty_pipe(pipe)
    pipe.tell_readers(True)
    pipe.tell_writers()


NAMED_PIPE = constant(
    Operations,
    {
        "read": read_pipe,
        "write": write_pipe,
        "poll": poll_named,
        "watchers": pipe_watchers,
        "attributes": attributes_by_entry,
        "control": control_pipe,
        "release": release_named,
    },
)
