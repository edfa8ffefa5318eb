"""What can be done to every kind, done to each: made, listed, watched, patched, replaced, scaled, deleted singly and
together, its status changed and nothing else with it. The steps are those of upstream's conformance tests.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest

from kubarium.apimachinery import errors
from kubarium.client.rest import Client

Object = dict[str, Any]

POD: Object = {"containers": [{"name": "c", "image": "i"}]}
LABELS = {"app": "x"}
TEMPLATE: Object = {"metadata": {"labels": LABELS}, "spec": POD}
SELECTED: Object = {"selector": {"matchLabels": LABELS}, "template": TEMPLATE}
ONCE: Object = {"template": {"spec": {**POD, "restartPolicy": "Never"}}}
CONDITION: Object = {"type": "StatusUpdate", "status": "True", "reason": "Test", "message": "seen"}
TIMED = CONDITION | {"lastTransitionTime": "2026-01-01T00:00:00Z"}
GIGABYTE = {"storage": "1Gi"}
NOBODYS_RULE: Object = {
    "operations": ["CREATE"],
    "apiGroups": ["nobody.example"],
    "apiVersions": ["v1"],
    "resources": ["nothings"],
}
NOBODYS_HOOK: Object = {
    "name": "nobody.example.com",
    "clientConfig": {"url": "https://127.0.0.1:1/"},
    "rules": [NOBODYS_RULE],
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}
ON_NODE: Object = {"key": "metadata.name", "operator": "In", "values": ["n-1"]}
RBAC = "rbac.authorization.k8s.io"
REQUEST = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K"


@dataclass(frozen=True)
class Case:
    """A kind: the least that an object of it holds, and what its status may be."""

    api_version: str
    kind: str
    plural: str
    body: Object = field(default_factory=dict)
    status: Object | None = None
    scales: bool = False
    namespaced: bool = True
    names: tuple[str, str] | None = None


def everywhere(api_version: str, kind: str, plural: str, body: Object, status: Object | None = None) -> Case:
    """A kind of the whole cluster."""
    return Case(api_version, kind, plural, body, status, namespaced=False)


CASES = [
    Case("v1", "ConfigMap", "configmaps"),
    Case("v1", "Secret", "secrets"),
    Case("v1", "ServiceAccount", "serviceaccounts"),
    Case("v1", "LimitRange", "limitranges", {"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}}),
    Case("v1", "ResourceQuota", "resourcequotas", {"spec": {}}, {"hard": {"secrets": "9"}}),
    Case("v1", "PodTemplate", "podtemplates", {"template": TEMPLATE}),
    Case("v1", "Service", "services", {"spec": {"ports": [{"port": 80}]}}, {"conditions": [TIMED]}),
    Case(
        "v1", "Endpoints", "endpoints",
        {"subsets": [{"addresses": [{"ip": "192.0.2.7"}], "ports": [{"port": 80, "protocol": "TCP"}]}]},
    ),
    Case(
        "v1", "PersistentVolumeClaim", "persistentvolumeclaims",
        {"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "x", "resources": {"requests": GIGABYTE}}},
        {"conditions": [CONDITION]},
    ),
    Case("v1", "Pod", "pods", {"spec": POD}, {"conditions": [CONDITION]}),
    Case(
        "v1", "ReplicationController", "replicationcontrollers",
        {"spec": {"selector": LABELS, "template": TEMPLATE}}, {"conditions": [CONDITION]}, scales=True,
    ),
    Case("apps/v1", "Deployment", "deployments", {"spec": SELECTED}, {"conditions": [CONDITION]}, scales=True),
    Case("apps/v1", "ReplicaSet", "replicasets", {"spec": SELECTED}, {"conditions": [CONDITION]}, scales=True),
    Case("apps/v1", "StatefulSet", "statefulsets", {"spec": SELECTED}, {"conditions": [CONDITION]}, scales=True),
    Case("apps/v1", "DaemonSet", "daemonsets", {"spec": SELECTED}, {"conditions": [CONDITION]}),
    Case("apps/v1", "ControllerRevision", "controllerrevisions", {"revision": 1, "data": {"a": "b"}}),
    Case("batch/v1", "Job", "jobs", {"spec": ONCE | {"suspend": True}}, {"conditions": [CONDITION]}),
    Case(
        "batch/v1", "CronJob", "cronjobs", {"spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": ONCE}}},
        {"lastScheduleTime": "2026-01-01T00:00:00Z"},
    ),
    Case(
        "autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers",
        {"spec": {"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}}},
        {"desiredReplicas": 2},
    ),
    Case(
        "policy/v1", "PodDisruptionBudget", "poddisruptionbudgets",
        {"spec": {"minAvailable": 1, "selector": {"matchLabels": LABELS}}}, {"disruptionsAllowed": 1},
    ),
    Case(
        "networking.k8s.io/v1", "Ingress", "ingresses",
        {"spec": {"defaultBackend": {"service": {"name": "x", "port": {"number": 80}}}}},
        {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
    ),
    Case("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", {"spec": {"podSelector": {}}}),
    Case("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", {"addressType": "IPv4", "endpoints": []}),
    Case("coordination.k8s.io/v1", "Lease", "leases", {"spec": {"holderIdentity": "me"}}),
    Case(f"{RBAC}/v1", "Role", "roles", {"rules": []}),
    Case(
        f"{RBAC}/v1", "RoleBinding", "rolebindings",
        {"roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"}},
    ),
    Case("storage.k8s.io/v1", "CSIStorageCapacity", "csistoragecapacities", {"storageClassName": "x"}),
    Case(
        "v1", "PersistentVolumeClaim", "persistentvolumeclaims",
        {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}},
        {"conditions": [CONDITION]},
    ),
    Case(
        "resource.k8s.io/v1", "ResourceClaim", "resourceclaims", {"spec": {}},
        {"allocation": {"nodeSelector": {"nodeSelectorTerms": [{"matchFields": [ON_NODE]}]}}},
    ),
    Case("resource.k8s.io/v1", "ResourceClaimTemplate", "resourceclaimtemplates", {"spec": {"spec": {}}}),
    everywhere(
        "v1", "PersistentVolume", "persistentvolumes",
        {
            "spec": {
                "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Mi"},
                "csi": {"driver": "example.com", "volumeHandle": "x"},
            },
        },
        {"message": "seen", "reason": "StatusPatched"},
    ),
    everywhere("v1", "Node", "nodes", {}, {"conditions": [CONDITION]}),
    everywhere(
        "v1", "PersistentVolume", "persistentvolumes",
        {
            "spec": {
                "capacity": GIGABYTE, "accessModes": ["ReadWriteOnce"], "storageClassName": "y",
                "hostPath": {"path": "/nowhere"},
            }
        },
        {"reason": "Seen", "message": "by a test"},
    ),
    everywhere(
        "networking.k8s.io/v1", "ServiceCIDR", "servicecidrs", {"spec": {"cidrs": ["198.51.100.0/24"]}},
        {"conditions": [TIMED]},
    ),
    Case(
        "networking.k8s.io/v1", "IPAddress", "ipaddresses",
        {"spec": {"parentRef": {"resource": "services", "namespace": "x", "name": "y"}}},
        namespaced=False, names=("198.51.100.1", "198.51.100.2"),
    ),
    everywhere("networking.k8s.io/v1", "IngressClass", "ingressclasses", {"spec": {"controller": "example.com/x"}}),
    everywhere(f"{RBAC}/v1", "ClusterRole", "clusterroles", {"rules": []}),
    everywhere(
        f"{RBAC}/v1", "ClusterRoleBinding", "clusterrolebindings",
        {"roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"}},
    ),
    everywhere("storage.k8s.io/v1", "StorageClass", "storageclasses", {"provisioner": "example.com/x"}),
    everywhere("storage.k8s.io/v1", "CSIDriver", "csidrivers", {"spec": {"attachRequired": False}}),
    everywhere("storage.k8s.io/v1", "CSINode", "csinodes", {"spec": {"drivers": []}}),
    everywhere(
        "storage.k8s.io/v1", "VolumeAttachment", "volumeattachments",
        {"spec": {"attacher": "example.com", "nodeName": "n-1", "source": {"persistentVolumeName": "x"}}},
        {"attached": True},
    ),
    everywhere(
        "storage.k8s.io/v1", "VolumeAttributesClass", "volumeattributesclasses",
        {"driverName": "example.com", "parameters": {"a": "b"}},
    ),
    everywhere("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", {"value": 7}),
    everywhere("node.k8s.io/v1", "RuntimeClass", "runtimeclasses", {"handler": "x"}),
    everywhere(
        "resource.k8s.io/v1", "ResourceSlice", "resourceslices",
        {
            "spec": {
                "driver": "example.com", "nodeName": "n-1", "devices": [{"name": "d"}],
                "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
            },
        },
    ),
    everywhere("resource.k8s.io/v1", "DeviceClass", "deviceclasses", {"spec": {}}),
    everywhere(
        "certificates.k8s.io/v1", "CertificateSigningRequest", "certificatesigningrequests",
        {"spec": {"request": REQUEST, "signerName": "example.com/x", "usages": ["client auth"]}},
        {"conditions": [CONDITION]},
    ),
    everywhere(
        "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations",
        {"webhooks": [NOBODYS_HOOK]},
    ),
    everywhere(
        "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations",
        {"webhooks": [NOBODYS_HOOK]},
    ),
    everywhere(
        "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies",
        {"spec": {"matchConstraints": {"resourceRules": [NOBODYS_RULE]}, "validations": [{"expression": "true"}]}},
        {"conditions": [TIMED]},
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.plural)
async def test_a_life_of_every_kind(case: Case, client: Client, default_account: str) -> None:
    where = default_account if case.namespaced else ""
    mine = f"test={default_account}"
    resource = client.resource(case.api_version, case.plural)
    first, second = case.names or (f"{default_account}-1", f"{default_account}-2")

    def made(name: str) -> Object:
        metadata = {"name": name, "labels": {"test": default_account}}
        return {"apiVersion": case.api_version, "kind": case.kind, "metadata": metadata, **case.body}

    assert (await resource.create(made(first), where, dry_run=True))["metadata"]["name"] == first
    for name in (first, second):
        await resource.create(made(name), where)
    with pytest.raises(errors.AlreadyExists):
        await resource.create(made(first), where)
    listed = await resource.list(label_selector=mine)
    assert [item["metadata"]["name"] for item in listed["items"]] == [first, second]

    changes = resource.watch(
        where, resource_version=listed["metadata"]["resourceVersion"], label_selector=mine
    )
    async with aclosing(changes):
        patched = await resource.patch(first, {"metadata": {"labels": {"patched": "yes"}}}, where)
        event = await anext(changes)
        assert (event.type, event.obj["metadata"]["labels"].get("patched")) == ("MODIFIED", "yes")

    patched["metadata"].setdefault("annotations", {})["replaced"] = "yes"
    replaced = await resource.update(patched)
    assert replaced["metadata"]["annotations"]["replaced"] == "yes"
    with pytest.raises(errors.Conflict):
        await resource.update(patched | {"metadata": patched["metadata"] | {"resourceVersion": "1"}})
    got = await resource.get(first, where)
    assert got["metadata"]["resourceVersion"] == replaced["metadata"]["resourceVersion"]

    if case.status is not None:
        await _change_status(case, client, where, first)
    if case.scales:
        await _scale(case, client, where, first)

    for name in (
        first,
        second,
    ):  # some are protected until a controller, which does not run here, sees them unused
        await resource.patch(name, {"metadata": {"finalizers": None}}, where)
    await resource.delete(first, where, propagation_policy="Background", grace_period_seconds=0)
    with pytest.raises(errors.NotFound):
        await resource.get(first, where)
    await resource.delete_collection(
        where, label_selector=mine, propagation_policy="Background", grace_period_seconds=0
    )
    assert (await resource.list(where, label_selector=mine))["items"] == []


async def _change_status(case: Case, client: Client, where: str, name: str) -> None:
    """Patched and replaced; whoever changes a status changes nothing else, and who changes the rest no status."""
    resource = client.resource(case.api_version, case.plural)
    before = await resource.get(name, where)
    assert case.status is not None
    patch = {"metadata": {"annotations": {"status": "patched"}}, "status": case.status}
    after = await resource.patch(name, patch, where, subresource="status")
    for key, value in case.status.items():
        assert _holds(after["status"][key], value), after["status"]
    assert after.get("spec") == before.get("spec")
    assert after["metadata"].get("generation") == before["metadata"].get("generation")
    again = await resource.update_status(await resource.get(name, where, subresource="status"))
    assert again["status"] == after["status"]
    untouched = await resource.patch(name, {"status": None}, where)
    assert untouched["status"] == after["status"]


async def _scale(case: Case, client: Client, where: str, name: str) -> None:
    resource = client.resource(case.api_version, case.plural)
    scale = await resource.get(name, where, subresource="scale")
    assert (scale["kind"], scale["spec"]["replicas"]) == ("Scale", 1)
    scale["spec"]["replicas"] = 2
    assert (await resource.update(scale, subresource="scale"))["spec"]["replicas"] == 2
    patch = {"spec": {"replicas": 4}}
    assert (await resource.patch(name, patch, where, subresource="scale"))["spec"]["replicas"] == 4
    assert (await resource.get(name, where))["spec"]["replicas"] == 4


def _holds(found: Any, wanted: Any) -> bool:
    """Is everything that was wanted there? The server may know more."""
    if isinstance(wanted, dict):
        return all(_holds(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return len(found) >= len(wanted) and all(_holds(*pair) for pair in zip(found, wanted, strict=False))
    return bool(found == wanted)
