"""What is remarked on in pods and in what makes or serves them.

| where | tested |
|---|---|
| pod | each remark, and silence on an ordinary pod and on every update |
| template | the same remarks, below the template's path; only when the wish changed |
| service, volume, claim, ingress | deprecated fields and annotations |
"""

from __future__ import annotations

from typing import Any

import pytest

from kubarium.api.apps.warnings import stateful_set_warnings, workload_warnings
from kubarium.api.batch.warnings import cron_job_warnings, job_warnings
from kubarium.api.core import persistent_volume, persistent_volume_claim, service_warnings
from kubarium.api.core.pod.warnings import warnings
from kubarium.api.networking import ingress

Object = dict[str, Any]


def pod(container: Object | None = None, annotations: dict[str, str] | None = None, **spec: Any) -> Object:
    containers = [{"name": "c", "image": "i", **(container or {})}]
    return {
        "metadata": {"name": "p", "annotations": annotations or {}},
        "spec": {"containers": containers, **spec},
    }


def test_an_ordinary_pod_is_passed_over() -> None:
    plain = pod(
        {
            "env": [{"name": "PATH", "value": "/a"}, {"name": "PATH", "value": "$(PATH):/b"}],
            "ports": [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP"}],
            "resources": {"limits": {"cpu": "100m", "memory": "1Gi"}},
        },
        volumes=[{"name": "v", "emptyDir": {}}],
        imagePullSecrets=[{"name": "s"}],
    )
    assert warnings(plain, None) == []


@pytest.mark.parametrize(
    ("made", "remark"),
    [
        (
            pod({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}),
            'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply',
        ),
        (
            pod(
                {
                    "ports": [
                        {"containerPort": 80, "protocol": "TCP"},
                        {"containerPort": 80, "protocol": "TCP"},
                    ]
                }
            ),
            "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
        ),
        (
            pod({"ports": [{"containerPort": 80, "hostPort": 8}, {"containerPort": 80}]}),
            "spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]",
        ),
        (
            pod({"resources": {"requests": {"memory": "1m"}}}),
            'spec.containers[0].resources.requests[memory]: fractional byte value "1m" is invalid, '
            "must be an integer",
        ),
        (
            pod(nodeSelector={"beta.kubernetes.io/os": "linux"}),
            'spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead',
        ),
        (
            pod(topologySpreadConstraints=[{"topologyKey": "x"}]),
            "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
        ),
        (
            pod(affinity={"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}),
            "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: "
            "a null labelSelector results in matching no pod",
        ),
        (pod(volumes=[{"name": "v", "gitRepo": {}}]), "spec.volumes[0].gitRepo: deprecated in v1.11"),
        (
            pod(hostAliases=[{"ip": "1.1.1.1"}, {"ip": "1.1.1.1"}]),
            'spec.hostAliases[1].ip: duplicate ip "1.1.1.1"',
        ),
        (pod(imagePullSecrets=[{}]), 'spec.imagePullSecrets[0].name: invalid empty name ""'),
        (
            pod(terminationGracePeriodSeconds=-1),
            "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
        ),
        (
            pod(annotations={"seccomp.security.alpha.kubernetes.io/pod": "x"}),
            "metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; "
            'use the "seccompProfile" field instead',
        ),
        (
            pod() | {"metadata": {"name": "a.b"}},
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; "
            "a DNS label is recommended: [must not contain dots]",
        ),
    ],
)
def test_pods_are_remarked_on_once(made: Object, remark: str) -> None:
    assert warnings(made, None) == [remark]
    assert warnings(made, made) == []


def test_projected_files_must_not_lie_on_a_token() -> None:
    sources = [{"serviceAccountToken": {"path": "t"}}, {"configMap": {"items": [{"key": "k", "path": "t"}]}}]
    assert warnings(pod(volumes=[{"name": "v", "projected": {"sources": sources}}]), None) == [
        'spec.volumes[0].projected.sources.configMap[0]: has duplicated path with ServiceAccountToken "t"'
    ]


def test_workloads_are_remarked_on_when_their_wish_changes() -> None:
    made = {"metadata": {"name": "w", "generation": 1}, "spec": {"template": pod(volumes=[{"gitRepo": {}}])}}
    remark = ["spec.template.spec.volumes[0].gitRepo: deprecated in v1.11"]
    assert workload_warnings(made, None) == remark
    assert workload_warnings(made, made) == []
    assert workload_warnings(made | {"metadata": {"name": "w", "generation": 2}}, made) == remark
    assert job_warnings(made, None) == remark
    claims = {"volumeClaimTemplates": [{"spec": {"resources": {"requests": {"storage": "1500m"}}}}]}
    assert stateful_set_warnings({"metadata": {"name": "s"}, "spec": claims}, None) == [
        'spec.volumeClaimTemplates[0].resources.requests[storage]: fractional byte value "1500m" is invalid, '
        "must be an integer"
    ]
    cron = {"metadata": {"name": "c"}, "spec": {"jobTemplate": {"spec": made["spec"]}}}
    assert cron_job_warnings(cron, None) == [
        "spec.jobTemplate.spec.template.spec.volumes[0].gitRepo: deprecated in v1.11"
    ]


def test_services_volumes_claims_and_ingresses() -> None:
    assert service_warnings.warnings({"spec": {"type": "ClusterIP", "externalIPs": ["1.2.3.4"]}}, None) == [
        "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
    ]
    assert service_warnings.warnings(
        {"spec": {"clusterIP": "None", "sessionAffinity": "ClientIP"}}, None
    ) == ["spec.SessionAffinity is ignored for headless services"]
    recycled = {"spec": {"persistentVolumeReclaimPolicy": "Recycle", "rbd": {}}}
    assert persistent_volume.warnings(recycled, None) == [
        "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. "
        "Instead, the recommended approach is to use dynamic provisioning.",
        "spec.rbd: deprecated in v1.28, non-functional in v1.31+",
    ]
    claim = {"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "x"}}}
    assert persistent_volume_claim.warnings(claim, None) == [
        "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; "
        'use "storageClassName" attribute instead'
    ]
    old = {"metadata": {"annotations": {"kubernetes.io/ingress.class": "x"}}, "spec": {}}
    assert ingress.warnings(old, None) == [
        "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"
    ]
    assert ingress.warnings(old, old) == []
