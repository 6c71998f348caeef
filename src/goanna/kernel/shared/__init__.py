"""Definitions that the kernel and the tools both use: each layout is written here once, in metal types."""
