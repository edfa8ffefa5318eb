"""Pure: a pod and what the runtime says of it -> what to kill, what to start, what to leave alone.

    sandbox wrong or missing ──▶ kill what is left, make a sandbox, begin with the first init container
    one ended that restarts all ──▶ kill what runs, remove what ended; the next pass begins anew
    sandbox right            ──▶ init containers in order (sidecars stay) ──▶ containers

The plan says which containers should be started; whether one must still wait for its back-off is decided when the plan
is carried out (`manager.py`).
Source: the contract of upstream's computePodActions
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod.resources import is_restartable_init
from kubarium.apimachinery import quantity
from kubarium.apimachinery.object import Object, is_deleting, spec_of
from kubelet.runtime import interface
from kubelet.runtime.interface import ContainerStatus
from kubelet.runtime.state import PodState

LIVENESS = "liveness"
STARTUP = "startup"
DEFINITION = "definition"
UNKNOWN_STATE = "unknown"
RESIZE = "resize"
RESTART_ALL = "restart all"

# What the runtime is told -> the resource that it belongs to.
RESOURCE_OF = {"cpu_shares": "cpu", "cpu_quota": "cpu", "memory_limit_in_bytes": "memory"}


@dataclass(frozen=True, slots=True)
class Probed:
    """Last results of probes, by container id. A container without an entry has not been judged yet."""

    liveness: Mapping[str, bool] = field(default_factory=dict)
    startup: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kill:
    """One running container to stop, and why."""

    id: str
    name: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Update:
    """New limits for a running container."""

    id: str
    name: str
    resources: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PodPlan:
    """What to do for a pod in one pass."""

    kill_pod: bool = False
    create_sandbox: bool = False
    sandbox_id: str = ""
    attempt: int = 0
    kill: tuple[Kill, ...] = ()
    start_init: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    start_ephemeral: tuple[str, ...] = ()
    update: tuple[Update, ...] = ()
    reset: tuple[str, ...] = ()  # ids of containers to be removed, in this order, once all have ended

    @property
    def is_empty(self) -> bool:
        """Is all as it should be?"""
        wanted = self.kill_pod or self.create_sandbox or self.kill or self.starts or self.update or self.reset
        return not wanted

    @property
    def starts(self) -> tuple[str, ...]:
        """Every container to be started."""
        return self.start_ephemeral + self.start_init + self.start


def container_hash(container: Object) -> str:
    """Fingerprint of those fields whose change restarts a container: name and image (32-bit FNV-1a)."""
    text = json.dumps({"name": container.get("name"), "image": container.get("image")}, sort_keys=True)
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return f"{value:x}"


def compute(
    pod: Object, state: PodState, probed: Probed, limits: Mapping[str, Mapping[str, Any]] | None = None
) -> PodPlan:
    """The plan for one pass. `limits` says by container name what a running container should have now."""
    changed, attempt, sandbox_id = sandbox_changed(pod, state)
    if changed:
        return _plan_new_sandbox(pod, state, attempt, sandbox_id)
    trigger = restarts_all(pod, state)
    if trigger is not None:
        return _plan_restart_of_all(pod, state, trigger, sandbox_id, attempt)
    ephemeral = tuple(
        container["name"]
        for container in pod_containers.ephemeral_containers_of(pod)
        if state.latest(container["name"]) is None
    )
    init = _plan_init_containers(pod, state, probed, sandbox_id)
    if init.failed:
        return PodPlan(kill_pod=True, sandbox_id=sandbox_id, attempt=attempt)
    if not init.done:
        return PodPlan(
            sandbox_id=sandbox_id,
            attempt=attempt,
            kill=tuple(init.kill),
            start_init=tuple(init.start),
            start_ephemeral=ephemeral,
        )
    start, kill, kept = _plan_containers(pod, state, probed)
    updates = []
    for container, status, difference in resizes(pod, state, limits or {}):
        if status.id in {one.id for one in kill}:
            continue
        if _restarts_for(container, difference):
            message = f"Container {container['name']} resize requires restart"
            kill.append(Kill(status.id, container["name"], RESIZE, message))
            (init.start if is_restartable_init(container) else start).append(container["name"])
        else:
            updates.append(Update(status.id, container["name"], (limits or {})[container["name"]]))
    if not start and not kept:
        return PodPlan(kill_pod=True, sandbox_id=sandbox_id, attempt=attempt)
    return PodPlan(
        sandbox_id=sandbox_id,
        attempt=attempt,
        kill=tuple(init.kill + kill),
        start_init=tuple(init.start),
        start=tuple(start),
        start_ephemeral=ephemeral,
        update=tuple(updates),
    )


def restarts_all(pod: Object, state: PodState) -> ContainerStatus | None:
    """The container whose end restarts all containers of the pod; None when there is none."""
    if not pod_containers.may_restart_all(pod) or is_deleting(pod):
        return None
    for container in (*pod_containers.init_containers_of(pod), *pod_containers.containers_of(pod)):
        status = state.latest(container["name"])
        if status is None or status.state != interface.EXITED:
            continue
        if pod_containers.rule_for(container, status.exit_code) == pod_containers.RESTART_ALL:
            return status
    return None


def _plan_restart_of_all(
    pod: Object, state: PodState, trigger: ContainerStatus, sandbox_id: str, attempt: int
) -> PodPlan:
    """The one that caused it is removed last: a kubelet that dies meanwhile finds it, and goes on."""
    ephemeral = {one["name"] for one in pod_containers.ephemeral_containers_of(pod)}
    mine = [one for one in state.containers if one.name not in ephemeral]
    message = f"Container {trigger.name} exited and restarts all containers of the pod"
    others = [one.id for one in mine if one.id != trigger.id]
    return PodPlan(
        sandbox_id=sandbox_id,
        attempt=attempt,
        kill=tuple(
            Kill(one.id, one.name, RESTART_ALL, message) for one in mine if one.state == interface.RUNNING
        ),
        reset=(*others, trigger.id),
    )


def resizes(
    pod: Object, state: PodState, limits: Mapping[str, Mapping[str, Any]]
) -> list[tuple[Object, ContainerStatus, set[str]]]:
    """Running containers whose resources are not what they should be, and in which they differ."""
    found = []
    for container in [*pod_containers.sidecars_of(pod), *pod_containers.containers_of(pod)]:
        status = state.latest(container["name"])
        wanted = limits.get(container["name"])
        if (
            status is None
            or status.state != interface.RUNNING
            or wanted is None
            or not any((status.resources or {}).values())
        ):
            continue
        difference = {RESOURCE_OF[key] for key in RESOURCE_OF if wanted.get(key, 0) != _limit(status, key)}
        made_with = status.annotations.get(interface.MEMORY_REQUEST)
        if made_with and made_with != memory_request(container) and _restarts_for(container, {"memory"}):
            difference.add("memory")  # nothing to tell the runtime, but the container wants to be begun anew
        if difference:
            found.append((container, status, difference))
    return found


def memory_cuts(state: PodState, updates: Sequence[Update]) -> list[Update]:
    """Those updates that lower a limit of memory, or set the first one."""
    found = []
    for update in updates:
        status = state.latest(update.name)
        wanted = update.resources.get("memory_limit_in_bytes", 0)
        present = _limit(status, "memory_limit_in_bytes") if status is not None else 0
        if wanted and (not present or wanted < present):
            found.append(update)
    return found


def _limit(status: ContainerStatus, key: str) -> int:
    value = (status.resources or {}).get(key, 0)
    return 0 if value < 0 else value  # -1 and 0 both mean no limit


def memory_request(container: Object) -> str:
    """What of memory the container was promised, in bytes."""
    return str(
        quantity.value(((container.get("resources") or {}).get("requests") or {}).get("memory") or "0")
    )


def _restarts_for(container: Object, difference: set[str]) -> bool:
    return any(
        policy.get("resourceName") in difference and policy.get("restartPolicy") == "RestartContainer"
        for policy in container.get("resizePolicy") or []
    )


def sandbox_changed(pod: Object, state: PodState) -> tuple[bool, int, str]:
    """Does the pod need a new sandbox? Also the attempt number for it and the id of the present one."""
    newest = state.sandbox
    if newest is None:
        return True, 0, ""
    ready = [sandbox for sandbox in state.sandboxes if sandbox.state == interface.READY]
    if len(ready) > 1 or newest.state != interface.READY:
        return True, newest.attempt + 1, newest.id
    if not newest.ips and not spec_of(pod).get("hostNetwork"):
        return True, newest.attempt + 1, newest.id
    return False, newest.attempt, newest.id


def _plan_new_sandbox(pod: Object, state: PodState, attempt: int, sandbox_id: str) -> PodPlan:
    kill = PodPlan(kill_pod=bool(state.sandboxes), sandbox_id=sandbox_id, attempt=attempt)
    if pod_containers.restart_policy_of(pod) == pod_containers.NEVER and attempt > 0 and state.containers:
        return kill  # it has run, and nothing may run twice
    start = tuple(
        container["name"]
        for container in pod_containers.containers_of(pod)
        if _runs_again(pod, container, state.latest(container["name"]))
    )
    if not start and state.containers:
        return kill
    init = pod_containers.init_containers_of(pod)
    return PodPlan(
        kill_pod=kill.kill_pod,
        create_sandbox=True,
        sandbox_id=sandbox_id,
        attempt=attempt,
        start_init=(init[0]["name"],) if init else (),
        start=() if init else start,
    )


def _runs_again(pod: Object, container: Object, status: ContainerStatus | None) -> bool:
    if status is None or status.state != interface.EXITED:
        return status is None or status.state != interface.RUNNING
    return pod_containers.should_restart(pod, container, status.exit_code)


@dataclass(slots=True)
class _Init:
    """Result of walking over the init containers."""

    done: bool = True
    failed: bool = False
    start: list[str] = field(default_factory=list)
    kill: list[Kill] = field(default_factory=list)


def _plan_init_containers(pod: Object, state: PodState, probed: Probed, sandbox_id: str) -> _Init:
    """Walk in order; the first one that is not through decides. Sidecars are kept alive all the while."""
    plan = _Init()
    here = PodState(
        state.uid, state.sandboxes, tuple(one for one in state.containers if one.sandbox_id == sandbox_id)
    )
    initialized = any(here.latest(container["name"]) for container in pod_containers.containers_of(pod))
    for container in pod_containers.init_containers_of(pod):
        status = here.latest(container["name"])
        if is_restartable_init(container):
            through = _plan_sidecar(container, status, probed, plan)
        elif initialized:
            continue
        else:
            through = _plan_init_container(pod, container, status, plan)
        if not through and not initialized:
            plan.done = False
            return plan
    return plan


def _plan_init_container(pod: Object, container: Object, status: ContainerStatus | None, plan: _Init) -> bool:
    """True when this one has done its work."""
    if status is None or status.state in (interface.UNKNOWN, interface.CREATED):
        plan.kill += _kill_of_unknown(status, "Init container")
        plan.start.append(container["name"])
        return False
    if status.state == interface.RUNNING:
        return False
    if status.exit_code == 0:
        return True
    if pod_containers.should_restart(pod, container, status.exit_code):
        plan.start.append(container["name"])
    else:
        plan.failed = True
    return False


def _plan_sidecar(container: Object, status: ContainerStatus | None, probed: Probed, plan: _Init) -> bool:
    """True when this one runs and has started, so that the next may begin."""
    if status is None or status.state != interface.RUNNING:
        plan.kill += _kill_of_unknown(status, "Init container")
        plan.start.append(container["name"])
        return False
    kill = _reason_to_kill(container, status, probed)
    if kill is not None:
        plan.kill.append(kill)
        plan.start.append(container["name"])
        return False
    return not container.get("startupProbe") or probed.startup.get(status.id) is True


def _plan_containers(pod: Object, state: PodState, probed: Probed) -> tuple[list[str], list[Kill], int]:
    start: list[str] = []
    kill: list[Kill] = []
    kept = 0
    for container in pod_containers.containers_of(pod):
        status = state.latest(container["name"])
        if status is None or status.state != interface.RUNNING:
            if _runs_again(pod, container, status):
                kill += _kill_of_unknown(status, "Container")
                start.append(container["name"])
            continue
        reason = _reason_to_kill(container, status, probed)
        if reason is None:
            kept += 1
            continue
        kill.append(reason)
        if reason.reason == DEFINITION or pod_containers.should_restart(pod, container, 137):
            start.append(container["name"])
    return start, kill, kept


def _kill_of_unknown(status: ContainerStatus | None, what: str) -> list[Kill]:
    """The runtime has lost track of it: it may run, and it must not run twice."""
    if status is None or status.state != interface.UNKNOWN:
        return []
    message = f'{what} is in "unknown" state, try killing it before restart'
    return [Kill(status.id, status.name, UNKNOWN_STATE, message)]


def _reason_to_kill(container: Object, status: ContainerStatus, probed: Probed) -> Kill | None:
    name = container["name"]
    if status.hash and status.hash != container_hash(container):
        message = f"Container {name} definition changed, will be restarted"
        return Kill(status.id, name, DEFINITION, message)
    if probed.liveness.get(status.id) is False:
        return Kill(status.id, name, LIVENESS, f"Container {name} failed liveness probe, will be restarted")
    if probed.startup.get(status.id) is False:
        return Kill(status.id, name, STARTUP, f"Container {name} failed startup probe, will be restarted")
    return None
