"""The network driver over a model of the device: every frame arrives whole, both ways, whatever the device does."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch.host import processors
from goanna.kernel.device.virtio import mmio
from goanna.kernel.device.virtio.net import NetworkDevice, network_interrupt, on_link
from goanna.kernel.device.virtio.net_pair import BUDGET
from goanna.kernel.net import claim, keyed_hash, loopback, packet
from goanna.kernel.net.address import Address
from goanna.kernel.net.interface import Interface, add_interface
from goanna.kernel.net.offload import want_checksum
from goanna.kernel.net.packet import BUFFER, CHUNK, HEADROOM
from goanna.kernel.net.turn import end_turn
from goanna.kernel.time import timer as timers
from goanna.metal import Slice, i64, jit, metal, static, u8, u16, u32, u64, unsafe
from tests.kernel.device.virtio import net_model as model
from tests.kernel.device.virtio.net_model import (
    ANY_LAYOUT,
    CONTROL,
    CSUM,
    EVENT_INDEX,
    GUEST_CSUM,
    GUEST_TSO4,
    HOST_TSO4,
    HOST_TSO6,
    MAC,
    MERGE,
    MTU,
    PAIRS,
    STATUS,
    VERSION_1,
)  # fmt: skip
from tests.kernel.net import host as hosts
from tests.kernel.net.host import HOST_ROOTS, arp_bytes, ether, host_hooks, ip4, udp_bytes
from tests.kernel.net.machine import Memory, free

ME, PEER = 0x020000000001, 0x020000000002
A, B = "10.0.0.1", "10.0.0.2"
EVERYTHING = CSUM | GUEST_CSUM | MTU | MAC | GUEST_TSO4 | HOST_TSO4 | HOST_TSO6 | MERGE | STATUS | EVENT_INDEX
PROTOCOL = 0x88B5  # EtherType for experiments

network = static(NetworkDevice)
links = static(u32)  # changes of the link


@metal
def link_changed(interface: Interface, now: u64) -> None:
    global links
    links += 1


@metal
def begin() -> i64:
    timers.start_timers()
    keyed_hash.new_keys()
    loopback.start_loopback()
    if not mmio.find_mmio(network.device, model.SPACE, model.BASE):
        return -1000
    result = network.start()
    if result == 0:
        add_interface(network.interface)
    return result


@metal
def interrupt() -> None:
    network_interrupt(unsafe.address(network))


@metal
def tick(time: u64) -> None:
    processors.simulated_time = time
    timers.run_timers()


@metal
def claim_address(address: Address, length: u32) -> bool:
    return claim.claim(network.interface, address, length, False, 0)


@metal
def send(data: Slice[u8], piece: u32, room: u32, segment: u16, sum_at: u32, six: bool) -> bool:
    """Send a frame in pieces of some size, the first with so much room in front. False: no memory."""
    first = packet.allocate(BUFFER if piece <= 1500 else CHUNK, room)
    if first is None:
        return False
    at: u64 = min(len(data), u64(piece))
    first.extend(u32(at))[:] = data[0:at]
    if sum_at != 0:
        first.pull(sum_at)
        want_checksum(first, 16, 0x1234)
        first.push(sum_at)
    first.segment_size = segment
    first.six = six
    while at < len(data):
        part = packet.allocate(BUFFER if piece <= 1500 else CHUNK, 0)
        if part is None:
            packet.drop(first)
            return False
        count = min(len(data) - at, u64(piece))
        part.extend(u32(count))[:] = data[at : at + count]
        first.append(part)
        at += count
    network.interface.send(first)
    return True


ROOTS = (
    *HOST_ROOTS, begin, interrupt, tick, claim_address, send, end_turn, model.registers, network, links,
)  # fmt: skip
with host_hooks((on_link, link_changed)):
    unit = jit(*ROOTS)


class Machine:
    """The driver in a compiled unit, and its device."""

    def __init__(self, features=EVERYTHING, modern=True, largest=64, memory=8 << 20, configuration=None, pairs=1,
                 answer=0, processors=1):
        self.memory = Memory(unit, memory)
        unit.get(network).processors = processors
        registers = unit.get(model.registers)
        registers.version = 2 if modern else 1
        registers.features = features | (VERSION_1 if modern else 0)
        registers.largest = largest
        registers.queues = pairs * 2 + (features & CONTROL != 0)
        registers.answer = answer
        wanted = ME.to_bytes(6, "big") + struct.pack("<HHH", 1, 1, 1400) if configuration is None else configuration
        registers.configuration[: len(wanted)] = list(wanted)
        self.device = model.Device(unit, self.memory.map)
        self.result = unit.call(begin)
        if self.result == 0:
            self.device.start()
            address = unit.new(Address)
            unit.call(Address.set4, address, 0x0A000001)
            assert unit.call(claim_address, address, 120)
        self.interface = unit.get(network).interface
        self.now = 0

    def endpoint(self, index=0, port=1000):
        address = unit.new(Address)
        unit.call(Address.set4, address, 0)
        assert unit.call(hosts.endpoint, index, address, port, 0) == 0

    def datagram(self, index=0):
        source, out = unit.new(Address), bytearray(70000)
        size, _ = unit.call(hosts.receive, index, out, source)
        return None if size < 0 else bytes(out[:size])

    def interrupt(self):
        unit.call(interrupt)

    def later(self, nanoseconds=100_000):
        self.now += nanoseconds
        unit.call(tick, self.now)

    def send(self, frame, piece=1 << 20, room=HEADROOM, segment=0, sum_at=0, six=False):
        most = 12000 if len(frame) > 1500 else 1500
        assert unit.call(send, frame, min(piece, most), room, segment, sum_at, six)
        unit.call(end_turn)


def datagram(data, source=B, flags=0x4000):
    return ether(ME, PEER, 0x800, ip4(source, A, 17, udp_bytes(source, A, 7, 1000, data), 1, flags))


def broken_sum(data):
    frame = bytearray(datagram(data))
    frame[40] ^= 0x55
    return bytes(frame)


SOCKET_HOLDS = 100_000  # bytes of datagrams that nobody takes, with the memory around 30 of them


FORMS = pytest.mark.parametrize(
    ("features", "modern"),
    [(EVERYTHING, True), (EVERYTHING & ~EVENT_INDEX, True), (MAC, True), (EVERYTHING | ANY_LAYOUT, False),
     (EVERYTHING, False), (MAC, False)],
    ids=["all", "no-event-index", "plain", "legacy", "legacy-layout", "legacy-plain"],
)  # fmt: skip


@FORMS
def test_a_request_is_answered(features, modern):
    machine = Machine(features, modern)
    assert machine.result == 0
    assert machine.device.receive(ether(0xFFFFFFFFFFFF, PEER, 0x806, arp_bytes(1, PEER, B, 0, A)))
    machine.interrupt()
    ((head, _, frame),) = machine.device.transmitted()
    mine = machine.interface.mac
    assert frame == ether(PEER, mine, 0x806, arp_bytes(2, mine, A, PEER, B))
    assert machine.device.registers.notified[1] == 1
    machine.device.output.give(head, 0)


def test_what_the_device_says_of_itself():
    machine = Machine()
    assert machine.interface.mac == ME and machine.interface.mtu == 1400
    assert machine.interface.features == 7 and machine.interface.running
    assert Machine(EVERYTHING & ~CSUM).interface.features == 0
    assert Machine(EVERYTHING & ~MTU).interface.mtu == 1500
    small = Machine(EVERYTHING & ~MERGE, configuration=ME.to_bytes(6, "big") + struct.pack("<HHH", 0, 1, 9000))
    assert 1500 <= small.interface.mtu < 1920 and not small.interface.running
    assert not small.device.has(GUEST_TSO4)


def test_a_link_address_that_is_none_is_made_up():
    for wrong in (b"\0" * 6, b"\xff" * 6):
        mac = Machine(configuration=wrong + b"\1\0\1\0\0\0").interface.mac
        assert mac >> 40 & 3 == 2
    assert Machine(EVERYTHING & ~MAC).interface.mac != ME


@pytest.mark.parametrize("largest", [0, 1, 2, 16])
def test_queues_that_are_too_small_are_refused(largest):
    assert Machine(largest=largest).result < 0


@FORMS
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_datagram_arrives_whole(features, modern, data):
    machine = Machine(features, modern)
    machine.endpoint()
    most = 30000 if features & MERGE else 1300
    sent = data.draw(st.lists(st.integers(0, most), max_size=30).filter(lambda sizes: sum(sizes) <= SOCKET_HOLDS))
    expected = []
    for number, size in enumerate(sent):
        content = bytes([number & 255]) * size
        if machine.device.receive(datagram(content)):
            expected.append(content)
        if data.draw(st.booleans()):
            machine.interrupt()
            machine.later()
    machine.interrupt()
    for _ in range(3):
        machine.later()
    found = []
    while (one := machine.datagram()) is not None:
        found.append(one)
    assert found == expected
    assert len(machine.device.waiting) + len(machine.device.input.look()) <= machine.device.input.size


def test_polling_takes_turns_with_programs_and_loses_nothing():
    machine = Machine(largest=256)
    machine.endpoint()
    for _ in range(BUDGET + 10):
        assert machine.device.receive(datagram(b"x" * 10))
    machine.interrupt()
    count = sum(machine.datagram() is not None for _ in range(BUDGET + 10))
    assert BUDGET <= count < BUDGET + 10 + 1 and count != BUDGET + 10
    machine.interrupt()  # not heeded meanwhile
    assert machine.datagram() is None
    machine.later()
    assert sum(machine.datagram() is not None for _ in range(20)) == BUDGET + 10 - count
    assert machine.device.receive(datagram(b"again"))
    machine.interrupt()
    assert machine.datagram() == b"again"


def test_the_device_vouches_for_checksums_if_that_was_agreed_on():
    for features, flags, heard in (
        (EVERYTHING, 1, True), (EVERYTHING, 2, True), (EVERYTHING, 0, False), (MAC, 2, False),
    ):  # fmt: skip
        machine = Machine(features)
        machine.endpoint()
        machine.device.receive(broken_sum(b"x"), flags)
        machine.interrupt()
        assert (machine.datagram() is not None) == heard


@FORMS
@settings(max_examples=40, deadline=None)
@given(size=st.integers(14, 60000), piece=st.integers(60, 12000), room=st.integers(0, 200))
def test_every_frame_is_sent_whole(features, modern, size, piece, room):
    machine = Machine(features, modern, largest=256)
    frame = bytes(number * 7 & 255 for number in range(size))
    machine.send(frame, piece, min(room, 300))
    ((head, header, sent),) = machine.device.transmitted()
    assert sent == frame and header[:10] == bytes(10)
    if not modern and not features & ANY_LAYOUT:
        assert machine.device.output.parts(head)[0][1] == machine.device.header
    before = free(unit)
    machine.device.output.give(head, 0)
    machine.send(b"0123456789abcdef")
    assert free(unit) >= before


def test_what_the_device_is_asked_to_do():
    machine = Machine(largest=256)
    frame = bytes(34) + b"\0" * 12 + b"\x80" + b"\0" * 7 + b"options12345" + b"x" * 4000
    machine.send(frame, segment=1448, sum_at=34)
    machine.send(frame, segment=1428, sum_at=34, six=True)
    machine.send(frame[:100], sum_at=34)
    headers = [struct.unpack("<BBHHHHH", header) for _, header, _ in machine.device.transmitted()]
    assert headers == [(1, 1, 66, 1448, 34, 16, 0), (1, 4, 66, 1428, 34, 16, 0), (1, 0, 0, 0, 34, 16, 0)]
    machine.send(frame, piece=100, segment=1448, sum_at=34)  # copied together: offsets stay right
    ((_, header, sent),) = machine.device.transmitted()
    assert struct.unpack("<BBHHHHH", header) == (1, 1, 66, 1448, 34, 16, 0)
    assert sent[60:] == frame[60:]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), event_index=st.booleans())
def test_frames_wait_for_room_and_go_in_order(data, event_index):
    machine = Machine(EVERYTHING if event_index else EVERYTHING & ~EVENT_INDEX)
    total, next_frame, got, held = data.draw(st.integers(1, 300)), 0, [], []
    while len(got) < total:
        if next_frame < total and (len(got) + len(held) == next_frame or data.draw(st.booleans())):
            for _ in range(data.draw(st.sampled_from([90, 20, 1]))):
                if next_frame < total:
                    machine.send(struct.pack(">I", next_frame) * 5)
                    next_frame += 1
        else:
            for head, _, frame in machine.device.transmitted():
                got.append(struct.unpack(">I", frame[:4])[0])
                held.append(head)
            count = data.draw(st.sampled_from([64, 10, 1]))
            order = data.draw(st.randoms(use_true_random=False))
            order.shuffle(held)
            for head in held[:count]:
                machine.device.output.give(head, 0)
            del held[:count]
            machine.interrupt()
    assert got == list(range(total))


def test_more_than_may_wait_is_lost_and_counted():
    machine = Machine()
    for _ in range(64 + 1000 + 5):
        machine.send(bytes(20))
    assert machine.interface.sent_dropped == 5


def test_without_memory_frames_are_lost_and_buffers_are_not():
    machine = Machine()
    machine.endpoint()
    unit.call(packet.set_limit, 1)
    for _ in range(300):
        assert machine.device.receive(datagram(b"x" * 1000))
        machine.interrupt()
        machine.later()
    assert machine.interface.received_dropped > 0
    unit.call(packet.set_limit, 4 << 20)
    while machine.datagram() is not None:
        pass
    assert machine.device.receive(datagram(b"back"))
    machine.interrupt()
    assert machine.datagram() == b"back"


def test_the_link_goes_and_comes():
    machine = Machine()
    machine.device.registers.configuration[6] = 0
    machine.device.registers.cause = 2
    machine.interrupt()
    assert not machine.interface.running and unit.get(links) == 1
    machine.device.registers.configuration[6] = 1
    machine.device.registers.cause = 3
    machine.interrupt()
    assert machine.interface.running and unit.get(links) == 2


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_hostile_device_never_panics(data):
    features = data.draw(st.integers(0, (1 << 33) - 1)) | data.draw(st.sampled_from([0, EVERYTHING]))
    machine = Machine(
        features & ~VERSION_1, data.draw(st.booleans()), data.draw(st.sampled_from([8, 32, 64, 256, 4096])),
        configuration=data.draw(st.binary(max_size=16)),
    )  # fmt: skip
    if machine.result != 0:
        return
    machine.endpoint()
    device = machine.device
    for _ in range(data.draw(st.integers(1, 12))):
        match data.draw(st.integers(0, 6)):
            case 0:  # any header, any frame
                device.receive(data.draw(st.binary(max_size=100)), data.draw(st.integers(0, 255)),
                               data.draw(st.none() | st.integers(0, 65535)))  # fmt: skip
            case 1:  # any length
                device.waiting += device.input.look()
                if device.waiting:
                    device.input.give(device.waiting.pop(), data.draw(st.integers(0, 2**32 - 1)))
            case 2:  # any buffer
                ring = data.draw(st.sampled_from([device.input, device.output]))
                ring.give(data.draw(st.integers(0, 300) | st.integers(0, 2**32 - 1)), 100)
            case 3:  # an index that runs away
                ring = data.draw(st.sampled_from([device.input, device.output]))
                struct.pack_into("<H", device.memory, ring.used + 2, data.draw(st.integers(0, 65535)))
            case 4:
                machine.send(data.draw(st.binary(min_size=14, max_size=64)))
            case 5:
                device.registers.cause = data.draw(st.integers(0, 2**32 - 1))
                device.registers.configuration[6] = data.draw(st.integers(0, 255))
            case _:
                device.receive(datagram(b"fine"))
        machine.interrupt()
        machine.later()
    assert unit.get(network).interface.running in (True, False)


def test_under_load_interrupts_give_way_to_polling():
    for features in (EVERYTHING, EVERYTHING & ~EVENT_INDEX):
        machine = Machine(features, largest=256, memory=64 << 20)
        machine.endpoint()
        ring = machine.device.input
        heard = 0
        for number in range(40):  # as many each time as a turn takes, and some are always left
            for _ in range(BUDGET * 2 + 16 if number == 0 else BUDGET):
                assert machine.device.receive(datagram(b"x"))
            if number == 0:
                ring.interrupts = 0
                machine.interrupt()
            machine.later()
            while machine.datagram() is not None:
                heard += 1
        assert heard >= 40 * BUDGET and ring.interrupts == 0  # after the first
        for _ in range(3):
            machine.later()
        while machine.datagram() is not None:
            pass
        before = ring.interrupts  # and when it is quiet again, each packet has its own
        for _ in range(5):
            machine.device.receive(datagram(b"x"))
            machine.interrupt()
        assert ring.interrupts == before + 5


def on_processor(index):
    """This is one of two processors from now on."""
    unit.set(processors._running, index)


@pytest.fixture
def restored():
    yield
    unit.reset()


class TwoProcessors(Machine):
    """The driver of a machine with two processors and a device with three pairs of queues."""

    def __init__(self, features=EVERYTHING | CONTROL | PAIRS, modern=True, answer=0):
        configuration = ME.to_bytes(6, "big") + struct.pack("<HHH", 1, 3, 1400)
        pairs = 3 if features & CONTROL else 1
        super().__init__(features, modern, 256, 32 << 20, configuration, pairs, answer, 2)


@pytest.mark.parametrize("modern", [True, False])
def test_each_processor_has_its_pair_of_queues(restored, modern):
    machine = TwoProcessors(modern=modern)
    assert machine.result == 0
    assert unit.get(network).pair_count == 2 and machine.device.registers.pairs == 2
    assert machine.device.registers.notified[2] != 0  # buffers are there for what comes by the second
    for index in (0, 1, 0):
        on_processor(index)
        machine.send(bytes([index]) * 60)
        machine.send(bytes([index + 8]) * 60)
        _, output = machine.device.pairs[index]
        heads = output.look()
        assert [output.read(head)[12:] for head in heads] == [bytes([index]) * 60, bytes([index + 8]) * 60]
        for head in heads:
            output.give(head, 0)
        assert machine.device.pairs[1 - index][1].look() == []


def test_what_comes_by_any_pair_is_heard(restored):
    machine = TwoProcessors()
    machine.endpoint()
    for index in (1, 0, 1):
        machine.device.input, _ = machine.device.pairs[index]
        machine.device.waiting = machine.device.input.look() if index else machine.device.waiting
        assert machine.device.receive(datagram(b"by %d" % index))
        machine.interrupt()
        assert machine.datagram() == b"by %d" % index
        machine.device.waiting = []


@pytest.mark.parametrize(("features", "answer"), [
    (EVERYTHING, 0), (EVERYTHING | CONTROL, 0), (EVERYTHING | PAIRS, 0), (EVERYTHING | CONTROL | PAIRS, 1),
])  # fmt: skip
def test_a_device_that_wants_one_pair_gets_one(restored, features, answer):
    machine = TwoProcessors(features, answer=answer)
    assert machine.result == 0 and unit.get(network).pair_count == 1
    on_processor(1)
    machine.send(bytes(60))
    assert len(machine.device.output.look()) == 1
    machine.endpoint()
    assert machine.device.receive(datagram(b"one"))
    machine.interrupt()
    assert machine.datagram() == b"one"


def test_one_processor_asks_for_one_pair():
    configuration = ME.to_bytes(6, "big") + struct.pack("<HHH", 1, 3, 1400)
    machine = Machine(EVERYTHING | CONTROL | PAIRS, configuration=configuration, pairs=3)
    assert unit.get(network).pair_count == 1 and not machine.device.has(PAIRS)
