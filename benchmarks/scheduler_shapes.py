"""The pods of upstream's scheduler_perf, and what its CI demands of the original at 5,000 nodes.

Source: https://github.com/kubernetes/kubernetes/tree/master/test/integration/scheduler_perf
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubarium.apimachinery.object import Object

ZONE, HOSTNAME = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def node(number: int) -> Object:
    """Four cores, 32 GiB, 110 pods, one of three zones."""
    labels = {HOSTNAME: f"node-{number}", ZONE: f"zone-{number % 3}"}
    status = {"allocatable": {"cpu": "4", "memory": "32Gi", "pods": "110"}}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"node-{number}", "labels": labels},
        "status": status,
    }


def pod(name: str, *, cpu: str = "100m", labels: dict[str, str] | None = None, **spec: Any) -> Object:
    """scheduler_perf's default pod, with more in its spec."""
    container = {
        "name": "pause",
        "image": "pause:3.10",
        "resources": {"requests": {"cpu": cpu, "memory": "500Mi"}},
    }
    metadata = {"name": name, "namespace": "default", "uid": name, "labels": labels or {}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [container], **spec},
    }


def _term(key: str, color: str, **more: Any) -> Object:
    return {"topologyKey": key, "labelSelector": {"matchLabels": {"color": color}}, **more}


TEAM = {"matchLabels": {"team": "devops"}}  # selects the namespace of all pods
DRIVER = "test-driver.cdi.k8s.io"
DEVICES = 10  # on each node


def device_slice(number: int) -> Object:
    """The devices of a node."""
    pool = {"name": f"node-{number}", "generation": 1, "resourceSliceCount": 1}
    devices = [
        {"name": f"device-{one}", "attributes": {"preallocate": {"bool": one % 2 == 0}}}
        for one in range(DEVICES)
    ]
    spec = {"driver": DRIVER, "nodeName": f"node-{number}", "pool": pool, "devices": devices}
    return {"metadata": {"name": f"slice-{number}"}, "spec": spec}


def device_class() -> Object:
    """All devices of the driver."""
    selector = {"cel": {"expression": f'device.driver == "{DRIVER}"'}}
    spec = {"selectors": [selector], "extendedResourceName": "example.com/device"}
    return {"metadata": {"name": "test-class"}, "spec": spec}


def claim(number: int) -> Object:
    """One device."""
    request = {"name": "req-0", "exactly": {"deviceClassName": "test-class"}}
    metadata = {"name": f"claim-{number}", "namespace": "default", "uid": f"claim-{number}"}
    return {"metadata": metadata, "spec": {"devices": {"requests": [request]}}}


def _claimant(number: int) -> Object:
    return pod(f"p{number}", resourceClaims=[{"name": "device", "resourceClaimName": f"claim-{number}"}])


def _wants_device(number: int) -> Object:
    made = pod(f"p{number}")
    made["spec"]["containers"][0]["resources"]["requests"]["example.com/device"] = "1"
    return made


WITH_DEVICES = ("resource claim", "extended resource")


def _spread(action: str) -> list[Object]:
    selector = {"matchLabels": {"color": "blue"}}
    return [{"maxSkew": 5, "topologyKey": ZONE, "whenUnsatisfiable": action, "labelSelector": selector}]


def _mixed(number: int) -> Object:
    shapes = ("basic", "node affinity", "preferred affinity", "preferred anti-affinity", "required affinity")
    return SHAPES[shapes[number % len(shapes)]][0](number)


SHAPES: dict[str, tuple[Callable[[int], Object], int]] = {
    # what each pod looks like, and upstream's floor in pods a second
    "basic": (lambda n: pod(f"p{n}"), 680),
    "node affinity": (
        lambda n: pod(
            f"p{n}",
            affinity={
                "nodeAffinity": {
                    REQUIRED: {
                        "nodeSelectorTerms": [
                            {
                                "matchExpressions": [
                                    {"key": ZONE, "operator": "In", "values": ["zone-1", "zone-2"]}
                                ]
                            }
                        ]
                    }
                }
            },
        ),
        220,
    ),
    "topology spread": (
        lambda n: pod(f"p{n}", labels={"color": "blue"}, topologySpreadConstraints=_spread("DoNotSchedule")),
        460,
    ),
    "preferred topology spread": (
        lambda n: pod(f"p{n}", labels={"color": "blue"}, topologySpreadConstraints=_spread("ScheduleAnyway")),
        340,
    ),
    "required affinity": (
        lambda n: pod(
            f"p{n}", labels={"color": "blue"}, affinity={"podAffinity": {REQUIRED: [_term(ZONE, "blue")]}}
        ),
        35,
    ),
    "required anti-affinity": (
        lambda n: pod(
            f"p{n}",
            labels={"color": "green"},
            affinity={"podAntiAffinity": {REQUIRED: [_term(HOSTNAME, "green")]}},
        ),
        60,
    ),
    "preferred affinity": (
        lambda n: pod(
            f"p{n}",
            labels={"color": "red"},
            affinity={"podAffinity": {PREFERRED: [{"weight": 1, "podAffinityTerm": _term(HOSTNAME, "red")}]}},
        ),
        90,
    ),
    "preferred anti-affinity": (
        lambda n: pod(
            f"p{n}",
            labels={"color": "yellow"},
            affinity={
                "podAntiAffinity": {PREFERRED: [{"weight": 1, "podAffinityTerm": _term(HOSTNAME, "yellow")}]}
            },
        ),
        90,
    ),
    "required anti-affinity, ns selector": (
        lambda n: pod(
            f"p{n}",
            labels={"color": "green"},
            affinity={
                "podAntiAffinity": {REQUIRED: [_term(HOSTNAME, "green", namespaceSelector=TEAM)]},
            },
        ),
        24,
    ),
    "preferred anti-affinity, ns selector": (
        lambda n: pod(
            f"p{n}",
            labels={"color": "yellow"},
            affinity={
                "podAntiAffinity": {
                    PREFERRED: [
                        {"weight": 1, "podAffinityTerm": _term(HOSTNAME, "yellow", namespaceSelector=TEAM)}
                    ]
                }
            },
        ),
        55,
    ),
    "required affinity, ns selector": (
        lambda n: pod(
            f"p{n}",
            labels={"color": "blue"},
            affinity={"podAffinity": {REQUIRED: [_term(ZONE, "blue", namespaceSelector=TEAM)]}},
        ),
        35,
    ),
    "one node each, as a DaemonSet": (
        lambda n: pod(
            f"p{n}",
            affinity={
                "nodeAffinity": {
                    REQUIRED: {
                        "nodeSelectorTerms": [
                            {
                                "matchFields": [
                                    {"key": "metadata.name", "operator": "In", "values": [f"node-{n % 500}"]}
                                ]
                            }
                        ]
                    }
                }
            },
        ),
        390,
    ),
    "resource claim": (_claimant, 64),
    "extended resource": (_wants_device, 64),
    "mixed": (_mixed, 140),
    "mixed churn": (lambda n: pod(f"p{n}"), 265),
    "preemption": (lambda n: pod(f"p{n}", cpu="3", priority=10), 570),
}
