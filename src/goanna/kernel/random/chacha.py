"""The ChaCha20 block function (RFC 8439 section 2.3): 64 bytes from a key, a counter and a nonce."""

from goanna.metal import Array, metal, rotate_left, u32, u64, wrapping

BLOCK = 64  # bytes
# "expand 32-byte k", section 2.3
CONSTANTS = (0x61707865, 0x3320646E, 0x79622D32, 0x6B206574)


@metal(inline=True)
def quarter_round(state: Array[u32, 16], a: u64, b: u64, c: u64, d: u64) -> None:
    """Section 2.1."""
    state[a] = wrapping(state[a] + state[b])
    state[d] = rotate_left(state[d] ^ state[a], 16)
    state[c] = wrapping(state[c] + state[d])
    state[b] = rotate_left(state[b] ^ state[c], 12)
    state[a] = wrapping(state[a] + state[b])
    state[d] = rotate_left(state[d] ^ state[a], 8)
    state[c] = wrapping(state[c] + state[d])
    state[b] = rotate_left(state[b] ^ state[c], 7)


@metal
def block(key: Array[u32, 8], counter: u32, nonce: Array[u32, 3], out: Array[u32, 16]) -> None:
    """Fill `out` with the block of that counter. On a little-endian machine its words are the block's bytes."""
    state = Array[u32, 16]()
    out[0] = CONSTANTS[0]
    out[1] = CONSTANTS[1]
    out[2] = CONSTANTS[2]
    out[3] = CONSTANTS[3]
    for index in range(u64(0), u64(8)):
        out[4 + index] = key[index]
    out[12] = counter
    for index in range(u64(0), u64(3)):
        out[13 + index] = nonce[index]
    for index in range(u64(0), u64(16)):
        state[index] = out[index]
    for _ in range(10):  # columns, then diagonals
        quarter_round(state, 0, 4, 8, 12)
        quarter_round(state, 1, 5, 9, 13)
        quarter_round(state, 2, 6, 10, 14)
        quarter_round(state, 3, 7, 11, 15)
        quarter_round(state, 0, 5, 10, 15)
        quarter_round(state, 1, 6, 11, 12)
        quarter_round(state, 2, 7, 8, 13)
        quarter_round(state, 3, 4, 9, 14)
    for index in range(u64(0), u64(16)):
        out[index] = wrapping(out[index] + state[index])
