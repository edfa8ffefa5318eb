"""What a Docker Engine says of its containers and images, in the words of the runtime interface."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from kubelet.runtime import docker_config as words
from kubelet.runtime import interface
from kubelet.runtime.interface import Container, ContainerStatus, ContainerUsage, Image, Sandbox

STATES = {
    "created": interface.CREATED,
    "running": interface.RUNNING,
    "paused": interface.RUNNING,
    "restarting": interface.RUNNING,
    "removing": interface.EXITED,
    "exited": interface.EXITED,
    "dead": interface.EXITED,
}
CANNOT_RUN = "ContainerCannotRun"


def sandbox(
    id: str, name: str, state: str, created_at: int, labels: Mapping[str, str], ips: tuple[str, ...] = ()
) -> Sandbox:
    """A sandbox: the container that holds its namespaces; all but its state stands in its name."""
    _, pod, namespace, uid, attempt = words.parse_name(name)
    return Sandbox(
        id=id,
        name=pod,
        namespace=namespace,
        pod_uid=uid,
        attempt=attempt,
        state=interface.READY if state == "running" else interface.NOT_READY,
        created_at=created_at,
        ips=ips,
        labels=words.own_labels(labels),
        annotations=words.annotations_of(labels),
    )


def container(item: Any) -> Container:
    """A container as a list shows it."""
    labels = item["Labels"]
    name, _, _, _, attempt = words.parse_name(item["Names"][0])
    return Container(
        id=item["Id"],
        sandbox_id=labels.get(words.SANDBOX_ID, ""),
        name=name,
        attempt=attempt,
        state=STATES.get(item["State"], interface.UNKNOWN),
        created_at=item["Created"] * 10**9,
        image=item["ImageID"],
        labels=words.own_labels(labels),
        annotations=words.annotations_of(labels),
    )


def container_status(found: Any) -> ContainerStatus:
    """A container with all its details."""
    labels, was = found["Config"]["Labels"], found["State"]
    name, _, _, _, attempt = words.parse_name(found["Name"])
    state, reason = state_and_reason(was)
    return ContainerStatus(
        id=found["Id"],
        name=name,
        attempt=attempt,
        state=state,
        created_at=nanoseconds(found["Created"]),
        started_at=nanoseconds(was["StartedAt"]),
        finished_at=nanoseconds(was["FinishedAt"]) or (nanoseconds(found["Created"]) if reason else 0),
        exit_code=was["ExitCode"],
        image=labels.get(words.ASKED_IMAGE, found["Config"]["Image"]),
        image_ref=found["Image"],
        reason=reason,
        message=was.get("Error") or "",
        labels=words.own_labels(labels),
        annotations=words.annotations_of(labels),
        mounts=tuple((one["Source"], one["Destination"], not one["RW"]) for one in found["Mounts"]),
        log_path=labels.get(words.LOG_PATH, ""),
        resources=_limits(found["HostConfig"]),
        sandbox_id=labels.get(words.SANDBOX_ID, ""),
    )


def state_and_reason(was: Any) -> tuple[str, str]:
    """Its state, and why it ended."""
    if was["Status"] == "created" and was.get("Error"):
        return interface.EXITED, CANNOT_RUN  # the engine leaves what it could not start as it was
    state = STATES.get(was["Status"], interface.UNKNOWN)
    if state != interface.EXITED:
        return state, ""
    if was.get("OOMKilled"):
        return state, "OOMKilled"
    return state, "Completed" if was["ExitCode"] == 0 else "Error"


def _limits(host: Any) -> dict[str, int]:
    return {key: host[name] for key, name in words.RESOURCES.items() if isinstance(host.get(name), int)}


def image(item: Any) -> Image:
    """An image with its full names."""
    user = ((item.get("Config") or {}).get("User") or "").partition(":")[0]
    # An image without a name has one of `<none>:<none>`.
    tags = [words.full_name(tag) for tag in item.get("RepoTags") or [] if "<none>" not in tag]
    digests = [words.full_name(one) for one in item.get("RepoDigests") or [] if "<none>" not in one]
    return Image(
        id=item["Id"],
        tags=tuple(tags),
        digests=tuple(digests),
        size=item["Size"],
        uid=int(user) if user.isdigit() else None,
        username="" if user.isdigit() else user,
    )


def container_usage(container: Container, found: Any) -> ContainerUsage:
    """What a container uses of the node now."""
    memory = found["memory_stats"]
    stats = memory.get("stats") or {}
    usage = memory.get("usage", 0)
    # The names of cgroup version 1, then of version 2.
    inactive = stats.get("total_inactive_file", stats.get("inactive_file", 0))
    return ContainerUsage(
        id=container.id,
        name=container.name,
        labels=container.labels,
        timestamp=nanoseconds(found["read"]),
        cpu_nanoseconds=found["cpu_stats"]["cpu_usage"]["total_usage"],
        memory_working_set=max(0, usage - inactive),
        memory_usage=usage,
        memory_rss=stats.get("total_rss", stats.get("anon", 0)),
    )


def nanoseconds(moment: str) -> int:
    """`2026-01-01T00:00:00.123456789Z` -> nanoseconds; the year 1 means never."""
    if not moment or moment.startswith("0001-"):
        return 0
    whole, _, rest = moment.removesuffix("Z").partition(".")
    digits = "".join(itertools.takewhile(str.isdigit, rest))[:9].ljust(9, "0")
    return int(datetime.fromisoformat(f"{whole[:19]}+00:00").timestamp()) * 10**9 + int(digits)
