"""The command line's front: the verbs and their flags. What a verb does is in the module of its name."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import Annotated

import typer

from goanna import __version__
from goanna.cli.command import FinishedCommand, ProgramCommand, TestCommand, words_of
from goanna.failure import Failure
from goanna.machine.qemu import MachineType, parse_memory

# The most processors that the kernel knows (arch: MAXIMUM_PROCESSORS).
_MOST_PROCESSORS = 16
_DEFAULT_MEMORY = "256M"
# Tests are written for computers: more memory, which costs nothing before it is used, and more than one processor.
_TEST_MEMORY = "1G"
_TEST_PROCESSORS = min(os.cpu_count() or 1, 4)
_USAGE_STATUS = 2

app = typer.Typer(
    help="Boots an unmodified Go program without an operating system.",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)


class _Finished(SystemExit):
    """A verb came to its end, and this is the exit status: typer's own status for a wrong flag is another matter."""


def _memory(text: str) -> int:
    try:
        return parse_memory(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Add = Annotated[
    list[str] | None,
    typer.Option("--add", metavar="HOST[:GUEST]", help="Put a file or folder of this computer into the image."),
]
Share = Annotated[
    list[str] | None,
    typer.Option(
        "--share", metavar="HOST[:GUEST][:ro]", help="Let a folder of this computer be there, to be read and written."
    ),
]
Net = Annotated[
    list[str] | None,
    typer.Option(
        "--net",
        metavar="KIND[,WORD...]",
        help="How it is connected: user, tap=NAME, socket=..., none; words like address=10.0.0.2/24 configure it.",
    ),
]
Publish = Annotated[
    list[str] | None,
    typer.Option(
        "-p", "--publish", metavar="[HOSTIP:]HOSTPORT:PORT[/udp]", help="Let a port of this computer lead into it."
    ),
]
LongPublish = Annotated[
    list[str] | None,
    typer.Option("--publish", metavar="[HOSTIP:]HOSTPORT:PORT[/udp]", help="Let a port of this computer lead into it."),
]
Pcap = Annotated[
    str | None, typer.Option("--pcap", metavar="FILE", help="Record what crosses its interface, for Wireshark.")
]
Env = Annotated[
    list[str] | None,
    typer.Option(
        "-e", "--env", metavar="KEY=VALUE", help="Set a variable of the program; KEY alone takes it from here."
    ),
]
LongEnv = Annotated[
    list[str] | None,
    typer.Option("--env", metavar="KEY=VALUE", help="Set a variable of the tests; they have those of here besides."),
]
EnvFile = Annotated[
    list[str] | None, typer.Option("--env-file", metavar="FILE", help="Set the variables that a file has, one a line.")
]
_WORKDIR_HELP, _USER_HELP = "Where the program starts.", "Whom it runs as, by name or number; else root."
Workdir = Annotated[str | None, typer.Option("-w", "--workdir", metavar="PATH", help=_WORKDIR_HELP)]
LongWorkdir = Annotated[str | None, typer.Option("--workdir", metavar="PATH", help=_WORKDIR_HELP)]
User = Annotated[str | None, typer.Option("-u", "--user", metavar="NAME[:GROUP]", help=_USER_HELP)]
LongUser = Annotated[str | None, typer.Option("--user", metavar="NAME[:GROUP]", help=_USER_HELP)]
Hostname = Annotated[str | None, typer.Option("--hostname", metavar="NAME", help="What its machine is called.")]
Zone = Annotated[str | None, typer.Option("--tz", metavar="ZONE", help="Its time zone, like Europe/Berlin.")]
MemoryFiles = Annotated[
    int | None,
    typer.Option(
        "--memory-files", metavar="SIZE", parser=_memory, help="The memory that its files may take; else half."
    ),
]


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        print(f"goanna {__version__}")
        raise _Finished(0)


@app.command("build", cls=ProgramCommand, short_help="Make an image of a program.")
def _build(
    ctx: typer.Context,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="IMAGE", help="Where to write it.")] = None,
    add: Add = None,
    env: Env = None,
    env_file: EnvFile = None,
    workdir: Workdir = None,
    user: User = None,
    hostname: Hostname = None,
    tz: Zone = None,
    memory_files: MemoryFiles = None,
) -> None:
    """Build an image: a package folder, an import path, .go files or a linux ELF file becomes one file that QEMU
    starts.

    Flags that are not listed here go to `go build` untouched. What follows `--` are the program's arguments.
    """
    from goanna.cli.build import build
    from goanna.cli.guest import Guest

    guest = Guest(
        add=add or [], env=env or [], env_file=env_file or [], workdir=workdir, user=user, hostname=hostname, tz=tz,
        memory_files=memory_files or 0,
    )  # fmt: skip
    raise _Finished(build(words_of(ctx), output, guest))


@app.command("run", cls=ProgramCommand, short_help="Boot a program, or an image, and be it.")
def _run(
    ctx: typer.Context,
    memory: Annotated[
        int,
        typer.Option("-m", "--memory", metavar="SIZE", parser=_memory, help="The machine's memory, like 64M or 1G."),
    ] = _DEFAULT_MEMORY,  # type: ignore[assignment]  # the parser makes a number of it
    cpus: Annotated[
        int, typer.Option("-c", "--cpus", min=1, max=_MOST_PROCESSORS, metavar="N", help="How many processors it has.")
    ] = 1,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=0.001, metavar="S", help="Stop it after S seconds, with status 124."),
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Print each system call on standard error.")] = False,
    gdb: Annotated[bool, typer.Option("--gdb", help="Wait for gdb before the first instruction.")] = False,
    add: Add = None,
    share: Share = None,
    publish: Publish = None,
    net: Net = None,
    pcap: Pcap = None,
    env: Env = None,
    env_file: EnvFile = None,
    workdir: Workdir = None,
    user: User = None,
    hostname: Hostname = None,
    tz: Zone = None,
    memory_files: MemoryFiles = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Let the kernel say what it does.")] = False,
    machine: Annotated[MachineType, typer.Option("--machine", help="The machine type.")] = MachineType.MICROVM,
    accel: Annotated[
        str, typer.Option("--accel", metavar="NAME", help="auto, tcg (emulation), kvm or hvf; auto obeys GOANNA_ACCEL.")
    ] = "auto",
) -> None:
    """Boot a program, or an image, and be it: its output, input, signals and exit status.

    Flags that are not listed here go to `go build` untouched. What follows `--` are the program's arguments. Goanna's
    own failures give 125, a program that can't be started 126, one that isn't there 127.
    """
    from goanna.cli.guest import Guest
    from goanna.cli.run import Options, run

    guest = Guest(
        add=add or [], env=env or [], env_file=env_file or [], workdir=workdir, user=user, hostname=hostname, tz=tz,
        memory_files=memory_files or 0, sockets=bool(net or publish or pcap or share),
    )  # fmt: skip
    options = Options(
        memory=memory, cpus=cpus, timeout=timeout, trace=trace, gdb=gdb, guest=guest, verbose=verbose,
        machine=machine, accel=accel, share=share or [], net=net or [], publish=publish or [], pcap=pcap,
    )  # fmt: skip
    raise _Finished(run(words_of(ctx), options))


@app.command(
    "exec",
    cls=FinishedCommand,
    short_help="Boot a finished program where it stands: for go test -exec.",
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False},
)
def _exec(
    words: Annotated[list[str], typer.Argument(metavar="ELF [ARGUMENTS]", show_default=False)],
    memory: Annotated[
        int,
        typer.Option("-m", "--memory", metavar="SIZE", parser=_memory, help="The machine's memory, like 64M or 1G."),
    ] = _TEST_MEMORY,  # type: ignore[assignment]  # the parser makes a number of it
    cpus: Annotated[
        int, typer.Option("-c", "--cpus", min=1, max=_MOST_PROCESSORS, metavar="N", help="How many processors it has.")
    ] = _TEST_PROCESSORS,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=0.001, metavar="S", help="Stop it after S seconds, with status 124."),
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Print each system call on standard error.")] = False,
    add: Add = None,
    share: Share = None,
    publish: Publish = None,
    net: Net = None,
    pcap: Pcap = None,
    env: Env = None,
    env_file: EnvFile = None,
    workdir: Workdir = None,
    user: User = None,
    hostname: Hostname = None,
    tz: Zone = None,
    memory_files: MemoryFiles = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Let the kernel say what it does.")] = False,
    accel: Annotated[
        str, typer.Option("--accel", metavar="NAME", help="auto, tcg (emulation), kvm or hvf; auto obeys GOANNA_ACCEL.")
    ] = "auto",
) -> None:
    """Boot a program that is built, where it stands: `go test -exec 'goanna exec' PACKAGES`, or `go run` with that.

    It finds its own path, the folder it is started in and the module around that, this environment, and writes to
    copies of its own. Flags stand before ELF; what follows ELF is the program's.
    """
    from goanna.cli.execute import Options, execute
    from goanna.cli.guest import Guest

    guest = Guest(
        add=add or [], env=env or [], env_file=env_file or [], workdir=workdir, user=user, hostname=hostname, tz=tz,
        memory_files=memory_files or 0, sockets=bool(net or publish or pcap or share),
    )  # fmt: skip
    options = Options(
        memory=memory, cpus=cpus, timeout=timeout, trace=trace, verbose=verbose, guest=guest, accel=accel,
        share=share or [], net=net or [], publish=publish or [], pcap=pcap,
    )  # fmt: skip
    raise _Finished(execute(words, options))


@app.command(
    "test",
    cls=TestCommand,
    short_help="Run go test, with every package's tests in a booted image.",
)
def _test(
    ctx: typer.Context,
    memory: Annotated[
        int | None,
        typer.Option("--memory", metavar="SIZE", parser=_memory, help="Each machine's memory, like 64M or 1G."),
    ] = None,
    cpus: Annotated[
        int | None, typer.Option("--cpus", min=1, max=_MOST_PROCESSORS, metavar="N", help="How many processors it has.")
    ] = None,
    add: Add = None,
    share: Share = None,
    publish: LongPublish = None,
    net: Net = None,
    pcap: Pcap = None,
    env: LongEnv = None,
    env_file: EnvFile = None,
    workdir: LongWorkdir = None,
    user: LongUser = None,
    hostname: Hostname = None,
    tz: Zone = None,
    memory_files: MemoryFiles = None,
    accel: Annotated[
        str | None,
        typer.Option("--accel", metavar="NAME", help="auto, tcg (emulation), kvm or hvf; auto obeys GOANNA_ACCEL."),
    ] = None,
) -> None:
    """Run `go test` with its own flags, and boot the tests of each package. Goanna's flags have two dashes here."""
    from goanna.cli.test import test

    words = words_of(ctx)
    raise _Finished(test(words.go_flags, words.own))


@app.command("inspect", cls=ProgramCommand, short_help="Say what is in a program or an image.")
def _inspect(ctx: typer.Context) -> None:
    """Say what is in a program or an image, and what it will ask of the kernel and the machine."""
    from goanna.cli.inspect import inspect

    raise _Finished(inspect(words_of(ctx)))


@app.command("doctor", short_help="Say what this computer has and lacks.")
def _doctor() -> None:
    """Say what this computer has and lacks, and the command that mends it."""
    from goanna.cli.doctor import doctor

    raise _Finished(doctor())


def main() -> None:
    """The `goanna` command."""
    status = _run_command()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def _run_command() -> int:
    try:
        app(prog_name="goanna")
    except _Finished as ended:
        return int(ended.code or 0)
    except SystemExit as ended:
        return Failure.status if ended.code == _USAGE_STATUS else int(ended.code or 0)
    except Failure as failure:
        if failure.message:
            print(f"goanna: {failure}", file=sys.stderr)
        return failure.status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception:
        # A mistake of ours must not look like a status of the program's.
        traceback.print_exc()
        print("goanna: this is a mistake in Goanna itself: please report it", file=sys.stderr)
        return Failure.status
    return 0


if __name__ == "__main__":
    main()
