"""Extended resources that devices stand for: which requests a pod's containers make of them.

Containers that live together need devices of their own. Init containers run before, so they use the devices of the
containers after them, and only what they need beyond that is asked for, once, for the one that needs most.
Source: https://github.com/kubernetes/enhancements/tree/master/keps/sig-scheduling/5004-dra-extended-resource
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kubarium.api.core.pod import resources
from kubarium.api.resource.resource_claim import EXTENDED_RESOURCE_CLAIM
from kubarium.apimachinery.object import Object, name_of, namespace_of, spec_of, uid_of


class Wish(NamedTuple):
    """So many devices for a resource, under the name of a request."""

    request: str
    devices: int


@dataclass
class Requests:
    """The device requests of a claim, and which container's resource is met by which request."""

    requests: list[Object] = field(default_factory=list)
    mappings: list[Object] = field(default_factory=list)


def requests_of(pod: Object, classes: Mapping[str, str]) -> Requests:
    """`classes`: the class of devices for each resource that devices must provide."""
    found = Requests()
    for resource in sorted(classes):
        _add_resource(found, pod, resource, classes[resource])
    found.requests.sort(key=lambda request: request["name"])
    return found


def new_claim(pod: Object, requests: Requests) -> Object:
    """The claim that the scheduler makes for them."""
    owner = {"apiVersion": "v1", "kind": "Pod", "name": name_of(pod), "uid": uid_of(pod), "controller": True}
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {
            "generateName": f"{name_of(pod)}-extended-resources-",
            "namespace": namespace_of(pod),
            "annotations": {EXTENDED_RESOURCE_CLAIM: "true"},
            "ownerReferences": [owner],
        },
        "spec": {"devices": {"requests": requests.requests}},
    }


def _add_resource(found: Requests, pod: Object, resource: str, class_name: str) -> None:
    spec = spec_of(pod)
    first = spec.get("initContainers") or []
    containers: Sequence[Object] = [*first, *(spec.get("containers") or [])]
    brief = [n for n, one in enumerate(first) if not resources.is_restartable_init(one)]
    wishes: dict[int, Wish] = {}
    for number, container in enumerate(containers):
        count = _count(container, resource)
        if count and number not in brief:
            wishes[number] = Wish(_request_name(number, container, resource), count)
            found.mappings.append(_mapping(container, resource, wishes[number].request))
    extra: Wish | None = None
    borrowers: list[tuple[Object, list[str], bool]] = []
    for number in brief:
        missing, lent = _borrow(_count(containers[number], resource), number, wishes)
        if missing and (extra is None or missing > extra.devices):
            extra = Wish(_request_name(number, containers[number], resource), missing)
        borrowers.append((containers[number], lent, missing > 0))
    for container, lent, lacks in borrowers:
        names = [*lent, extra.request] if lacks and extra is not None else lent
        found.mappings.extend(_mapping(container, resource, name) for name in names)
    for wish in [*([extra] if extra is not None else []), *wishes.values()]:
        exactly = {"deviceClassName": class_name, "allocationMode": "ExactCount", "count": wish.devices}
        found.requests.append({"name": wish.request, "exactly": exactly})


def _borrow(count: int, number: int, wishes: Mapping[int, Wish]) -> tuple[int, list[str]]:
    """What is missing when an init container uses the devices of those that come after it, and whose it uses."""
    lent: list[str] = []
    for later, wish in sorted(wishes.items()):
        if later > number and count > 0:
            lent.append(wish.request)
            count -= wish.devices
    return max(count, 0), lent


def _request_name(number: int, container: Object, resource: str) -> str:
    asked = sorted((container.get("resources") or {}).get("requests") or {})
    return f"container-{number}-request-{asked.index(resource)}"


def _count(container: Object, resource: str) -> int:
    return resources.amounts((container.get("resources") or {}).get("requests")).get(resource, 0)


def _mapping(container: Object, resource: str, request: str) -> Object:
    return {"containerName": container["name"], "resourceName": resource, "requestName": request}
