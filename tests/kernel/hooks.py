"""Hooks filled in for one compilation, so that a room is tested without the rooms above it."""

from collections.abc import Iterator
from contextlib import contextmanager

from goanna.metal import MetalFunction


@contextmanager
def filled(*pairs: tuple[object, MetalFunction]) -> Iterator[None]:
    """Fill each (hook, function) in, whatever is there, and put back what was there at the end.

    A module that is first imported meanwhile (by a dotted path in a type, say) and sets a hook sets what is put back.
    """
    before = {hook: hook.function for hook, _ in pairs}

    def setter(hook):
        def set_later(function):
            before[hook] = function
            return function

        return set_later

    try:
        for hook, function in pairs:
            hook.function, hook.set = function, setter(hook)
        yield
    finally:
        for hook, function in before.items():
            hook.function = function
            del hook.set
