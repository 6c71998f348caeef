"""Programs that were once compiled wrongly, or that rest on what one of the three machines does in a way of its own.

A module a program: `program` is a metal function without parameters, `EXPECTED` the u64 that it gives. A new one needs
no other line: tests/metal/test_miscompiles.py finds it and runs it at O0 and O2 on the host and on all three machines.
"""
