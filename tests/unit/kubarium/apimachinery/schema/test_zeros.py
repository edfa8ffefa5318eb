"""Zeros that say nothing go; zeros that say something stay; what Go always writes is there."""

from __future__ import annotations

from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.object import Object
from kubarium.apimachinery.schema import zeros
from kubarium.apimachinery.schema.catalog import Catalog


def test_what_go_would_not_write_is_dropped(schemas: Catalog) -> None:
    pod: Object = {
        "metadata": {"name": "web", "generateName": ""},
        "spec": {
            "hostNetwork": False,
            "nodeName": "",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "web",
                    "stdin": False,
                    "volumeMounts": [{"name": "a", "mountPath": "/a", "readOnly": False, "subPath": ""}],
                    "securityContext": {"privileged": False, "runAsUser": 0},
                    "env": [{"name": "EMPTY", "value": ""}],
                }
            ],
            "volumes": [{"name": "a", "emptyDir": {}}],
        },
    }
    zeros.settle(pod, GroupVersionKind("", "v1", "Pod"), schemas)
    assert pod == {
        "metadata": {"name": "web"},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "web",
                    "volumeMounts": [{"name": "a", "mountPath": "/a"}],
                    "securityContext": {"privileged": False, "runAsUser": 0},
                    "env": [{"name": "EMPTY"}],
                    "resources": {},
                }
            ],
            "volumes": [{"name": "a", "emptyDir": {}}],
        },
        "status": {},
    }


def test_counts_of_replicas_stay_where_they_are_wishes(schemas: Catalog) -> None:
    deployment: Object = {"spec": {"replicas": 0, "paused": False}, "status": {"replicas": 0}}
    zeros.settle(deployment, GroupVersionKind("apps", "v1", "Deployment"), schemas)
    assert deployment["spec"]["replicas"] == 0 and "paused" not in deployment["spec"]
    assert deployment["status"] == {}


def test_pointers_to_text_may_be_empty(schemas: Catalog) -> None:
    devices = [{"name": "gpu", "attributes": {"a": {"string": ""}, "b": {"bool": False}}}]
    resource_slice: Object = {"spec": {"driver": "x", "devices": devices, "nodeName": ""}}
    zeros.settle(resource_slice, GroupVersionKind("resource.k8s.io", "v1", "ResourceSlice"), schemas)
    attributes = {"a": {"string": ""}, "b": {"bool": False}}
    assert resource_slice["spec"]["devices"] == [{"name": "gpu", "attributes": attributes}]
    assert resource_slice["spec"]["nodeName"] == ""


def test_structs_and_times_are_always_written(schemas: Catalog) -> None:
    condition = {"type": "Ready", "status": "True"}
    pod: Object = {"spec": {"containers": []}, "status": {"conditions": [condition]}}
    zeros.settle(pod, GroupVersionKind("", "v1", "Pod"), schemas)
    assert pod["status"]["conditions"] == [{**condition, "lastProbeTime": None, "lastTransitionTime": None}]
    event: Object = {"reason": "Seen"}
    zeros.settle(event, GroupVersionKind("", "v1", "Event"), schemas)
    assert event == {
        "metadata": {},
        "involvedObject": {},
        "reason": "Seen",
        "source": {},
        "firstTimestamp": None,
        "lastTimestamp": None,
        "eventTime": None,
        "reportingComponent": "",
        "reportingInstance": "",
    }


def test_what_stands_in_a_struct_that_was_missing_is_written_too(schemas: Catalog) -> None:
    service: Object = {"spec": {"ports": [{"port": 80}]}}
    zeros.settle(service, GroupVersionKind("", "v1", "Service"), schemas)
    assert service["status"] == {"loadBalancer": {}}
    assert service["spec"]["ports"] == [{"port": 80, "targetPort": 0}]


def test_an_empty_list_that_is_always_written_becomes_null(schemas: Catalog) -> None:
    role: Object = {"metadata": {"name": "nothing"}, "rules": []}
    zeros.settle(role, GroupVersionKind("rbac.authorization.k8s.io", "v1", "Role"), schemas)
    assert role == {"metadata": {"name": "nothing"}, "rules": None}


def test_inline_structs_are_looked_into(schemas: Catalog) -> None:
    reference = {"name": "", "key": "k"}
    env = [{"name": "A", "valueFrom": {"configMapKeyRef": reference}}]
    pod: Object = {"spec": {"containers": [{"name": "a", "env": env}]}}
    zeros.settle(pod, GroupVersionKind("", "v1", "Pod"), schemas)
    assert reference == {"key": "k"}
