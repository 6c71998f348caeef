"""Randomness: a ChaCha20 generator, what it is seeded from, and the calls that give it out."""
