"""Boot information: packed by the host, checked and read by the kernel; damaged, it is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goanna.kernel.shared.boot import (
    FIXED_SIZE,
    FLAG_TRACE,
    TEXTS,
    BootInformation,
    ImageHeader,
    Text,
    boot_information,
)
from goanna.metal import Slice, jit, metal, u8, u64, unsafe


@metal
def check(data: Slice[u8], available: u64) -> bool:
    return unsafe.at(BootInformation, unsafe.address(data)).check(available)


@metal
def text(data: Slice[u8], which: u64, destination: Slice[u8]) -> u64:
    information = unsafe.at(BootInformation, unsafe.address(data))
    texts = unsafe.slice(Text, unsafe.address(information.arguments), TEXTS)
    found = information.bytes_of(texts[which])
    destination[0 : len(found)] = found
    return len(found)


@metal
def has_seed(data: Slice[u8]) -> bool:
    return unsafe.at(BootInformation, unsafe.address(data)).has_seed()


unit = jit(check, text, has_seed, ImageHeader)
plain = st.binary(max_size=30).filter(lambda data: b"\0" not in data)


def read(data, which):
    buffer = bytearray(4096)
    return bytes(buffer[: unit.call(text, data, which, buffer)])


@given(
    st.lists(plain), st.dictionaries(plain, plain), st.tuples(plain, plain, plain, plain), st.lists(plain),
    st.binary(min_size=32, max_size=32),
)  # fmt: skip
def test_what_the_host_packs_the_kernel_reads(arguments, environment, texts, returns, seed):
    program, hostname, directory, tree = texts
    data = boot_information(
        arguments=arguments, environment=environment, program=program, hostname=hostname, directory=directory,
        tree=tree, returns=returns, seed=seed, flags=FLAG_TRACE,
    )  # fmt: skip
    assert unit.call(check, data, len(data))
    assert read(data, 0) == b"".join(each + b"\0" for each in arguments)
    assert read(data, 1) == b"".join(key + b"=" + value + b"\0" for key, value in environment.items())
    assert (read(data, 2), read(data, 3), read(data, 4), read(data, 5)) == texts
    assert read(data, 7) == b"".join(each + b"\0" for each in returns)
    assert unit.call(has_seed, data) == any(seed)
    assert not unit.call(check, data, len(data) - 1)


def test_what_is_not_said_is_told_from_what_is_empty():
    said = BootInformation.unpack(boot_information(arguments=[], program=b""))
    assert said.arguments.offset != 0 and said.program.offset != 0 and said.environment.offset == 0


def test_texts_without_a_place_in_a_program_are_refused():
    with pytest.raises(ValueError, match="zero byte"):
        boot_information(arguments=[b"a\0b"])
    with pytest.raises(OverflowError):
        boot_information(processors=1 << 32)


@given(st.lists(st.tuples(st.integers(0, FIXED_SIZE + 40), st.integers(0, 255)), min_size=1, max_size=6))
def test_what_passes_the_check_can_be_read(changes):
    data = bytearray(boot_information(arguments=[b"program", b"x"], environment={b"A": b"B"}, program=b"/bin/program"))
    for at, value in changes:
        if at < len(data):
            data[at] = value
    if unit.call(check, bytes(data), len(data)):
        for which in range(TEXTS):
            found = read(bytes(data), which)
            assert len(found) <= len(data) and found in bytes(data)


def test_an_image_header_that_nobody_filled_in_is_not_valid():
    header = unit.new(ImageHeader)
    assert header.magic != 0 and not unit.call(ImageHeader.valid, header)
    header.image_end = 1 << 20
    assert unit.call(ImageHeader.valid, header)
    header.version += 1
    assert not unit.call(ImageHeader.valid, header)
