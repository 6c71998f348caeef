"""Runs a test binary on this computer's Linux, among the same files as in an image: a root of its own with what Goanna
puts into images, the Go distribution without its commands (or a module), and nothing else. Needs root, as the tests do.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from goanna.image.assembly import Assembly
from goanna.image.erofs import File, Folder, Link
from goanna.image.links_out import add_links_out
from goanna.image.surroundings import Needs, add_surroundings
from goanna.image.tree_cache import read_tree
from goanna.program.around import Around

# Mounts exist in a namespace of their own, so that nothing is left behind. Arguments: the new root (an empty folder),
# the files for it, the distribution or module, the program; then what the program is entered with.
_SCRIPT = """
set -e
root=$1 files=$2 tree=$3 program=$4
shift 4
mount --make-rprivate /
mount -t tmpfs tmpfs "$root"
cp -a "$files/." "$root"
mkdir -p "$root/.over/upper" "$root/.over/work" "$root$tree" "$root$(dirname "$program")"
mount -t overlay overlay -o "lowerdir=$tree,upperdir=$root/.over/upper,workdir=$root/.over/work" "$root$tree"
[ ! -f "$tree/VERSION" ] || rm -rf "$root$tree/bin" "$root$tree/pkg"
rm -rf "$root$tree/.git" "$root$tree/.hg" "$root$tree/.jj" "$root$tree/.svn"
cp "$program" "$root$program"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
ulimit -S -n 1024
exec "$@"
"""
# The program gets as many of the processors that there are for this process as a machine has.
_ENTER = """
import os, sys
processors, root, folder, *words = sys.argv[1:]
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(processors)])
os.chroot(root)
os.chdir(folder)
os.execv(words[0], words)
"""


def command(
    processors: int, root: Path, files: Path, tree: Path, folder: Path, program: Path, arguments: list[str]
) -> list[str]:
    """The command that runs a program in such a root; `root` is an empty folder, `files` what write_files made."""
    return [
        "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _SCRIPT, "sh",
        str(root), str(files), str(tree), str(program),
        sys.executable, "-c", _ENTER, str(processors), str(root), str(folder), str(program), *arguments,
    ]  # fmt: skip


def write_files(place: Path, around: Around) -> None:
    """Write what an image has beside its program and the tree around it into a folder."""
    tree = Assembly()
    add_surroundings(tree, Needs(certificates=True, zones=True))
    add_links_out(tree, around.top, read_tree(around.top, around.wanted))
    _write(tree.root, place)


def _write(folder: Folder, place: Path) -> None:
    place.mkdir(exist_ok=True)
    for name, node in folder.entries.items():
        here = place / os.fsdecode(name)
        if isinstance(node, Folder):
            _write(node, here)
        elif isinstance(node, Link):
            here.symlink_to(os.fsdecode(node.target))
        elif isinstance(node, File):
            here.write_bytes(node.data if isinstance(node.data, bytes) else node.data.read_bytes())
            here.chmod(node.mode)
    place.chmod(folder.mode)
