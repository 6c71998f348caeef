"""What this kernel is compiled with, chosen once a process by the environment, like the architecture.

A program that never opens a socket of the Internet's families gets a kernel that hasn't got them: AF_INET and AF_INET6
are EAFNOSUPPORT there, as with a Linux that was configured so, and network devices are left alone.
"""

import os

__all__ = ["NETWORK", "NETWORK_VARIABLE"]

NETWORK_VARIABLE = "GOANNA_NETWORK"
NETWORK = os.environ.get(NETWORK_VARIABLE) != "no"
