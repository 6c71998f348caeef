"""What mmap asks of a descriptor: the file's pages, and what may be done to them through a mapping."""

from goanna.kernel.arch import EXECUTE, READ, WRITE
from goanna.kernel.base.errno import EACCES, EBADF, ENODEV, ENOMEM, EPERM
from goanna.kernel.file.description import Description
from goanna.kernel.file.descriptors import get_open_file
from goanna.kernel.file.flags import ST_NOEXEC
from goanna.kernel.file.memory_file import SEAL_FUTURE_WRITE, SEAL_WRITE
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
    sealed = shared and is_sealed(description)
    if sealed and (request.protection & WRITE) != 0:
        return -EPERM
    executable = description.entry is None or (description.entry.tree.flags & ST_NOEXEC) == 0
    if not executable and (request.protection & EXECUTE) != 0:
        return -EPERM
    request.source = description.operations.source(description)
    if request.source is None:
        return -ENOMEM
    fixed = sealed or (shared and not description.writable())
    request.maximum = READ if fixed else READ | WRITE
    if executable:
        request.maximum |= EXECUTE
    return 0


@metal
def is_sealed(description: Description) -> bool:
    """Whether nobody may write to a file's pages any more."""
    entry = description.entry
    if entry is None or entry.node is None:
        return False
    return (entry.node.seals & (SEAL_WRITE | SEAL_FUTURE_WRITE)) != 0
