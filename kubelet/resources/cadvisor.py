"""`/metrics/cadvisor`: what the kernel counts for the node, for all pods, each class, each pod and each container.

A row says where a number stands: file and key below the cgroup, on v1 (with the controller in front) and on v2. What
the kernel does not have is left out. A pod's cgroup that belongs to none of its containers is its sandbox's: there the
network is counted.
Source: https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubarium.apimachinery.object import Object, name_of, namespace_of, spec_of, status_of, uid_of
from kubarium.apimachinery.time import parse_time
from kubelet.resources.cgroups import Cgroups
from kubelet.resources.exposition import number

UNLIMITED = 1 << 62  # the kernel's way to say that there is no limit, rounded to pages
COUNTER, GAUGE = "counter", "gauge"
STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


@dataclass(frozen=True, slots=True)
class Row:
    """One number. Places are `controller/file:key` on v1 and `file:key` on v2; a key may be `some.total`."""

    name: str
    type: str
    help: str
    v1: str
    v2: str
    scale: tuple[float, float] = (1, 1)
    labels: str = ""
    is_limit: bool = False


def _stat(name: str, help: str, v1: str, v2: str) -> Row:
    return Row(f"container_memory_{name}", GAUGE, help, f"memory/memory.stat:total_{v1}", f"memory.stat:{v2}")


def _failures(kind: str, scope: str, key: str) -> Row:
    labels = f',failure_type="{kind}",scope="{scope}"'
    return Row(
        "container_memory_failures_total",
        COUNTER,
        "Cumulative count of memory allocation failures.",
        f"memory/memory.stat:{key}",
        f"memory.stat:{kind}",
        labels=labels,
    )


def _pressure(name: str, what: str, resource: str, share: str) -> Row:
    text = f"Total time duration {what} in seconds."
    place = f"{resource}.pressure:{share}.total"
    return Row(f"container_pressure_{name}_seconds_total", COUNTER, text, "", place, (1, 1e-6))


CPU_STAT, USED = "cpu/cpu.stat", "Cumulative {}cpu time consumed in seconds."
SWAPPED = "container_spec_memory_swap_limit_bytes"
ROWS = (
    Row("container_cpu_usage_seconds_total", COUNTER, USED.format(""), "cpuacct/cpuacct.usage",
        "cpu.stat:usage_usec", (1e-9, 1e-6), ',cpu="total"'),
    Row("container_cpu_user_seconds_total", COUNTER, USED.format("user "), "cpuacct/cpuacct.stat:user",
        "cpu.stat:user_usec", (0.01, 1e-6)),
    Row("container_cpu_system_seconds_total", COUNTER, USED.format("system "), "cpuacct/cpuacct.stat:system",
        "cpu.stat:system_usec", (0.01, 1e-6)),
    Row("container_cpu_cfs_periods_total", COUNTER, "Number of elapsed enforcement period intervals.",
        f"{CPU_STAT}:nr_periods", "cpu.stat:nr_periods"),
    Row("container_cpu_cfs_throttled_periods_total", COUNTER, "Number of throttled period intervals.",
        f"{CPU_STAT}:nr_throttled", "cpu.stat:nr_throttled"),
    Row("container_cpu_cfs_throttled_seconds_total", COUNTER,
        "Total time duration the container has been throttled.",
        f"{CPU_STAT}:throttled_time", "cpu.stat:throttled_usec", (1e-9, 1e-6)),
    Row("container_spec_cpu_period", GAUGE, "CPU period of the container.", "cpu/cpu.cfs_period_us", "cpu.max:1"),
    Row("container_spec_cpu_quota", GAUGE, "CPU quota of the container.", "cpu/cpu.cfs_quota_us", "cpu.max:0"),
    Row("container_spec_cpu_shares", GAUGE, "CPU share of the container.", "cpu/cpu.shares", "cpu.weight:shares"),
    Row("container_memory_usage_bytes", GAUGE,
        "Current memory usage in bytes, including all memory regardless of when it was accessed",
        "memory/memory.usage_in_bytes", "memory.current"),
    Row("container_memory_max_usage_bytes", GAUGE, "Maximum memory usage recorded in bytes",
        "memory/memory.max_usage_in_bytes", "memory.peak"),
    Row("container_memory_kernel_usage", GAUGE, "Size of kernel memory allocated in bytes.",
        "memory/memory.kmem.usage_in_bytes", "memory.stat:kernel"),
    Row("container_memory_failcnt", COUNTER, "Number of memory usage hits limits", "memory/memory.failcnt",
        "memory.events:max"),
    _stat("cache", "Number of bytes of page cache memory.", "cache", "file"),
    _stat("rss", "Size of RSS in bytes.", "rss", "anon"),
    _stat("mapped_file", "Size of memory mapped files in bytes.", "mapped_file", "file_mapped"),
    _stat("total_active_file_bytes", "Current total active file in bytes.", "active_file", "active_file"),
    _stat("total_inactive_file_bytes", "Current total inactive file in bytes.", "inactive_file", "inactive_file"),
    Row("container_memory_swap", GAUGE, "Container swap usage in bytes.", "memory/memory.stat:total_swap",
        "memory.swap.current"),
    _failures("pgfault", "container", "pgfault"),
    _failures("pgfault", "hierarchy", "total_pgfault"),
    _failures("pgmajfault", "container", "pgmajfault"),
    _failures("pgmajfault", "hierarchy", "total_pgmajfault"),
    Row("container_oom_events_total", COUNTER, "Count of out of memory events observed for the container",
        "memory/memory.oom_control:oom_kill", "memory.events:oom_kill"),
    Row("container_spec_memory_limit_bytes", GAUGE, "Memory limit for the container.",
        "memory/memory.limit_in_bytes", "memory.max", is_limit=True),
    Row("container_spec_memory_reservation_limit_bytes", GAUGE, "Memory reservation limit for the container.",
        "memory/memory.soft_limit_in_bytes", "memory.low", is_limit=True),
    Row(SWAPPED, GAUGE, "Memory swap limit for the container.", "memory/memory.memsw.limit_in_bytes",
        "memory.swap.max", is_limit=True),
    Row("container_threads", GAUGE, "Number of threads running inside the container", "pids/pids.current",
        "pids.current"),
    Row("container_threads_max", GAUGE,
        "Maximum number of threads allowed inside the container, infinity if value is zero", "pids/pids.max",
        "pids.max", is_limit=True),
    _pressure("cpu_waiting", "tasks in the container have waited due to CPU congestion", "cpu", "some"),
    _pressure("cpu_stalled", "no tasks in the container could make progress due to CPU congestion", "cpu", "full"),
    _pressure("memory_waiting", "tasks in the container have waited due to memory congestion", "memory", "some"),
    _pressure("memory_stalled", "no tasks in the container could make progress due to memory congestion", "memory",
              "full"),
    _pressure("io_waiting", "tasks in the container have waited due to IO congestion", "io", "some"),
    _pressure("io_stalled", "no tasks in the container could make progress due to IO congestion", "io", "full"),
)  # fmt: skip
ONLY_WITH_QUOTA = ("container_cpu_cfs", "container_spec_cpu_quota")
PROCESSES = {
    "container_processes": "Number of processes running inside the container.",
    "container_file_descriptors": "Number of open file descriptors for the container.",
    "container_sockets": "Number of open sockets for the container.",
}
DISK = {  # name -> text, file and word of v1, word of v2
    "container_fs_reads_bytes_total": ("Cumulative count of bytes read", "service_bytes", "Read", "rbytes"),
    "container_fs_reads_total": ("Cumulative count of reads completed", "serviced", "Read", "rios"),
    "container_fs_writes_bytes_total": (
        "Cumulative count of bytes written",
        "service_bytes",
        "Write",
        "wbytes",
    ),
    "container_fs_writes_total": ("Cumulative count of writes completed", "serviced", "Write", "wios"),
}
NETWORK = {  # name -> text, column of /proc/net/dev
    "container_network_receive_bytes_total": ("Cumulative count of bytes received", 0),
    "container_network_receive_packets_total": ("Cumulative count of packets received", 1),
    "container_network_receive_errors_total": ("Cumulative count of errors encountered while receiving", 2),
    "container_network_receive_packets_dropped_total": ("Cumulative count of packets dropped while receiving", 3),
    "container_network_transmit_bytes_total": ("Cumulative count of bytes transmitted", 8),
    "container_network_transmit_packets_total": ("Cumulative count of packets transmitted", 9),
    "container_network_transmit_errors_total": ("Cumulative count of errors encountered while transmitting", 10),
    "container_network_transmit_packets_dropped_total": (
        "Cumulative count of packets dropped while transmitting",
        11,
    ),
}  # fmt: skip


@dataclass(slots=True)
class Group:
    """One cgroup: who it belongs to, and what was read of it so far."""

    cgroups: Cgroups
    path: str
    labels: str
    pod: Object | None = None
    container: str = ""
    files: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    def value(self, row: Row) -> float | None:
        """What a row says of it; None when the kernel says nothing."""
        place, scale = (row.v2, row.scale[1]) if self.cgroups.is_v2 else (row.v1, row.scale[0])
        if not place:
            return None
        where, _, key = place.partition(":")
        controller, _, file = where.rpartition("/")
        text = self.read(controller, file).get(key)
        if text is None:
            return None
        if text == "max":
            return 0
        number = int(text)
        return 0 if row.is_limit and number >= UNLIMITED else number * scale

    def read(self, controller: str, file: str) -> dict[str, str]:
        """A file by key; the empty key is its whole first line."""
        known = self.files.get((controller, file))
        if known is None:
            try:
                text = (self.cgroups.place(self.path, controller) / file).read_text()
            except OSError:
                text = ""
            known = self.files[controller, file] = _parsed(text)
        return known

    def pids(self) -> list[str]:
        """Processes in it and below it."""
        place = self.cgroups.place(self.path, "memory")
        found = []
        for folder, _, _ in os.walk(place):
            try:
                found += Path(folder, "cgroup.procs").read_text().split()
            except OSError:
                continue
        return found


def _parsed(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        words = line.split()
        found.setdefault("", line)
        if "=" in line:  # some avg10=0.00 avg60=0.00 avg300=0.00 total=0; 8:0 rbytes=1 wbytes=2
            found |= {f"{words[0]}.{name}": value for name, _, value in (w.partition("=") for w in words[1:])}
        elif len(words) > 1:
            found[" ".join(words[:-1])] = words[-1]  # nr_periods 1; 8:0 Read 1
            found |= {str(index): word for index, word in enumerate(words)}  # max 100000
    if found.get("", "").isdigit():  # cpu.weight, as shares
        found["shares"] = str(2 + (int(found[""]) - 1) * 262142 // 9999)
    return found


def expose(cgroups: Cgroups, pods: Iterable[Object], summary: Object, cpus: int, memory: int) -> str:
    """The page."""
    groups = list(groups_of(cgroups, {uid_of(pod): pod for pod in pods}))
    blocks: dict[tuple[str, str, str], list[str]] = {}

    def add(name: str, type: str, help: str, labels: str, value: Any) -> None:
        blocks.setdefault((name, type, help), []).append(f"{name}{labels} {number(value)}")

    add("machine_cpu_cores", GAUGE, "Number of logical CPU cores.", "", cpus)
    add("machine_memory_bytes", GAUGE, "Amount of memory installed on the machine.", "", memory)
    for group in groups:
        is_throttled = (group.value(_QUOTA) or 0) > 0
        for row in ROWS:
            value = group.value(row)
            if value is not None and (is_throttled or not row.name.startswith(ONLY_WITH_QUOTA)):
                add(row.name, row.type, row.help, f"{{{group.labels}{row.labels}}}", value)
        used, idle = group.value(_USAGE), group.value(_IDLE)
        if used is not None and idle is not None:
            text = "Current working set in bytes."
            add("container_memory_working_set_bytes", GAUGE, text, f"{{{group.labels}}}", max(0, used - idle))
        for name, device, value in _disk(group):
            labels = f'{{device="{device}",{group.labels}}}'
            add(name, COUNTER, DISK[name][0], labels, value)
        if group.pod is not None:
            for name, count in _processes(group).items():
                add(name, GAUGE, PROCESSES[name], f"{{{group.labels}}}", count)
        for name, interface, count in _network(group):
            add(name, COUNTER, NETWORK[name][0], f'{{interface="{interface}",{group.labels}}}', count)
        for name, help, seen in _told(group, summary):
            add(name, GAUGE, help, f"{{{group.labels}}}", seen)
    return "".join(
        f"# HELP {name} {help}\n# TYPE {name} {type}\n" + "".join(f"{line}\n" for line in lines)
        for (name, type, help), lines in blocks.items()
    )


_QUOTA = next(row for row in ROWS if row.name == "container_spec_cpu_quota")
_USAGE = next(row for row in ROWS if row.name == "container_memory_usage_bytes")
_IDLE = next(row for row in ROWS if row.name == "container_memory_total_inactive_file_bytes")


def groups_of(cgroups: Cgroups, pods: Mapping[str, Object]) -> Iterator[Group]:
    """Every cgroup, and the pod and container that it belongs to."""
    for path in cgroups.tree():
        parts = path.split("/")
        level = next((index for index, part in enumerate(parts) if part.startswith("pod")), None)
        pod = pods.get(parts[level].removeprefix("pod")) if level is not None else None
        id = parts[-1] if level is not None and level + 1 < len(parts) else ""
        status = _status_of(pod, id) if pod is not None and id else {}
        name, image = status.get("name") or "", status.get("image") or ""
        where = (namespace_of(pod), name_of(pod)) if pod is not None else ("", "")
        labels = f'container="{name}",id="{path or "/"}",image="{image}",name="{id}",'
        labels += f'namespace="{where[0]}",pod="{where[1]}"'
        yield Group(cgroups, path, labels, pod if id else None, name)


def _status_of(pod: Object, id: str) -> Object:
    found = (one for key in STATUSES for one in status_of(pod).get(key) or [])
    return next((one for one in found if (one.get("containerID") or "").endswith(f"://{id}")), {})


def _disk(group: Group) -> Iterator[tuple[str, str, int]]:
    """Name, device and number of each kind of access to each disk."""
    for name, (_, file, word, key) in DISK.items():
        if group.cgroups.is_v2:
            found, ending = group.read("", "io.stat"), f".{key}"
        else:
            found, ending = group.read("blkio", f"blkio.throttle.io_{file}_recursive"), f" {word}"
        for place, text in found.items():
            if place.endswith(ending):
                yield name, _device(place.removesuffix(ending)), int(text)


def _device(number: str) -> str:
    try:
        return f"/dev/{Path(os.readlink(f'/sys/dev/block/{number}')).name}"
    except OSError:
        return number


def _processes(group: Group) -> dict[str, int]:
    pids = group.pids()
    targets: list[str] = []
    for pid in pids:
        try:
            targets += [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
        except OSError:  # it has just ended
            continue
    sockets = sum(target.startswith("socket:") for target in targets)
    return dict(zip(PROCESSES, (len(pids), len(targets), sockets), strict=True))


def _network(group: Group) -> Iterator[tuple[str, str, int]]:
    """Name, interface and number, of a sandbox with a network of its own."""
    if group.pod is None or group.container or spec_of(group.pod).get("hostNetwork"):
        return
    try:
        lines = Path(f"/proc/{group.pids()[0]}/net/dev").read_text().splitlines()[2:]
    except (OSError, IndexError):
        return
    for line in lines:
        interface, _, numbers = line.strip().partition(":")
        for name, (_, column) in NETWORK.items():
            if interface != "lo":
                yield name, interface, int(numbers.split()[column])


def _told(group: Group, summary: Object) -> Iterator[tuple[str, str, float]]:
    """What only the runtime knows of a container."""
    if group.pod is None or not group.container:
        return
    parts = (pod["containers"] for pod in summary["pods"] if pod["podRef"]["uid"] == uid_of(group.pod))
    for part in next(parts, []):
        if part["name"] == group.container:
            text = "Number of bytes that are consumed by the container on this filesystem."
            yield "container_fs_usage_bytes", text, part["rootfs"]["usedBytes"]
            text = "Start time of the container since unix epoch in seconds."
            yield "container_start_time_seconds", text, parse_time(part["startTime"]).timestamp()
