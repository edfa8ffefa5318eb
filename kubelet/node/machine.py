"""What the machine is: processors, memory, disk, kernel, identity."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from kubarium.component_base.architecture import architecture


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts that do not change while the kubelet runs."""

    cpus: int
    memory: int  # bytes
    architecture: str
    kernel: str
    os_image: str
    machine_id: str
    system_uuid: str
    boot_id: str
    swap: int


def look() -> Machine:
    """Read them from the kernel."""
    memory = _meminfo()
    return Machine(
        cpus=len(os.sched_getaffinity(0)),
        memory=memory.get("MemTotal", 0) * 1024,
        architecture=architecture(),
        kernel=platform.release(),
        os_image=_os_image(),
        machine_id=_first_line("/etc/machine-id") or _first_line("/var/lib/dbus/machine-id"),
        system_uuid=_first_line("/sys/class/dmi/id/product_uuid") or _first_line("/etc/machine-id"),
        boot_id=_first_line("/proc/sys/kernel/random/boot_id"),
        swap=memory.get("SwapTotal", 0) * 1024,
    )


def available_memory() -> int:
    """Bytes that could be used now."""
    return _meminfo().get("MemAvailable", 0) * 1024


def disk(path: str) -> tuple[int, int, int, int]:
    """Capacity and available bytes, inodes and free inodes of the file system below a path."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    found = os.statvfs(path)
    return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize, found.f_files, found.f_ffree


def processes() -> tuple[int, int]:
    """How many process ids there may be, and how many there are."""
    most = int(_first_line("/proc/sys/kernel/pid_max") or 32768)
    present = sum(1 for entry in os.listdir("/proc") if entry.isdigit())
    return most, present


def numa_nodes() -> int:
    """How many groups of processors and memory there are; 0 where the kernel tells of none."""
    return len(list(Path("/sys/devices/system/node").glob("node[0-9]*")))


def _meminfo() -> dict[str, int]:
    found = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0])
    return found


def _os_image() -> str:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return "Linux"
    for line in lines:
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "Linux"


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().partition("\n")[0].strip()
    except OSError:
        return ""
