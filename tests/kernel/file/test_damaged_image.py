"""A root whose image makes no sense: calls answer what they like, but the kernel goes on."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernel.file import test_changes_against_linux as changes
from tests.kernel.syscall.bench import Machine

PATH, OTHER, BUFFER = 0x8000, 0xA000, 0
damages = st.lists(
    st.tuples(st.integers(0, 1 << 15), st.integers(1, 8), st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xFF])),
    min_size=1, max_size=12,
)  # fmt: skip


class OneSide:
    """What step_arguments wants, of one machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def put(self, offset: int, data: bytes) -> int:
        self.machine.used = offset
        return self.machine.put(data)


@settings(max_examples=150, deadline=None)
@given(damage=damages, steps=st.lists(changes.steps, min_size=1, max_size=40))
def test_no_damage_of_the_image_fails_the_kernel(damage, steps):
    def spoil(image: bytes) -> bytes:
        data = bytearray(image)
        for place, count, value in damage:
            for index in range(max(place, 1280), min(place + count, len(data))):  # not the superblock
                data[index] = value
        return bytes(data)

    machine = Machine(changes.tree(), spoil)
    side = OneSide(machine)
    for step in [("openat", -100, b"/d", 0, 0), ("openat", -100, b"d/x", 2, 0), *steps]:
        arguments = [
            each - changes.REGION + machine.scratch
            if isinstance(each, int) and changes.REGION <= each < changes.REGION + 0x10000
            else each
            for each in changes.step_arguments(side, step)
        ]
        machine.raw(step[0], *arguments)
