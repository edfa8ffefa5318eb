"""Pods and containers in one line, for the kubelet's tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubarium.apimachinery.object import Object
from kubelet.runtime import interface, plan
from kubelet.runtime.interface import ContainerStatus, Sandbox
from kubelet.runtime.state import PodState, newest_first

SECOND = 1_000_000_000


def make_container(name: str = "main", **fields: Any) -> Object:
    return {"name": name, "image": "busybox:1", **fields}


def make_pod(*containers: Object, name: str = "web", uid: str = "uid-1", **spec: Any) -> Object:
    status = spec.pop("status", {"phase": "Pending"})
    metadata = {"name": name, "namespace": "default", "uid": uid, "generation": 1, **spec.pop("metadata", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": "node-1", "containers": list(containers) or [make_container()], **spec},
        "status": status,
    }


def make_run(
    container: Object | str = "main",
    state: str = interface.RUNNING,
    *,
    exit_code: int = 0,
    attempt: int = 0,
    at: int = 1,
    sandbox: str = "s0",
    finished: int = 0,
    **fields: Any,
) -> ContainerStatus:
    """One run of a container. `at` and `finished` are in seconds."""
    spec = container if isinstance(container, Mapping) else make_container(container)
    name = spec["name"]
    return ContainerStatus(
        id=fields.pop("id", f"{name}-{attempt}"),
        name=name,
        attempt=attempt,
        state=state,
        created_at=at * SECOND,
        started_at=at * SECOND,
        finished_at=(finished or at + 1) * SECOND if state == interface.EXITED else 0,
        exit_code=exit_code,
        image=spec["image"],
        image_ref="sha256:1",
        reason=fields.pop(
            "reason", "" if state != interface.EXITED else "Completed" if exit_code == 0 else "Error"
        ),
        message=fields.pop("message", ""),
        labels={interface.POD_UID: "uid-1"},
        annotations={
            interface.CONTAINER_HASH: plan.container_hash(dict(spec)),
            interface.RESTART_COUNT: str(attempt),
        },
        sandbox_id=sandbox,
        **fields,
    )


def make_sandbox(id: str = "s0", state: str = interface.READY, attempt: int = 0, at: int = 0) -> Sandbox:
    return Sandbox(id, "web", "default", "uid-1", attempt, state, at * SECOND, ("10.0.0.2",))


def make_state(*runs: ContainerStatus, sandboxes: tuple[Sandbox, ...] | None = None) -> PodState:
    return PodState("uid-1", (make_sandbox(),) if sandboxes is None else sandboxes, newest_first(runs))
