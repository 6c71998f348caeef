"""The order of the start, from a machine that arch has brought up to the first process, and the machine's end.

What is wrong with the image or the machine is said in a sentence, on the console or the control channel, and the
machine stops with the status of Goanna's own failures.
"""

from goanna.kernel.arch import (
    command_line,
    configuration,
    configured,
    give_memory,
    image_end,
    loader_module,
    main,
    memory_beyond,
    memory_size,
    processor_main,
    set_debug_exit,
    start_clock,
    start_processors,
    stop,
    stop_others,
    virtual,
)
from goanna.kernel.base import log
from goanna.kernel.base.errno import E2BIG, ENOENT, ENOEXEC, ENOMEM, ENOTDIR
from goanna.kernel.base.panic import fail, set_panic_table
from goanna.kernel.base.text import Text
from goanna.kernel.boot.devices import disk_drive, find_disk, start_devices
from goanna.kernel.boot.first import start_first_process
from goanna.kernel.boot.ports import drain_ports, finish_streams, open_ports
from goanna.kernel.boot.returns import send_returns
from goanna.kernel.boot.settings import settings, take_command_line, take_information
from goanna.kernel.boot.shares import mount_shares
from goanna.kernel.boot.standing import mount_tree
from goanna.kernel.device.control import log_line, program_died, program_exited, use_channel
from goanna.kernel.file.generated_mount import mount_generated
from goanna.kernel.file.image_tree import mount_root, root_image
from goanna.kernel.file.integrity import ON_DRIVE, Integrity, on_damage, xxh64
from goanna.kernel.memory import pages, placement
from goanna.kernel.memory.placement import random_u64
from goanna.kernel.random.pool import random_number, seed
from goanna.kernel.shared.boot import (
    FIRMWARE_MEMORY,
    FLAG_CONTROL,
    FLAG_DEBUG_EXIT,
    FLAG_SETTLED,
    FLAG_TRACE,
    FLAG_VERBOSE,
    TREE_DISK,
    WORKING_MEMORY,
    BootInformation,
    ImageHeader,
    Region,
)
from goanna.kernel.syscall import trace
from goanna.kernel.syscall.dispatch import report_missed
from goanna.kernel.thread.exit import machine_end
from goanna.kernel.thread.scheduler import idle_loop, start_scheduler
from goanna.kernel.time.vdso_map import start_vdso
from goanna.kernel.time.wall import set_wall_offset, start_wall_clock, wall_offset
from goanna.metal import Array, Slice, i64, metal, static, u8, u32, u64, unsafe

sums_integrity = static(Integrity)
image_header = static(ImageHeader, {}, export="image_header", section=".data.image")

FIRMWARE_FILE = b"opt/goanna/boot"
MEBIBYTE = 1 << 20
MOST_INFORMATION = 65536  # bytes of the runner's boot information


@image_end.set
@metal
def end_of_image() -> u64:
    """Where the image ends in physical memory. Stops the machine if there is no image, or it doesn't fit: a loader may
    have left out what lies beyond the machine's memory without a word."""
    if not image_header.valid():
        refuse(b"this kernel has no image: build one with `goanna build`")
    if memory_beyond(image_header.image_end) < WORKING_MEMORY - FIRMWARE_MEMORY:
        buffer = Array[u8, 160]()
        text = Text(window=buffer[:])
        text.put(b"too little memory: the image needs at least ")
        text.number((image_header.image_end + (WORKING_MEMORY + MEBIBYTE - 1)) // MEBIBYTE)
        text.put(b" MiB, the machine has ")
        text.number((memory_size() + (MEBIBYTE - 1)) // MEBIBYTE)  # without what firmware keeps
        text.put(b" MiB")
        refuse(buffer[0 : text.position])
    return image_header.image_end


@metal
def refuse(sentence: Slice[u8]) -> None:
    """Say why the program can't start, and stop the machine."""
    fail(sentence)


@metal
def region(part: Region) -> Slice[u8]:
    """A part of the image."""
    return unsafe.slice(u8, virtual(part.address), part.size)


@metal
def sound(part: Region, sum: u64) -> bool:
    """Whether a part lies inside the image and is as it was written."""
    if part.size > image_header.image_end or part.address > image_header.image_end - part.size:
        return False
    return xxh64(region(part)) == sum


@metal
def read_image_settings() -> None:
    """The image's own boot information, checked."""
    header = image_header
    if not sound(header.boot, header.boot_checksum) or not sound(header.roots, header.roots_checksum):
        refuse(b"the image is damaged: its boot information is not what was written")
    information = unsafe.at(BootInformation, virtual(header.boot.address))
    if not information.check(header.boot.size):
        refuse(b"the image's boot information can't be read: image and kernel are of different versions")
    take_information(information)


@metal
def read_runner_settings() -> None:
    """What the runner hands over through QEMU's configuration device, if it is there; the pages stay in use."""
    if not configured:
        return
    selector, size = configuration.find(FIRMWARE_FILE)
    if size == 0 or size > MOST_INFORMATION:
        return
    order: u32 = 0
    while u64(4096) << order < u64(size):
        order += 1
    memory = pages.allocate_order(order)
    if memory == 0:
        refuse(b"too little memory for what the runner says")
    data = unsafe.slice(u8, virtual(memory), u64(size))
    configuration.load(selector, data)
    information = unsafe.at(BootInformation, virtual(memory))
    if not information.check(u64(size)):
        refuse(b"the runner's boot information can't be read: runner and kernel are of different versions")
    take_information(information)


@on_damage.set
@metal
def damaged(block: u64) -> None:
    """A block of the bundle is not what was written: the program gets EIO or SIGBUS; say why, once it matters."""
    buffer = Array[u8, 160]()
    text = Text(window=buffer[:])
    text.put(b"goanna: the tree beside the image is damaged: block " if block & ON_DRIVE != 0 else
             b"goanna: the image is damaged: block ")
    text.number(block & ~u64(ON_DRIVE))
    text.put(b", a page, is not what was written")
    log_line(buffer[0 : text.position])


@metal
def mount_bundle() -> None:
    """Make the image's tree the root."""
    header = image_header
    bundle = virtual(header.bundle.address)
    sums = virtual(header.checksums.address)
    # The sums are checked as the bundle is: each page of them when it is first used.
    roots = virtual(header.roots.address)
    covered = sums_integrity.start(sums, header.checksums.size, roots, header.roots.size // 8)
    root_image.integrity.guard = sums_integrity
    if not covered or not root_image.integrity.start(bundle, header.bundle.size, sums, header.bundle_blocks):
        refuse(b"the image is damaged: its checksums don't cover it")
    if mount_root(bundle, header.bundle.size) != 0:
        refuse(b"the image is damaged: its files can't be read")
    mount_generated()
    if len(settings.tree) != 0:
        mount_beside()
    mount_shares()


@metal
def mount_beside() -> None:
    """Mount the tree that came along beside the image: on a disk of its own, or in memory, put there by the loader."""
    disk = find_disk(TREE_DISK)
    if disk is not None:
        drive = disk_drive(disk)
        if not drive.check() or mount_tree(0, drive, disk.size) != 0:
            refuse(b"the tree on the disk beside the image can't be read")
        return
    tree, size = loader_module()
    if size != 0 and mount_tree(virtual(tree), None, size) != 0:
        refuse(b"the tree that the loader put beside the kernel can't be read")


random_u64.set(random_number)


@metal
def take_flags() -> None:
    """Turn on what was asked for."""
    if settings.flags & FLAG_CONTROL != 0:
        use_channel()
    log.verbose = settings.flags & FLAG_VERBOSE != 0
    placement.settled = settings.flags & FLAG_SETTLED != 0
    trace.tracing = settings.flags & (FLAG_TRACE | FLAG_CONTROL) == FLAG_TRACE | FLAG_CONTROL
    if settings.flags & FLAG_DEBUG_EXIT != 0:
        set_debug_exit()


@main.set
@metal
def start() -> None:
    """Everything above arch, in order; then this processor's idle loop."""
    set_panic_table(virtual(image_header.panic_table.address), image_header.panic_table.size)
    give_memory(pages.add_range)
    pages.initialize()
    read_image_settings()
    read_runner_settings()
    take_command_line(command_line())
    take_flags()
    start_clock()
    if settings.wall_time != 0:
        set_wall_offset(settings.wall_time)
    else:
        start_wall_clock()
    seed(settings.seed[0 : 32 if settings.seeded else 0], wall_offset())
    if not start_vdso():
        refuse(b"too little memory to start")
    start_scheduler()
    start_processors(settings.processors)  # before the devices, which divide their interrupts among them
    start_devices()
    mount_bundle()
    error = start_first_process()
    if error != 0:
        refuse_program(error)
    open_ports(settings.flags & FLAG_CONTROL != 0)
    idle_loop()


@metal
def refuse_program(error: i64) -> None:
    """Say why the program can't be started."""
    if error == -ENOEXEC:
        refuse(b"the program is not an executable that can be started here")
    if error == -ENOENT:
        refuse(b"the program is not in the image")
    if error == -ENOTDIR:
        refuse(b"the working directory is not in the image")
    if error == -ENOMEM:
        refuse(b"too little memory to start the program")
    if error == -E2BIG:
        refuse(b"the program's arguments and environment are too long")
    refuse(b"the program can't be read from the image")


@processor_main.set
@metal
def further_processor() -> None:
    """What every processor but the first does."""
    start_scheduler()
    idle_loop()


@machine_end.set
@metal
def first_process_ended(status: u32) -> None:
    """The first process ended with a wait status: tell the runner and stop."""
    if settings.flags & FLAG_VERBOSE != 0:
        report_missed()
    finish_streams()
    send_returns()
    killer = status & 0x7F
    result = 128 + killer
    if killer != 0:
        program_died(killer)
    else:
        result = status >> 8 & 0xFF
        program_exited(result)
    drain_ports(settings.flags & FLAG_CONTROL != 0)
    stop_others()
    stop(result)
