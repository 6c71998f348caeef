"""A virtio disk of a few sectors, from the device's side: registers over memory, and what it does when notified.

It shares no code with the driver: rings are read here as virtio 1.2, 2.7 lays them out.
"""

from goanna.kernel.arch.host import arena as host_arena
from goanna.kernel.memory import pages
from goanna.metal import Array, metal, static, struct, u8, u16, u32, u64, unsafe
from tests.kernel.device.virtio.space import word_registers

SECTORS = 64
QUEUE_SIZE = 8
BASE = 0x1000  # address of the registers


@struct
class Model:
    """The device's state."""

    version: u32
    features: u64  # offered
    status: u32
    select: u32
    agreed: u64
    queue_size: u32
    descriptors: u64  # physical
    available: u64
    used: u64
    ready: u32
    seen: u16
    served: u16
    interrupts: u32
    cause: u32
    broken: u32  # requests for sectors from here on fail
    notified: u32
    refuses: u32  # it takes back FEATURES_OK


model = static(Model)
content = static(Array[u8, SECTORS * 512])


@metal
def read32(address: u64) -> u32:
    match address - BASE:
        case 0x000:
            return 0x74726976
        case 0x004:
            return model.version
        case 0x008:
            return 2
        case 0x010:
            return u32.wrap(model.features >> (model.select * 32))
        case 0x034:
            return QUEUE_SIZE
        case 0x060:
            return model.cause
        case 0x070:
            return model.status
        case 0x0FC:
            return 7
        case 0x100:
            return SECTORS
        case 0x10C:
            return 4
        case _:
            return 0


@metal
def write32(address: u64, value: u32) -> None:
    register = address - BASE
    if register in (0x014, 0x024):
        model.select = value
    elif register == 0x020:
        half = u64(value) << (model.select * 32)
        model.agreed = model.agreed | half
    elif register == 0x028:
        assert model.version == 1 and value == 4096, "the page size of a legacy device"
    elif register == 0x038:
        model.queue_size = value
    elif register == 0x040:
        model.descriptors = u64(value) * 4096
        model.available = model.descriptors + u64(model.queue_size) * 16
        model.used = (model.available + 6 + u64(model.queue_size) * 2 + 4095) // 4096 * 4096
        model.ready = 1
    elif register == 0x044:
        model.ready = value
    elif register == 0x050:
        model.notified += 1
        serve()
    elif register == 0x064:
        model.cause = model.cause & ~value
    elif register == 0x070:
        model.status = value
        if value == 0:
            model.agreed = 0
            model.ready = 0
        if value & 8 != 0 and model.refuses != 0:
            model.status = value & ~u32(8)
    elif register == 0x080:
        model.descriptors = u64(value)
    elif register == 0x090:
        model.available = u64(value)
    elif register == 0x0A0:
        model.used = u64(value)


@metal
def at(physical: u64) -> u64:
    return physical + host_arena.arena


@metal
def serve() -> None:
    """Do what is in the ring, and say so in the used ring."""
    assert model.status == (7 if model.version == 1 else 15) and model.ready == 1, "notified before it was ready"
    count = u16(model.queue_size)
    while unsafe.load(u16, at(model.available + 2)) != model.seen:
        head = unsafe.load(u16, at(model.available + 4 + u64(model.seen % count) * 2))
        model.seen = u16.wrap(u32(model.seen) + 1)
        written = serve_chain(head)
        entry = at(model.used + 4 + u64(model.served % count) * 8)
        unsafe.store(u32, entry, u32(head))
        unsafe.store(u32, entry + 4, written)
        model.served = u16.wrap(u32(model.served) + 1)
        unsafe.store(u16, at(model.used + 2), model.served)
        model.cause = 1
    if model.features & (1 << 29) != 0:
        unsafe.store(u16, at(model.used + 4 + u64(count) * 8), model.seen)


@metal
def serve_chain(head: u16) -> u32:
    """One request: a header, data, a status."""
    place = at(model.descriptors + u64(head) * 16)
    header = at(unsafe.load(u64, place))
    kind, sector = unsafe.load(u32, header), unsafe.load(u64, header + 8)
    offset = sector * 512
    written: u32 = 0
    result: u8 = 0
    while unsafe.load(u16, place + 12) & 1 != 0:
        place = at(model.descriptors + u64(unsafe.load(u16, place + 14)) * 16)
        length = u64(unsafe.load(u32, place + 8))
        data = unsafe.slice(u8, at(unsafe.load(u64, place)), length)
        writable = unsafe.load(u16, place + 12) & 2 != 0
        if unsafe.load(u16, place + 12) & 1 == 0:
            if sector >= u64(model.broken) and kind < 2:
                result = 1
            data[0] = result if kind in (0, 1, 4, 8) else 2
            written += 1
        elif kind == 0:
            assert writable, "a read into what the device may not write"
            data[:] = content[offset : offset + length]
            written += u32(length)
        elif kind == 1:
            assert not writable, "a write from what the device may write"
            content[offset : offset + length] = data
        elif kind == 8:
            data[0:6] = b"a disk"
            data[6] = 0
        offset += length
    return written


SPACE = word_registers(read32, write32)


@metal
def start_memory(address: u64, size: u64) -> None:
    host_arena.arena = address
    pages.add_range(0x1000, size)
    pages.initialize()
