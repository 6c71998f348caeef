"""The block function against RFC 8439, and the generator's promises."""

import struct

import pytest

from goanna.kernel.arch.host.arena import arena
from goanna.kernel.random import chacha, pool
from goanna.kernel.thread.current import current
from goanna.metal import Array, jit, u32


@pytest.fixture(scope="module")
def unit():
    return jit(chacha.block, pool.seed, pool.random_bytes, pool.random_number, pool.pool, pool.Stream, arena, current)


def block(unit, key: bytes, counter: int, nonce: bytes) -> bytes:
    keys, nonces, out = unit.new(Array[u32, 8]), unit.new(Array[u32, 3]), unit.new(Array[u32, 16])
    for index, word in enumerate(struct.unpack("<8I", key)):
        keys[index] = word
    for index, word in enumerate(struct.unpack("<3I", nonce)):
        nonces[index] = word
    unit.call(chacha.block, keys, counter, nonces, out)
    return struct.pack("<16I", *out)


# RFC 8439 section 2.3.2 and appendix A.1.
VECTORS = [
    (
        bytes(range(32)),
        1,
        "000000090000004a00000000",
        "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
        "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e",
    ),
    (
        bytes(32),
        0,
        "00" * 12,
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586",
    ),
    (
        bytes(32),
        1,
        "00" * 12,
        "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
        "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f",
    ),
    (
        bytes(31) + b"\x01",
        1,
        "00" * 12,
        "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
        "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0",
    ),
    (
        b"\x00\xff" + bytes(30),
        2,
        "00" * 12,
        "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca"
        "13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096",
    ),
    (
        bytes(32),
        0,
        "00" * 11 + "02",
        "c2c64d378cd536374ae204b9ef933fcd1a8b2288b3dfa49672ab765b54ee27c7"
        "8a970e0e955c14f3a88e741b97c286f75f8fc299e8148362fa198a39531bed6d",
    ),
]


@pytest.mark.parametrize(("key", "counter", "nonce", "expected"), VECTORS)
def test_block_is_rfc_8439s(unit, key, counter, nonce, expected):
    assert block(unit, key, counter, bytes.fromhex(nonce)).hex() == expected


def fill(unit, count: int) -> bytes:
    out = bytearray(count)
    unit.call(pool.random_bytes, out)
    return bytes(out)


def test_each_request_gets_other_bytes_and_replaces_the_key(unit):
    unit.reset()
    unit.call(pool.seed, b"\x07" * 32, 0)
    seen = set()
    for _ in range(50):
        before = list(unit.static(pool.pool).key)
        seen.add(fill(unit, 32))
        assert list(unit.static(pool.pool).key) != before
    assert len(seen) == 50


@pytest.mark.parametrize("count", [0, 1, 31, 32, 63, 64, 65, 1000])
def test_every_length_is_filled(unit, count):
    unit.reset()
    unit.call(pool.seed, b"\x07" * 32, 0)
    assert len(fill(unit, count)) == count
    if count >= 31:
        assert fill(unit, count) != bytes(count)


def test_other_seeds_give_other_bytes(unit):
    outputs = set()
    for seed in (b"\x01" * 32, b"\x02" * 32, b""):
        unit.reset()
        unit.call(pool.seed, seed, 0)
        outputs.add(fill(unit, 32))
    assert len(outputs) == 3


def test_the_key_does_not_hold_what_was_given_out(unit):
    unit.reset()
    unit.call(pool.seed, b"\x07" * 32, 0)
    given = fill(unit, 32)
    assert given not in struct.pack("<8I", *unit.static(pool.pool).key)
