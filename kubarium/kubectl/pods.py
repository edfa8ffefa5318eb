"""Which pod is meant when a command names a pod, a deployment, or a service."""

from __future__ import annotations

import asyncio

from kubarium.api.core.pod import status
from kubarium.apimachinery.object import Object, name_of, namespace_of, status_of
from kubarium.kubectl.names import Target
from kubarium.kubectl.session import CommandFailed, Session, warn

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


async def pods_of(session: Session, word: str) -> list[Object]:
    """The pods behind `web`, `pod/web`, `deploy/web`, `svc/web`; ready ones first."""
    target = (await session.names.targets([word]))[0] if "/" in word else None
    pods = session.client.resource("v1", "pods")
    if target is None or target.kind.plural == "pods":
        return [await pods.get(target.name if target else word, session.namespace)]
    selector = await _selector(session, target)
    listed = await pods.list(session.namespace, label_selector=selector)
    return sorted(listed["items"], key=lambda pod: (not status.is_ready(pod), name_of(pod)))


async def pod_of(session: Session, word: str) -> Object:
    """The one pod that a command is about."""
    found = await pods_of(session, word)
    if not found:
        raise CommandFailed(f"no pods found for {word} in namespace {session.namespace}")
    return found[0]


def container_of(pod: Object, wanted: str, quiet: bool = False) -> str:
    """The named container, or the one that a person means; a choice among several is said on stderr."""
    names: list[str] = [container["name"] for container in pod["spec"]["containers"]]
    others = pod["spec"].get("initContainers") or []
    others = others + (pod["spec"].get("ephemeralContainers") or [])
    known = names + [container["name"] for container in others]
    if wanted:
        if wanted not in known:
            raise CommandFailed(
                f"container {wanted} is not valid for pod {name_of(pod)} out of: {_all_containers(pod)}"
            )
        return wanted
    annotated = str((pod["metadata"].get("annotations") or {}).get(DEFAULT_CONTAINER))
    if annotated in known:
        return annotated
    if len(known) > 1 and not quiet:
        warn(f'Defaulted container "{names[0]}" out of: {_all_containers(pod)}')
    return names[0]


def _all_containers(pod: Object) -> str:
    """`a, b, c (ephem), d (init)`."""
    sorts = (("containers", ""), ("ephemeralContainers", " (ephem)"), ("initContainers", " (init)"))
    return ", ".join(each["name"] + mark for field, mark in sorts for each in pod["spec"].get(field) or [])


async def _selector(session: Session, target: Target) -> str:
    owner = await session.resource(target.kind).get(target.name, session.namespace)
    selector = (owner.get("spec") or {}).get("selector") or {}
    labels = selector.get("matchLabels", selector)
    if not labels:
        raise CommandFailed(
            f"cannot get the pods of {target.kind.full_name(target.name)}: it has no selector"
        )
    return ",".join(f"{key}={value}" for key, value in labels.items())


async def until_started(session: Session, pod: Object, container: str) -> Object:
    """Return when a container runs, or has run; why it does not start is said."""
    pods = session.client.resource("v1", "pods")
    told = False
    while True:
        found = await pods.get(name_of(pod), namespace_of(pod))
        statuses = status_of(found).get("containerStatuses") or []
        statuses = statuses + (status_of(found).get("ephemeralContainerStatuses") or [])
        state = next((each.get("state") or {} for each in statuses if each["name"] == container), {})
        if "running" in state or "terminated" in state:
            return found
        if not told and (message := (state.get("waiting") or {}).get("message")):
            warn(f"Warning: container {container}: {message}")
            told = True
        await asyncio.sleep(0.2)
