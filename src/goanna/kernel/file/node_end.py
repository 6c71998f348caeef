"""What hangs on a file besides its content, and goes with it."""

from goanna.kernel.file.extended import end_attributes
from goanna.kernel.file.flags import S_IFIFO
from goanna.kernel.file.inotify import end_watches
from goanna.kernel.file.locks import end_locks
from goanna.kernel.file.named_pipe import end_named_pipe
from goanna.kernel.file.node import Node, on_node_end
from goanna.kernel.share.node import end_shared
from goanna.metal import metal


@on_node_end.set
@metal
def end_parts(node: Node) -> None:
    """What hung on a file that nobody refers to any more."""
    if node.kind() == S_IFIFO:
        end_named_pipe(node)
    end_locks(node)
    end_attributes(node)
    end_watches(node)
    if node.remote != 0:
        end_shared(node)
