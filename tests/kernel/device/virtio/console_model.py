"""A virtio console with several ports, from the device's side: the registers over memory, with a queue for each.

It shares no code with the driver. What it does with what it is told is the test's: it keeps chains until they are asked
for, and tells what lies in them.
"""

from goanna.metal import Array, metal, static, struct, u8, u16, u32, u64, unsafe
from tests.kernel.device.virtio.model import BASE, at
from tests.kernel.device.virtio.space import word_registers

QUEUES = 10
QUEUE_SIZE = 32
PORTS = 4
CONTROL_INPUT, CONTROL_OUTPUT = 2, 3
READY, ADDED, PORT_READY, OPEN, NAME = 0, 1, 3, 6, 7


@struct
class Ring:
    """One queue."""

    size: u32
    descriptors: u64  # physical
    available: u64
    used: u64
    ready: u32
    seen: u16
    served: u16


@struct
class Model:
    """The device's state."""

    version: u32
    features: u64
    status: u32
    select: u32
    agreed: u64
    queue: u32
    cause: u32
    ports: u32
    notified: u32
    names: Array[u8, 64]  # of the ports from 1 on, 16 bytes each, zero bytes behind them
    opened: u32  # a bit for each port that the driver has opened


model = static(Model)
rings = static(Array[Ring, QUEUES])


@metal
def ring() -> Ring:
    return rings[model.queue % QUEUES]


@metal
def read32(address: u64) -> u32:
    match address - BASE:
        case 0x000:
            return 0x74726976
        case 0x004:
            return model.version
        case 0x008:
            return 3
        case 0x010:
            return u32.wrap(model.features >> (model.select * 32))
        case 0x034:
            return QUEUE_SIZE if model.queue < QUEUES else 0
        case 0x060:
            return model.cause
        case 0x070:
            return model.status
        case 0x104:
            return model.ports
        case _:
            return 0


@metal
def write32(address: u64, value: u32) -> None:
    register = address - BASE
    if register in (0x014, 0x024):
        model.select = value
    elif register == 0x020:
        model.agreed |= u64(value) << (model.select * 32)
    elif register == 0x030:
        model.queue = value
    elif register == 0x038:
        ring().size = value
    elif register == 0x040:
        chosen = ring()
        chosen.descriptors = u64(value) * 4096
        chosen.available = chosen.descriptors + u64(chosen.size) * 16
        chosen.used = (chosen.available + 6 + u64(chosen.size) * 2 + 4095) // 4096 * 4096
        chosen.ready = 1
    elif register == 0x044:
        ring().ready = value
    elif register == 0x050:
        model.notified += 1
        if value == CONTROL_OUTPUT:
            obey()
    elif register == 0x064:
        model.cause = model.cause & ~value
    elif register == 0x070:
        model.status = value
    elif register == 0x080:
        ring().descriptors = u64(value)
    elif register == 0x090:
        ring().available = u64(value)
    elif register == 0x0A0:
        ring().used = u64(value)


@metal
def waiting(number: u64) -> u32:
    """How many chains of a queue the device has not taken."""
    chosen = rings[number]
    if chosen.ready == 0:
        return 0
    return u32(u16.wrap(u32(unsafe.load(u16, at(chosen.available + 2))) + 0x1_0000 - u32(chosen.seen)))


@metal
def take(number: u64) -> tuple[u64, u32, u16]:
    """Take the next chain, which has one part here: where it is on the host, its length, its head."""
    chosen = rings[number]
    head = unsafe.load(u16, at(chosen.available + 4 + u64(u32(chosen.seen) % chosen.size) * 2))
    chosen.seen = u16.wrap(u32(chosen.seen) + 1)
    if model.features & (1 << 29) != 0:
        unsafe.store(u16, at(chosen.used + 4 + u64(chosen.size) * 8), chosen.seen)
    place = at(chosen.descriptors + u64(head) * 16)
    assert unsafe.load(u16, place + 12) & 1 == 0, "a chain of several parts"
    writable = unsafe.load(u16, place + 12) & 2 != 0
    assert writable == (number % 2 == 0), "a buffer that is not for this queue"
    return at(unsafe.load(u64, place)), unsafe.load(u32, place + 8), head


@metal
def give(number: u64, head: u16, length: u32) -> None:
    """Give a chain back, `length` bytes written."""
    chosen = rings[number]
    entry = at(chosen.used + 4 + u64(u32(chosen.served) % chosen.size) * 8)
    unsafe.store(u32, entry, u32(head))
    unsafe.store(u32, entry + 4, length)
    chosen.served = u16.wrap(u32(chosen.served) + 1)
    unsafe.store(u16, at(chosen.used + 2), chosen.served)
    model.cause = 1


@metal
def tell(port: u32, event: u16, length: u32) -> None:
    """Send the driver a control message, if it has given a buffer for it."""
    if waiting(CONTROL_INPUT) == 0:
        return
    address, _, head = take(CONTROL_INPUT)
    unsafe.store(u32, address, port)
    unsafe.store(u16, address + 4, event)
    unsafe.store(u16, address + 6, 1)
    if event == NAME and 1 <= port < 5:
        unsafe.slice(u8, address + 8, 16)[:] = model.names[u64(port - 1) * 16 : u64(port) * 16]
    give(CONTROL_INPUT, head, length)


@metal
def obey() -> None:
    """Answer control messages as virtio 1.2, 5.3.6.2 says."""
    assert model.status & 4 != 0, "notified before it was ready"
    while waiting(CONTROL_OUTPUT) != 0:
        address, length, head = take(CONTROL_OUTPUT)
        assert length == 8
        port, event = unsafe.load(u32, address), unsafe.load(u16, address + 4)
        give(CONTROL_OUTPUT, head, 0)
        if event == READY:
            for number in range(model.ports):
                tell(number, ADDED, 8)
        elif event == PORT_READY:
            tell(port, NAME, 24)
            tell(port, OPEN, 8)
        elif event == OPEN:
            model.opened |= 1 << port


SPACE = word_registers(read32, write32)
