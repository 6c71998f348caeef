"""virtio devices on every machine type, behind registers and on PCI, in modern and legacy form."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boot.test_bare import EXPECTED, start

SIZE = 16 << 20
BLOCK = "drive=d0,serial=a-disk"
MACHINES = {
    "microvm, legacy": ["-machine", "microvm", "-device", f"virtio-blk-device,{BLOCK}", "-device", "virtio-rng-device"],
    "microvm without ACPI": ["-machine", "microvm,acpi=off", "-device", f"virtio-blk-device,{BLOCK}",
                             "-device", "virtio-rng-device", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"],
    "microvm, modern": ["-machine", "microvm", "-global", "virtio-mmio.force-legacy=false",
                        "-device", f"virtio-blk-device,{BLOCK}", "-device", "virtio-rng-device"],
    "q35, transitional": ["-machine", "q35", "-device", f"virtio-blk-pci,{BLOCK}", "-device", "virtio-rng-pci"],
    "q35, behind a bridge": ["-machine", "q35", "-device", "pcie-root-port,id=behind", "-device", "virtio-rng-pci",
                             "-device", f"virtio-blk-pci,bus=behind,{BLOCK}"],
    "pc, modern": ["-machine", "pc", "-device", f"virtio-blk-pci,disable-legacy=on,{BLOCK}",
                   "-device", "virtio-rng-pci,disable-legacy=on"],
    "pc, legacy": ["-machine", "pc", "-device", f"virtio-blk-pci,disable-modern=on,{BLOCK}",
                   "-device", "virtio-rng-pci,disable-modern=on"],
}  # fmt: skip


@pytest.mark.parametrize("machine", MACHINES)
def test_a_disk_and_random_bytes_are_found(image: Path, tmp_path: Path, machine: str, processors: int) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(SIZE)
    drive = ["-drive", f"if=none,id=d0,file={disk},format=raw,readonly=on"]
    text = start(image, "-append", "verbose", *drive, "-smp", str(processors), *MACHINES[machine])
    assert f"goanna: disk a-disk, {SIZE} bytes, read-only\n" in text
    assert "goanna: random bytes come from the host\n" in text
    assert text.endswith(EXPECTED)
