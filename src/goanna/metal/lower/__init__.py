"""From the syntax tree of one metal function to LLVM text, types checked on the way.

The work is one class in layers, each a file: emit (instructions, blocks, checks), convert (from what an expression is
to what is wanted), operators, places (names, attributes, indexes), builtins, calls, statements. `body.lower` is the
entrance.
"""
