"""What the runner tells the kernel beside what the image says: the time, a seed, what this run changes."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

from goanna.image.layout import Wishes
from goanna.image.reading import Image
from goanna.kernel.shared.boot import (
    FLAG_CONTROL,
    FLAG_DEBUG_EXIT,
    FLAG_PORTS,
    FLAG_SETTLED,
    FLAG_TOGETHER,
    FLAG_TRACE,
    FLAG_VERBOSE,
)
from goanna.machine.output import ERROR, OUTPUT, same_file
from goanna.machine.terminal import Terminal

_SEED_SIZE = 32


def runner_information(
    image: Image,
    arguments: Sequence[str] | None,
    environment: Mapping[bytes, bytes],
    wishes: Wishes | None = None,
    *,
    trace: bool = False,
    verbose: bool = False,
    settled: bool = False,
    tree: bytes | None = None,
    returns: Sequence[bytes] | None = None,
    shares: Sequence[bytes] | None = None,
    networks: Sequence[bytes] | None = None,
) -> bytes:
    """Packed boot information for one run. `arguments` of None leaves the image's; `environment` is added to its
    own; `tree` is the path of the tree that is put beside the image, `returns` are the paths of what is to come back,
    `shares` say which folder of this computer stands where, `networks` what each interface is. `settled`: no address
    is chosen at random.
    """
    flags = FLAG_CONTROL | FLAG_PORTS | FLAG_DEBUG_EXIT
    if same_file(OUTPUT, ERROR):
        flags |= FLAG_TOGETHER
    wanted = {FLAG_TRACE: trace, FLAG_VERBOSE: verbose, FLAG_SETTLED: settled}
    flags |= sum(flag for flag, on in wanted.items() if on)
    terminal = Terminal()
    flags |= terminal.flags
    environment = {**terminal.environment(image.environment), **environment}
    words = None if arguments is None else [image.program, *(os.fsencode(each) for each in arguments)]
    try:
        return (wishes or Wishes()).packed(
            arguments=words,
            environment={**image.environment, **environment} if environment else None,
            flags=flags,
            seed=os.urandom(_SEED_SIZE),
            wall_time=time.time_ns(),
            tree=tree,
            returns=returns,
            shares=shares,
            networks=networks,
            window=terminal.window,
        )
    except ValueError as error:
        from goanna.failure import Failure

        raise Failure(str(error)) from None
