"""The driver for Intel's controllers over a model of one: every frame arrives whole, both ways."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch.host import processors
from goanna.kernel.device import e1000
from goanna.kernel.device.e1000 import BUDGET, Card, on_card_link
from goanna.kernel.net import claim, keyed_hash, loopback, packet
from goanna.kernel.net.address import Address
from goanna.kernel.net.interface import Interface, add_interface
from goanna.kernel.net.offload import want_checksum
from goanna.kernel.net.packet import BUFFER, HEADROOM
from goanna.kernel.net.turn import end_turn
from goanna.kernel.time import timer as timers
from goanna.metal import Slice, i64, jit, metal, static, u8, u16, u32, u64
from tests.kernel.device import e1000_model as model
from tests.kernel.net import host as hosts
from tests.kernel.net.host import HOST_ROOTS, arp_bytes, ether, host_hooks, ip4, udp_bytes
from tests.kernel.net.machine import Memory, free

ME, PEER = 0x525400000001, 0x020000000002
A, B = "10.0.0.1", "10.0.0.2"
SENT, LINK_CHANGED = 1, 4

card = static(Card)
links = static(u32)  # changes of the link


@metal
def link_changed(interface: Interface, now: u64) -> None:
    global links
    links += 1


@metal
def begin(device: u16) -> i64:
    timers.start_timers()
    keyed_hash.new_keys()
    loopback.start_loopback()
    card.space = model.SPACE
    card.registers = model.BASE
    card.model = e1000.model_of(device)
    result = card.start()
    if result == 0:
        add_interface(card.interface)
    return result


@metal
def known(device: u16) -> bool:
    return e1000.model_of(device) is not None


@metal
def interrupt() -> None:
    card.interrupted()


@metal
def tick(time: u64) -> None:
    processors.simulated_time = time
    timers.run_timers()


@metal
def claim_address(address: Address, length: u32) -> bool:
    return claim.claim(card.interface, address, length, False, 0)


@metal
def send(data: Slice[u8], piece: u32, sum_at: u32) -> bool:
    """Send a frame in pieces of some size. False: no memory."""
    first = packet.allocate(BUFFER, HEADROOM)
    if first is None:
        return False
    at: u64 = min(len(data), u64(piece))
    first.extend(u32(at))[:] = data[0:at]
    if sum_at != 0:
        first.pull(sum_at)
        want_checksum(first, 6, 0x1234)
        first.push(sum_at)
    while at < len(data):
        part = packet.allocate(BUFFER, 0)
        if part is None:
            packet.drop(first)
            return False
        count = min(len(data) - at, u64(piece))
        part.extend(u32(count))[:] = data[at : at + count]
        first.append(part)
        at += count
    card.interface.send(first)
    return True


ROOTS = (*HOST_ROOTS, begin, known, interrupt, tick, claim_address, send, end_turn, model.registers, card, links)
with host_hooks((on_card_link, link_changed)):
    unit = jit(*ROOTS)


class Machine:
    """The driver in a compiled unit, and its device."""

    def __init__(self, device=0x100E, mac=ME, memory=16 << 20, stuck=False):
        self.memory = Memory(unit, memory)
        registers = unit.get(model.registers)
        registers.words[2] = 2  # the link is up
        registers.stuck = stuck
        low, high = struct.unpack("<IH", mac.to_bytes(6, "big"))
        registers.words[0x5400 // 4], registers.words[0x5404 // 4] = low, high | (1 << 31 if mac else 0)
        self.device = model.Device(unit, self.memory.map)
        self.result = unit.call(begin, device)
        self.interface = unit.get(card).interface
        self.now = 0
        if self.result == 0:
            address = unit.new(Address)
            unit.call(Address.set4, address, 0x0A000001)
            assert unit.call(claim_address, address, 120)

    def endpoint(self):
        address = unit.new(Address)
        unit.call(Address.set4, address, 0)
        assert unit.call(hosts.endpoint, 0, address, 1000, 0) == 0

    def datagrams(self):
        found, source, out = [], unit.new(Address), bytearray(70000)
        while (size := unit.call(hosts.receive, 0, out, source)[0]) >= 0:
            found.append(bytes(out[:size]))
        return found

    def interrupt(self):
        unit.call(interrupt)

    def later(self, nanoseconds=100_000):
        self.now += nanoseconds
        unit.call(tick, self.now)

    def send(self, frame, piece=1500, sum_at=0):
        assert unit.call(send, frame, piece, sum_at)
        unit.call(end_turn)


def datagram(data, mac=ME):
    return ether(mac, PEER, 0x800, ip4(B, A, 17, udp_bytes(B, A, 7, 1000, data), 1, 0x4000))


@pytest.mark.parametrize("device", [0x100E, 0x10D3])
def test_a_request_is_answered(device):
    machine = Machine(device)
    assert machine.result == 0 and machine.interface.mac == ME and machine.interface.running
    assert machine.device.registers.resets == 1 and machine.interface.mtu == 1500
    assert machine.device.receive(ether(0xFFFFFFFFFFFF, PEER, 0x806, arp_bytes(1, PEER, B, 0, A)).ljust(60, b"\0"))
    machine.interrupt()
    ((frame, place),) = machine.device.transmit()
    assert frame == ether(PEER, ME, 0x806, arp_bytes(2, ME, A, PEER, B)) and place is None


def test_devices_that_are_known():
    assert all(unit.call(known, each) for each in (0x1004, 0x1008, 0x100E, 0x100F, 0x10D3))
    assert not any(unit.call(known, each) for each in (0, 0x100D, 0x1533, 0xFFFF))


def test_a_device_that_stays_in_its_reset_is_refused():
    assert Machine(stuck=True).result < 0


def test_a_link_address_that_is_none_is_made_up():
    for wrong in (0, 0xFFFFFFFFFFFF):
        machine = Machine(mac=wrong)
        mac = machine.interface.mac
        assert mac >> 40 & 3 == 2
        low, high = machine.device.word(0x5400), machine.device.word(0x5404)
        assert struct.pack("<IH", low, high & 0xFFFF) == mac.to_bytes(6, "big") and high >> 31 == 1


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_datagram_arrives_whole(data):
    machine = Machine()
    machine.endpoint()
    expected = []
    for number, size in enumerate(data.draw(st.lists(st.integers(0, 1400), max_size=40))):
        content = bytes([number & 255]) * size
        assert machine.device.receive(datagram(content).ljust(60, b"\0"))
        expected.append(content)
        if data.draw(st.booleans()):
            machine.interrupt()
            machine.later()
    machine.interrupt()
    machine.later()
    assert machine.datagrams() == expected


def test_more_frames_than_the_ring_has_go_by_in_turns():
    machine = Machine()
    machine.endpoint()
    heard = 0
    for number in range(20):
        for _ in range(BUDGET * 2 + 16 if number == 0 else BUDGET):
            assert machine.device.receive(datagram(b"x"))
        if number == 0:
            machine.device.interrupts = 0
            machine.interrupt()
        machine.later()
        heard += len(machine.datagrams())
    assert heard >= 20 * BUDGET and machine.device.interrupts == 0  # after the first: polling took their place
    for _ in range(3):
        machine.later()
    heard = len(machine.datagrams())
    assert machine.device.receive(datagram(b"again")) and machine.device.interrupts == 1
    machine.interrupt()
    assert machine.datagrams() == [b"again"]


def test_what_the_device_says_of_a_frame():
    machine = Machine()
    machine.endpoint()
    broken = bytearray(datagram(b"x").ljust(60, b"\0"))
    broken[40] ^= 0x55
    for status, errors, heard in (
        (0x23, 0, 1), (0x03, 0, 0), (0x27, 0, 0), (0x23, 0x20, 0), (0x23, 0x40, 0), (0x23, 1, 0), (0x21, 0, 0),
    ):  # fmt: skip
        machine.device.receive(bytes(broken), status, errors)
        machine.interrupt()
        assert len(machine.datagrams()) == heard, (status, errors)
    machine.device.receive(datagram(b"fine"))
    machine.interrupt()
    assert machine.datagrams() == [b"fine"]


@settings(max_examples=40, deadline=None)
@given(size=st.integers(14, 1514), piece=st.integers(40, 1500), sum_at=st.sampled_from([0, 34]))
def test_every_frame_is_sent_whole(size, piece, sum_at):
    machine = Machine()
    frame = bytes(number * 7 & 255 for number in range(max(size, 60)))
    machine.send(frame, max(piece, 60), sum_at)
    ((sent, place),) = machine.device.transmit()
    wanted = frame if sum_at == 0 else frame[:40] + b"\x34\x12" + frame[42:]
    assert sent == wanted and place == ((34, 40) if sum_at else None)
    before = free(unit)
    machine.send(bytes(60))
    assert free(unit) >= before


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_frames_wait_for_room_and_go_in_order(data):
    machine = Machine()
    total, next_frame, got = data.draw(st.integers(1, 600)), 0, []
    while len(got) < total:
        if next_frame < total and (len(got) == next_frame or data.draw(st.booleans())):
            for _ in range(data.draw(st.sampled_from([300, 20, 1]))):
                if next_frame < total:
                    machine.send(struct.pack(">I", next_frame) * 15, sum_at=data.draw(st.sampled_from([0, 34, 20])))
                    next_frame += 1
        else:
            # Whole frames: those of here have one piece, with a descriptor for their checksum in front at most.
            for frame, _ in machine.device.transmit():
                got.append(struct.unpack(">I", frame[:4])[0])
            machine.interrupt()
    assert got == list(range(total))


def test_the_link_goes_and_comes():
    machine = Machine()
    for count, up in ((1, False), (2, True)):
        machine.device.registers.words[2] = 2 if up else 0
        assert machine.device.cause(LINK_CHANGED)
        machine.interrupt()
        assert machine.interface.running == up and unit.get(links) == count


def test_without_memory_frames_are_lost_and_buffers_are_not():
    machine = Machine()
    machine.endpoint()
    unit.call(packet.set_limit, 1)
    for _ in range(600):
        assert machine.device.receive(datagram(b"x" * 1000))
        machine.interrupt()
        machine.later()
    assert machine.interface.received_dropped > 0
    unit.call(packet.set_limit, 8 << 20)
    machine.datagrams()
    assert machine.device.receive(datagram(b"back"))
    machine.interrupt()
    assert machine.datagrams() == [b"back"]


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_hostile_device_never_panics(data):
    machine = Machine()
    machine.endpoint()
    memory, device = machine.memory.map, machine.device
    for _ in range(data.draw(st.integers(1, 12))):
        ring = device.ring(data.draw(st.sampled_from([model.RX, model.TX])))
        match data.draw(st.integers(0, 4)):
            case 0:  # any descriptor's second half
                at = ring + data.draw(st.integers(0, 255)) * 16 + 8
                struct.pack_into("<Q", memory, at, data.draw(st.integers(0, 2**64 - 1)))
            case 1:
                device.receive(data.draw(st.binary(max_size=100)), data.draw(st.integers(0, 255)),
                               data.draw(st.integers(0, 255)))  # fmt: skip
            case 2:
                machine.send(bytes(60))
            case 3:
                device.registers.words[2] = data.draw(st.integers(0, 255))
                device.cause(data.draw(st.integers(0, 2**32 - 1)))
            case _:
                device.receive(datagram(b"fine"))
        machine.interrupt()
        machine.later()
