"""What mmap asks of a descriptor: the file's pages, and what may be done to them through a mapping."""

from goanna.kernel.arch import EXECUTE, READ, WRITE
from goanna.kernel.base.errno import EACCES, EBADF, ENODEV, ENOMEM
from goanna.kernel.file.description import Description
from goanna.kernel.file.descriptors import get_open_file
from goanna.kernel.memory.calls import open_mapping
from goanna.kernel.memory.mapping import MAP_PRIVATE, Request
from goanna.metal import i32, i64, metal

MAP_TYPE = 0xF


@open_mapping.set
@metal
def map_file(descriptor: i32, request: Request) -> i64:
    """Fill in a request's source and what its protection may ever become. 0, -EBADF, -EACCES, -ENODEV or -ENOMEM."""
    description = get_open_file(descriptor)
    if description is None:
        return -EBADF
    error = fill_request(description, request)
    description.drop()
    return error


@metal
def fill_request(description: Description, request: Request) -> i64:
    """The same for an open description."""
    shared = (request.flags & MAP_TYPE) != MAP_PRIVATE
    if shared and (request.protection & WRITE) != 0 and not description.writable():
        return -EACCES
    if not description.readable():
        return -EACCES
    if description.operations.source is None:
        return -ENODEV
    request.source = description.operations.source(description)
    if request.source is None:
        return -ENOMEM
    request.maximum = READ | EXECUTE if shared and not description.writable() else READ | WRITE | EXECUTE
    return 0
