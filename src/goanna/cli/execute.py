"""goanna exec: what `go test -exec` and `go run -exec` call. The program keeps its path, its folder and the module
around that, its environment and arguments; what it writes to the paths that its flags name comes back.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from goanna.cli.guest import Guest
from goanna.cli.prepare import put_together
from goanna.cli.progress import Progress
from goanna.cli.run import check_memory, connected, in_segments
from goanna.failure import Failure
from goanna.image.erofs import Folder
from goanna.image.host_files import HostFiles
from goanna.image.layout import Launch, Wishes
from goanna.image.links_out import add_links_out
from goanna.image.reading import read_image
from goanna.image.tree_cache import cached_tree, read_tree
from goanna.machine.accelerator import choose
from goanna.machine.information import runner_information
from goanna.machine.life import Start, live
from goanna.machine.qemu import Settings, find_qemu
from goanna.machine.shares import check_qemu, parse_shares, told
from goanna.program.around import around
from goanna.program.elf import read_program
from goanna.program.test_flags import written_by


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of exec; `memory` in bytes, `timeout` in seconds."""

    memory: int
    cpus: int
    timeout: float | None
    trace: bool
    verbose: bool
    guest: Guest
    accel: str
    share: Sequence[str] = ()
    net: Sequence[str] = ()
    publish: Sequence[str] = ()
    pcap: str | None = None


def execute(words: Sequence[str], options: Options) -> int:
    """Boot the program `words` names, with the rest as its arguments; gives the exit status. Raises Failure."""
    if not words:
        raise Failure("ELF is missing", "Say which program: goanna exec ELF ARGUMENTS")
    qemu = find_qemu()
    shares = parse_shares(options.share)
    if shares:
        check_qemu(qemu.path)
    program = read_program(Path(words[0]))
    here = Path.cwd()
    path = os.path.abspath(words[0])
    surroundings = around(here)
    with Progress(f"reading {surroundings.top}") as progress, TemporaryDirectory(prefix="goanna-") as folder:
        # Nothing is mounted over the root of the image.
        beside = None if surroundings.top == Path("/") else os.fsencode(surroundings.top)
        tree, needed = options.guest.tree(program.path, path)
        tree_file, notes = None, []
        if beside is not None:
            top = read_tree(surroundings.top, surroundings.wanted)
            tree_file = cached_tree(surroundings.top, top)
            tree.offer(os.fsdecode(beside), Folder())
            notes = add_links_out(tree, surroundings.top, top)
        written = written_by(words[1:], os.fspath(here))
        for each in written.files:
            tree.offer(os.path.dirname(each), Folder())
        for each in written.folders:
            tree.offer(each, HostFiles().node(Path(each)) if os.path.isdir(each) else Folder())
        for each in written.read:
            tree.offer(each, HostFiles().node(Path(each)))
        returns = [os.fsencode(each) for each in (*written.files, *written.folders)]
        home = os.environ.get("HOME", "")
        for each in (home, os.environ.get("TMPDIR", "")):
            if each.startswith("/"):
                tree.offer(each, Folder(mode=0o1777 if each != home else 0o755))
        wishes = options.guest.wishes_in(tree)
        launch = Launch(
            path=os.fsencode(path),
            arguments=[os.fsencode(each) for each in words],
            environment={**os.environb, **options.guest.environment},
            wishes=wishes if wishes.directory is not None else wishes.standing_in(os.fsencode(here)),
            flags=needed,
        )
        image_path = Path(folder, "exec.img")
        put_together(image_path, tree, launch)
        progress.stop()
        for each in notes:
            print(f"goanna: {each}", file=sys.stderr)
        image = read_image(image_path)
        check_memory(image, options.memory)
        networks = in_segments(
            connected(options.net, options.publish, options.pcap, "none"), image, options.guest.hostname
        )
        name = None if networks.hostname is None else networks.hostname.encode()
        information = runner_information(
            image,
            None,
            {},
            Wishes(hostname=name),
            trace=options.trace,
            verbose=options.verbose,
            tree=beside,
            returns=returns,
            shares=told(shares),
            networks=networks.told(),
        )
        trace = None
        if options.trace:
            from goanna.observe.trace import line_of

            trace = line_of
        settings = Settings(
            memory=options.memory,
            processors=options.cpus,
            accelerator=choose(qemu, options.accel),
            tree=tree_file,
            shares=shares,
            networks=networks,
        )
        start = Start(
            image=image_path, information=information, settings=settings, timeout=options.timeout,
            verbose=options.verbose, trace=trace, returns=returns,
        )  # fmt: skip
        return live(qemu, start)
