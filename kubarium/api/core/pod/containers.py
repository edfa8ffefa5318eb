"""The containers of a pod: which there are, which kind each is, and how each is to be restarted."""

from __future__ import annotations

from collections.abc import Iterator

from kubarium.api.core.pod.resources import is_restartable_init
from kubarium.apimachinery.object import Object

ALWAYS, ON_FAILURE, NEVER = "Always", "OnFailure", "Never"


def init_containers_of(pod: Object) -> list[Object]:
    """Those that run before (or, as sidecars, beside) the others, in order."""
    return (pod.get("spec") or {}).get("initContainers") or []


def containers_of(pod: Object) -> list[Object]:
    """The containers proper."""
    return (pod.get("spec") or {}).get("containers") or []


def ephemeral_containers_of(pod: Object) -> list[Object]:
    """Those that were added to look at the running pod."""
    return (pod.get("spec") or {}).get("ephemeralContainers") or []


def sidecars_of(pod: Object) -> list[Object]:
    """Init containers that go on running beside the containers."""
    return [container for container in init_containers_of(pod) if is_restartable_init(container)]


def all_containers(pod: Object) -> Iterator[Object]:
    """Init containers, containers and ephemeral containers."""
    yield from init_containers_of(pod)
    yield from containers_of(pod)
    yield from ephemeral_containers_of(pod)


def find(pod: Object, name: str) -> Object | None:
    """The container of that name, of whatever kind."""
    return next((container for container in all_containers(pod) if container.get("name") == name), None)


def is_init(pod: Object, container: Object) -> bool:
    """Is it one of the init containers?"""
    return any(other.get("name") == container.get("name") for other in init_containers_of(pod))


def is_ephemeral(pod: Object, container: Object) -> bool:
    """Is it one of the ephemeral containers?"""
    return any(other.get("name") == container.get("name") for other in ephemeral_containers_of(pod))


def restart_policy_of(pod: Object) -> str:
    """`spec.restartPolicy`; absent means Always."""
    return (pod.get("spec") or {}).get("restartPolicy") or ALWAYS


RESTART, RESTART_ALL = "Restart", "RestartAllContainers"


def should_restart(pod: Object, container: Object, exit_code: int) -> bool:
    """Must this container run again after it ended with that code?

    A container's own rules come first, then its own policy, then the pod's; for a plain init container the pod's
    `Always` means `OnFailure`.
    """
    if rule_for(container, exit_code) in (RESTART, RESTART_ALL):
        return True
    policy = container.get("restartPolicy") or restart_policy_of(pod)
    if is_init(pod, container) and not is_restartable_init(container) and policy == ALWAYS:
        policy = ON_FAILURE
    if policy == ON_FAILURE:
        return exit_code != 0
    return bool(policy == ALWAYS)


def rule_for(container: Object, exit_code: int) -> str:
    """What the first of the container's own rules that fits this exit code says; empty when none fits."""
    for rule in container.get("restartPolicyRules") or []:
        codes = rule.get("exitCodes") or {}
        listed = exit_code in (codes.get("values") or [])
        if listed == (codes.get("operator") == "In"):
            return str(rule.get("action") or "")
    return ""


def may_restart_all(pod: Object) -> bool:
    """Is there a container whose end may restart all of the pod?"""
    return any(
        rule.get("action") == RESTART_ALL
        for container in (*init_containers_of(pod), *containers_of(pod))
        for rule in container.get("restartPolicyRules") or []
    )


def field_path_of(pod: Object, container: Object) -> str:
    """`spec.containers{web}`: how events name a container."""
    if is_init(pod, container):
        return f"spec.initContainers{{{container.get('name')}}}"
    if is_ephemeral(pod, container):
        return f"spec.ephemeralContainers{{{container.get('name')}}}"
    return f"spec.containers{{{container.get('name')}}}"
