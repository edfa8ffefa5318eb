"""Zeros that say nothing go; zeros that say something stay."""

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
    zeros.drop(pod, GroupVersionKind("", "v1", "Pod"), schemas)
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
                }
            ],
            "volumes": [{"name": "a", "emptyDir": {}}],
        },
    }


def test_counts_of_replicas_stay_where_they_are_wishes(schemas: Catalog) -> None:
    deployment: Object = {"spec": {"replicas": 0, "paused": False}, "status": {"replicas": 0}}
    zeros.drop(deployment, GroupVersionKind("apps", "v1", "Deployment"), schemas)
    assert deployment == {"spec": {"replicas": 0}, "status": {}}
