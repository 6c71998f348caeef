"""Hooks filled in for one compilation, so that a room is tested without the rooms above it."""

from collections.abc import Iterator
from contextlib import contextmanager

from goanna.metal import MetalFunction


@contextmanager
def filled(*pairs: tuple[object, MetalFunction]) -> Iterator[None]:
    """Fill each (hook, function) in, whatever is there, and put back what was there at the end."""
    before = [(hook, hook.function) for hook, _ in pairs]
    try:
        for hook, function in pairs:
            hook.function = function
        yield
    finally:
        for hook, function in before:
            hook.function = function
