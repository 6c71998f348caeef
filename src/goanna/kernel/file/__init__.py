"""Descriptors and what they stand for: files, directories, pipes, counters, polling."""
