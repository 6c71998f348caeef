"""A root whose image makes no sense: calls answer what they like, but the kernel goes on."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from goanna.kernel.base.errno import EINVAL, EIO, ELOOP, ENODATA, ENOENT, ENOMEM, ENOTDIR, EOPNOTSUPP, EPERM, EUCLEAN
from tests.kernel.file import test_changes_against_linux as changes
from tests.kernel.file import test_marks_against_linux as marks
from tests.kernel.syscall.bench import Machine, RootRefused

PATH, OTHER, BUFFER = 0x8000, 0xA000, 0
# What a call on a damaged tree may answer: it, or that there is no such name or attribute.
DAMAGED = [-EUCLEAN, -EIO, -ENOENT, -ENODATA, -ENOTDIR, -ELOOP, -EOPNOTSUPP, -EPERM]
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


def spoiled(damage):
    def spoil(image: bytes) -> bytes:
        data = bytearray(image)
        for place, count, value in damage:
            for index in range(max(place, 1280), min(place + count, len(data))):  # not the superblock
                data[index] = value
        return bytes(data)

    return spoil


def damaged_machine(tree, damage):
    """A machine whose root is damaged; None if it is so damaged that the kernel says so and does not begin."""
    try:
        return Machine(tree, spoiled(damage))
    except RootRefused as refused:
        assert refused.args[0] in (EINVAL, EIO, EUCLEAN, ENOMEM)
        return None


# What marks.tree() says of attributes lies in the first pages.
marking = st.lists(
    st.tuples(st.integers(1280, 7 * 4096), st.integers(1, 4), st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xFF])),
    min_size=1, max_size=40,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(damage=marking)
@example(damage=[(1317, 4, 0)])  # the root's own entry
def test_no_damage_of_extended_attributes_fails_the_kernel(damage):
    machine = damaged_machine(marks.tree(), damage)
    if machine is None:
        return
    value = machine.scratch + BUFFER

    def text(offset, data):
        machine.used = offset
        return machine.put(data + b"\0")

    for path in (b"/marked", b"/shared", b"/marked-folder", b"/marked-link", b"/f", b"/same"):
        where = text(PATH, path)
        for name in (b"user.a", b"user.b", b"trusted.t", b"security.s"):
            size = machine.raw("lgetxattr", where, text(OTHER, name), value, 0x4000)
            assert size in DAMAGED or 0 <= size < 0x4000
        size = machine.raw("llistxattr", where, value, 0x4000)
        assert size in DAMAGED or 0 <= size < 0x4000
        result = machine.raw("lsetxattr", where, text(OTHER, b"trusted.new"), value, 3, 0)
        assert result in (*DAMAGED, 0)
        if result == 0:
            assert machine.raw("lgetxattr", where, text(OTHER, b"trusted.new"), value, 3) == 3
            assert machine.raw("lremovexattr", where, text(OTHER, b"trusted.new")) == 0


@settings(max_examples=150, deadline=None)
@example(damage=[(3046, 4, 127)], steps=[])
@given(damage=damages, steps=st.lists(changes.steps, min_size=1, max_size=40))
def test_no_damage_of_the_image_fails_the_kernel(damage, steps):
    machine = damaged_machine(changes.tree(), damage)
    if machine is None:
        return
    side = OneSide(machine)
    for step in [("openat", -100, b"/d", 0, 0), ("openat", -100, b"d/x", 2, 0), *steps]:
        arguments = [
            each - changes.REGION + machine.scratch
            if isinstance(each, int) and changes.REGION <= each < changes.REGION + 0x10000
            else each
            for each in changes.step_arguments(side, step)
        ]
        machine.raw(step[0], *arguments)
