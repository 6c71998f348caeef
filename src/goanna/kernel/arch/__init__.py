"""The machine. The environment variable GOANNA_ARCH names the folder here that is used: "host", for tests, if unset.

Each folder offers the same names; `host/__init__.py` lists them. All other kernel code imports them from here, so that
nothing else knows which machine it is for.
"""

import os
from importlib import import_module

_machine = import_module(f"{__name__}.{os.environ.get('GOANNA_ARCH', 'host')}")
__all__ = list(_machine.__all__)
globals().update({name: getattr(_machine, name) for name in __all__})
