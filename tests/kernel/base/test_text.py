"""Generated text: the numbers as Python writes them, and any window of the whole."""

from hypothesis import given
from hypothesis import strategies as st

from goanna.kernel.base.text import Text
from goanna.metal import Slice, i64, jit, metal, u8, u64


@metal
def write(window: Slice[u8], start: u64, name: Slice[u8], number: u64, signed: i64, width: u64) -> u64:
    text = Text(window=window, start=start)
    text.line(name, number)
    text.signed(signed)
    text.byte(0x20)
    text.hexadecimal(number, width)
    text.byte(0x20)
    text.octal(number, width)
    text.byte(0x20)
    text.padded(number, width)
    text.byte(0x20)
    text.zeros(number, width)
    begun = text.position
    text.string(b"end\0not this")
    text.pad_to(5, begun)
    return text.position


unit = jit(write)


@given(
    st.binary(max_size=20), st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1), st.integers(0, 22),
    st.integers(0, 150), st.integers(0, 200),
)  # fmt: skip
def test_every_window_of_a_text_is_a_part_of_the_whole(name, number, signed, width, start, size):
    whole = b"%s%d\n%d " % (name, number, signed)
    whole += f"{number:0{width}x} {number:0{width}o} {number:{width}d} {number:0{width}d}end  ".encode()
    window = bytearray(size)
    assert unit.call(write, window, start, name, number, signed, width) == len(whole)
    kept = whole[start : start + size]
    assert window == kept.ljust(size, b"\0")
