"""Goanna boots an unmodified Go program without an operating system."""

__version__ = "0.1.0"
