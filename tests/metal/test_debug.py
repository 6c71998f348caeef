"""DWARF of a compiled module, read back: functions, lines, variables and types as gdb finds them."""

import inspect
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeVar

import pytest
from elftools.elf.elffile import ELFFile

from goanna.metal import Array, Atomic, Big, Fn, Ptr, Slice, enumeration, metal, static, struct, u8, u16, u32, u64
from goanna.metal.compile import compile_object
from goanna.metal.target import ARCHITECTURES, kernel_target
from tests.metal import machines

T = TypeVar("T")


@enumeration(u8)
class State:
    READY = 0
    BUSY = 7


@struct
class Node:
    next: Ptr["Node"]
    value: u32
    state: State
    port: Big[u16]
    name: Array[u8, 16]
    users: Atomic[u32]
    wake: Fn[[Ptr["Node"]], None]


head = static(Ptr[Node])


@metal(inline=True)
def larger(a: T, b: T) -> T:
    if a > b:
        return a
    return b


@metal(export="walk")
def walk(limit: u32, names: Slice[u8]) -> u32:
    total: u32 = u32.wrap(len(names))
    node = head
    while node is not None:
        total = larger(total, node.value + limit)
        node = node.next
    return total


@pytest.fixture(scope="module", params=ARCHITECTURES)
def dwarf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The debug information of an unoptimised object file, linked so that its numbers are final."""
    from goanna.metal.link import kernel_script, link

    folder = tmp_path_factory.mktemp("debug")
    target = kernel_target(request.param)
    compile_object([walk], target, folder / "a.o", level=0)
    link([folder / "a.o"], kernel_script(target, 0xFFFFFFFF80200000, 0x80200000), folder / "a.elf", entry="walk")
    with (folder / "a.elf").open("rb") as stream:
        yield ELFFile(stream).get_dwarf_info()


def entries(dwarf: Any) -> list[Any]:
    """All entries of the one unit."""
    (unit,) = dwarf.iter_CUs()
    return list(unit.iter_DIEs())


def named(dwarf: Any, tag: str, name: str) -> Any:
    """The entry of a tag and a name."""
    found = [each for each in entries(dwarf) if each.tag == f"DW_TAG_{tag}" and _name(each) == name]
    assert len(found) == 1, (tag, name, found)
    return found[0]


def _name(entry: Any) -> str:
    return entry.attributes["DW_AT_name"].value.decode() if "DW_AT_name" in entry.attributes else ""


def described(entry: Any) -> str:
    """The type of a variable or member in words."""
    if "DW_AT_type" not in entry.attributes:
        return "void"
    target = entry.get_DIE_from_attribute("DW_AT_type")
    if target.tag == "DW_TAG_pointer_type":
        return described(target) + "*"
    if target.tag == "DW_TAG_array_type":
        (bounds,) = [each for each in target.iter_children()]
        return f"{described(target)}[{bounds.attributes['DW_AT_count'].value}]"
    if target.tag == "DW_TAG_subroutine_type":
        return f"{described(target)}({', '.join(described(each) for each in target.iter_children())})"
    return _name(target)


def test_one_unit_in_version_5(dwarf: Any) -> None:
    (unit,) = dwarf.iter_CUs()
    assert unit["version"] == 5
    assert unit.get_top_DIE().attributes["DW_AT_language"].value == 0x1D  # DW_LANG_C11


def test_a_function_is_found_by_its_python_name_and_line(dwarf: Any) -> None:
    function = named(dwarf, "subprogram", "walk")
    assert function.attributes["DW_AT_decl_line"].value == inspect.getsourcelines(walk.python)[1] + 1
    parameters = {_name(each): described(each) for each in function.iter_children() if "formal" in each.tag}
    assert parameters == {"limit": "u32", "names": "Slice[u8]"}
    variables = {_name(each): described(each) for each in function.iter_children() if each.tag == "DW_TAG_variable"}
    assert variables == {"total": "u32", "node": "Node*"}


def test_structures_have_their_fields_where_they_lie(dwarf: Any) -> None:
    structure = named(dwarf, "structure_type", "Node")
    fields = {_name(each): (described(each), each.attributes["DW_AT_data_member_location"].value)
              for each in structure.iter_children()}  # fmt: skip
    offsets = {name: field.offset for name, field in Node.fields.items()}
    assert {name: place for name, (_, place) in fields.items()} == offsets
    assert {name: text for name, (text, _) in fields.items()} == {
        "next": "Node*",
        "value": "u32",
        "state": "State",
        "port": "u8[2]",
        "name": "u8[16]",
        "users": "Atomic[u32]",
        "wake": "void(Node*)*",
    }
    state = named(dwarf, "enumeration_type", "State")
    members = {_name(each): each.attributes["DW_AT_const_value"].value for each in state.iter_children()}
    assert members == {"READY": 0, "BUSY": 7}


def test_statics_are_variables(dwarf: Any) -> None:
    variable = named(dwarf, "variable", "head")
    assert described(variable) == "Node*"
    lines = Path(__file__).read_text().splitlines()
    assert lines[variable.attributes["DW_AT_decl_line"].value - 1] == "head = static(Ptr[Node])"


def test_every_line_of_the_function_has_code(dwarf: Any) -> None:
    (unit,) = dwarf.iter_CUs()
    program = dwarf.line_program_for_CU(unit)
    files = [entry.name.decode() for entry in program["file_entry"]]
    folders = [each.decode() for each in program["include_directory"]]
    assert Path(folders[0], files[0]) == Path(__file__)
    lines = {each.state.line for each in program.get_entries() if each.state}
    source, first = inspect.getsourcelines(sys.modules[__name__].walk.python)
    assert set(range(first + 1, first + len(source))) <= lines


@metal(inline=False)
def sum_of(first: Node) -> u32:
    total: u32 = 0
    node: Ptr[Node] = first
    while node is not None:
        total += node.value  # the debugger stops here
        node = node.next
    return total


@metal
def program() -> u64:
    last = Node(value=5, state=State.BUSY)
    first = Node(value=7, next=last)
    return u64(sum_of(first))


@pytest.mark.parametrize("level", [0, 2])
def test_gdb_stops_in_python_source_and_shows_its_variables(level: int, tmp_path: Path) -> None:
    if not shutil.which("gdb") or not shutil.which("qemu-system-x86_64"):
        pytest.skip("needs gdb and qemu-system-x86_64")
    kernel = machines.build("x86_64", level, [program], tmp_path)
    # Listened on from here: a free port can be somebody else's by the time that QEMU would do so.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port, number = listener.getsockname()[1], listener.fileno()
        door = ["-chardev", f"socket,id=gdb,fd={number},server=on,wait=off", "-gdb", "chardev:gdb"]
        machine = subprocess.Popen(
            [*machines.command("x86_64", kernel), "-S", *door],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=[number],
        )  # fmt: skip
    source, start = inspect.getsourcelines(sum_of.python)
    line = start + next(index for index, text in enumerate(source) if "stops here" in text)
    steps = ["set remotetimeout 120", f"target remote 127.0.0.1:{port}", f"hbreak {Path(__file__).name}:{line}"]
    steps += ["continue", "continue", "backtrace", "print total", "print *node", "kill"]
    try:
        gdb = ["gdb", "-q", "-nx", "-batch", *(word for step in steps for word in ("-ex", step)), str(kernel)]
        said = subprocess.run(gdb, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240).stdout
    finally:
        machine.kill()
        machine.wait()
    assert f"{line}\t{source[line - start].rstrip()}" in said
    assert re.search(r"#0 +sum_of \(.*\) at .*test_debug\.py", said)
    assert re.search(r"program \(\) at .*test_debug\.py", said)
    assert "total = 7" in said or "$1 = 7" in said
    assert "next = 0x0" in said and "value = 5" in said and "state = BUSY" in said
