"""This computer's Linux, asked the same memory calls as the kernel under test."""

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

NUMBERS = {
    "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "mremap": 25, "msync": 26, "mincore": 27, "madvise": 28,
    "mlock": 149, "munlock": 150, "mlock2": 325,
}  # fmt: skip


def call(name, *arguments):
    """The result of a system call on this process: negative errno as the kernel gives it."""
    ctypes.set_errno(0)
    words = [ctypes.c_ulong(each & (2**64 - 1)) for each in arguments]
    result = libc.syscall(ctypes.c_long(NUMBERS[name]), *words)
    return -ctypes.get_errno() if result == -1 else result


class IoVector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def _vector(function, buffer, address, size):
    local, remote = IoVector(ctypes.addressof(buffer), size), IoVector(address, size)
    return function(os.getpid(), ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) == size


def read(address, size):
    """The bytes at an address, or None where they can't be read."""
    buffer = (ctypes.c_uint8 * size)()
    return bytes(buffer) if _vector(libc.process_vm_readv, buffer, address, size) else None


def write(address, data):
    """Write bytes; whether that could be done."""
    buffer = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
    return _vector(libc.process_vm_writev, buffer, address, len(data))
