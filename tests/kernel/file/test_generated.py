"""The generated trees: what Go programs and C libraries read there, whole and in small pieces."""

import re
import stat
import struct

import pytest

from goanna.kernel.base.errno import EACCES, EINVAL, EIO, ENOENT, ENOMEM, ENOSPC, ENXIO
from tests.kernel.syscall.bench import AT_FDCWD, Machine

TEXTS = [  # those that reading them doesn't change
    "/proc/self/maps", "/proc/self/limits", "/proc/self/comm", "/proc/self/mounts", "/proc/self/mountinfo",
    "/proc/cpuinfo", "/proc/version", "/proc/sys/kernel/osrelease", "/proc/self/mountstats", "/proc/devices",
    "/proc/filesystems", "/proc/cmdline", "/proc/self/uid_map",
]  # fmt: skip


@pytest.fixture(scope="module")
def machine():
    return Machine()


def link(machine, path: bytes) -> bytes:
    place = machine.scratch + (512 << 10)
    size = machine.call("readlinkat", AT_FDCWD, path, place, 4096)
    assert size > 0, (path, size)
    return machine.get(place, size)


@pytest.mark.parametrize("path", TEXTS)
def test_pieces_of_any_size_make_the_same_text(machine, path):
    whole = machine.file(path.encode())
    assert whole.endswith(b"\n")
    for step in (1, 7, 100):
        assert machine.file(path.encode(), step) == whole


def test_stat_has_52_fields(machine):
    number, rest = machine.file(b"/proc/self/stat").split(b" (test) ")
    assert number == b"1"
    assert len(rest.split()) == 50


def test_maps_lines_have_linuxs_form(machine):
    for line in machine.file(b"/proc/self/maps").decode().splitlines():
        assert re.fullmatch(r"[0-9a-f]{8,}-[0-9a-f]{8,} [r-][w-][x-][ps] [0-9a-f]{8} \d\d:\d\d \d+ ( *\S+)?", line)


def test_status_lines_are_name_tab_value(machine):
    lines = machine.file(b"/proc/self/status").decode().splitlines()
    names = dict(line.split(":\t", 1) for line in lines)
    assert names["Name"] == "test" and names["Pid"] == "1" and names["Threads"] == "1"


def test_the_huge_page_size_is_where_the_go_runtime_looks(machine):
    assert machine.file(b"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size") == b"2097152\n"


def test_there_are_no_cgroups_where_none_are_mounted(machine):
    assert machine.file(b"/proc/self/cgroup") == b""


def test_links_of_a_process(machine):
    assert link(machine, b"/proc/self") == b"1"
    assert link(machine, b"/proc/self/cwd") == b"/"
    assert re.fullmatch(rb"pipe:\[\d+\]", link(machine, b"/proc/self/fd/1"))
    descriptor = machine.open(b"/links/hosts")
    assert link(machine, f"/proc/self/fd/{descriptor}".encode()) == b"/etc/hosts"
    assert machine.open(b"/proc/self/fd/500") == -ENOENT


def test_standard_output_can_be_opened_by_its_name(machine):
    before = machine.output()
    descriptor = machine.open(b"/dev/stdout", 1)
    assert machine.write(descriptor, b"by name") == 7
    assert machine.output() == before + b"by name"


def test_devices(machine):
    zero, full, null = (machine.open(path, 2) for path in (b"/dev/zero", b"/dev/full", b"/dev/null"))
    assert machine.read(zero, 1000) == bytes(1000)
    assert machine.write(full, b"x") == -ENOSPC
    assert machine.write(null, b"gone") == 4 and machine.read(null, 10) == b""
    random = machine.open(b"/dev/urandom")
    assert machine.read(random, 64) != machine.read(random, 64)
    assert machine.open(b"/dev/tty", 2) == -ENXIO


def test_a_device_says_its_numbers(machine):
    place = machine.scratch + (512 << 10)
    assert machine.call("newfstatat", AT_FDCWD, b"/dev/null", place, 0) == 0
    mode, special = struct.unpack_from("<I12xQ", machine.get(place, 144), 24)
    assert stat.S_ISCHR(mode) and special == 1 << 8 | 3


def test_nothing_is_made_in_a_generated_tree(machine):
    assert machine.open(b"/proc/new", 0o101) == -EACCES


def test_what_is_written_to_oom_score_adj_is_read_there(machine):
    descriptor = machine.open(b"/proc/self/oom_score_adj", 2)
    assert machine.write(descriptor, b"500\n") == 4
    assert machine.file(b"/proc/self/oom_score_adj") == b"500\n"
    assert machine.file(b"/proc/self/oom_adj") == b"8\n"
    assert 1000 <= int(machine.file(b"/proc/self/oom_score")) <= 1010
    assert machine.write(descriptor, b"1001") == -EINVAL
    assert machine.write(descriptor, b"x") == -EINVAL
    assert machine.write(descriptor, b"0\n") == 2


def test_a_processor_is_listed_with_its_topology_and_caches(machine):
    assert machine.file(b"/sys/devices/system/cpu/cpu0/topology/core_id") == b"0\n"
    assert machine.file(b"/sys/devices/system/cpu/cpu0/cache/index0/type") == b"Unified\n"
    assert machine.file(b"/sys/devices/system/cpu/cpu0/cache/index0/size") == b"32K\n"
    for name in (b"cpu1", b"cpu00", b"cpu", b"cpu0/cache/index1"):
        assert machine.open(b"/sys/devices/system/cpu/" + name) == -ENOENT


def test_memory_is_read_at_its_address(machine):
    line = machine.file(b"/proc/self/maps").split(b"\n")[0]
    start = int(line.split(b"-")[0], 16)
    descriptor = machine.open(b"/proc/self/mem", 2)
    place = machine.scratch + (256 << 10)
    assert machine.call("pread64", descriptor, place, 16, start) == 16
    assert machine.call("pread64", descriptor, place, 16, 0) == -EIO


def test_namespaces_have_the_numbers_of_the_first_ones(machine):
    assert link(machine, b"/proc/self/ns/net") == b"net:[4026531833]"
    assert link(machine, b"/proc/self/ns/pid_for_children") == b"pid:[4026531836]"
    assert machine.open(b"/proc/self/ns/user") >= 0


def test_a_thread_lists_its_descriptors(machine):
    descriptor = machine.open(b"/links/hosts")
    assert link(machine, f"/proc/thread-self/fd/{descriptor}".encode()) == b"/etc/hosts"
    assert machine.file(f"/proc/thread-self/fdinfo/{descriptor}".encode()).startswith(b"pos:\t0\nflags:\t0")
    assert machine.open(f"/proc/self/task/1/fd/{descriptor}".encode()) > descriptor
    assert machine.open(b"/proc/thread-self/fd/500") == -ENOENT


SETTINGS = (("vm/max_map_count", b"262144"), ("net/core/somaxconn", b"128"), ("net/ipv4/tcp_keepalive_time", b"600"))


@pytest.mark.parametrize(("name", "value"), SETTINGS)
def test_a_setting_is_what_was_written_last(machine, name, value):
    path = b"/proc/sys/" + name.encode()
    before = machine.file(path)
    descriptor = machine.open(path, 1)
    assert machine.write(descriptor, value + b"\n") == len(value) + 1
    assert machine.file(path) == value + b"\n"
    for wrong in (b"x", b"", b"1x", b"-1", b"99999999999999999999999", b"1 2"):
        assert machine.write(descriptor, wrong) == (-EINVAL if wrong else 0)
    assert machine.write(descriptor, before) == len(before)
    assert machine.file(path) == before


def test_mappings_are_limited_as_was_set(machine):
    descriptor = machine.open(b"/proc/sys/vm/max_map_count", 1)
    assert machine.write(descriptor, b"0") == 1
    assert machine.call("mmap", 0, 4096, 3, 0x22, -1, 0) == -ENOMEM
    assert machine.write(descriptor, b"65530") == 5
    assert machine.call("mmap", 0, 4096, 3, 0x22, -1, 0) > 0


def test_what_can_not_be_changed_may_be_set_to_what_it_is(machine):
    descriptor = machine.open(b"/proc/sys/vm/overcommit_memory", 1)
    assert machine.write(descriptor, b"1\n") == 2
    assert machine.write(descriptor, b"2\n") == -EINVAL
    assert machine.open(b"/proc/sys/kernel/pid_max", 1) == -EACCES


def test_lists_of_devices_have_linuxs_form(machine):
    assert machine.file(b"/proc/partitions") == b"major minor  #blocks  name\n\n"
    assert machine.file(b"/proc/diskstats") == b""
    for line in machine.file(b"/proc/consoles").decode().splitlines():
        assert re.fullmatch(r"\S+ +[R-][W-][U-] \([E ][C ][B ][N ][p ][b ][a ]\) +\d+:\d+", line)
    table = machine.file(b"/proc/net/arp").decode().splitlines()
    assert table[0].split()[:2] == ["IP", "address"]
