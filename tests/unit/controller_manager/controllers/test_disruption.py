"""What a budget counts, and what it says of pods that nobody owns."""

from __future__ import annotations

from kubarium.apimachinery.object import Object
from tests.unit.controller_manager.cluster import Cluster

CONTROLLER = "disruption-controller"
SELECTOR = {"matchLabels": {"app": "web"}}


def put_pod(cluster: Cluster, name: str, phase: str) -> None:
    metadata = {"name": name, "namespace": "default", "labels": {"app": "web"}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": []}}
    cluster.set_pod(pod, phase, ready=phase == "Running")


async def status_with(cluster: Cluster, **spec: object) -> Object:
    for name, phase in (("a", "Running"), ("b", "Running"), ("done", "Succeeded")):
        put_pod(cluster, name, phase)
    cluster.api.put(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web", "namespace": "default", "generation": 1},
            "spec": {"selector": SELECTOR, **spec},
        }
    )
    await cluster.start(CONTROLLER)
    await cluster.settle()
    (budget,) = cluster.api.objects("policy/v1", "poddisruptionbudgets")
    found: Object = budget["status"]
    return found


async def test_a_number_counts_every_pod_and_ended_ones_are_not_healthy(cluster: Cluster) -> None:
    status = await status_with(cluster, minAvailable=1)
    assert (status["expectedPods"], status["currentHealthy"], status["disruptionsAllowed"]) == (3, 2, 1)
    assert not cluster.events("UnmanagedPods")


async def test_pods_without_an_owner_are_told_of_where_their_owner_would_be_asked(cluster: Cluster) -> None:
    status = await status_with(cluster, maxUnavailable=1)
    assert (status["expectedPods"], status["disruptionsAllowed"]) == (0, 0)
    (told,) = cluster.events("UnmanagedPods")
    assert told.startswith(
        "Pods selected by this PodDisruptionBudget (selector: &LabelSelector{MatchLabels:map[string]string{app: web,},"
        "MatchExpressions:[]LabelSelectorRequirement{},}) were found to be unmanaged. As a result,"
    )


async def test_a_pod_that_was_not_disrupted_after_all_is_told_so(cluster: Cluster) -> None:
    def tell(name: str, reason: str, **metadata: object) -> None:
        put_pod(cluster, name, "Running")
        pod = cluster.api.get("v1", "pods", "default", name)
        told = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "soon"}
        pod["status"]["conditions"].append({**told, "lastTransitionTime": "2026-01-01T00:00:00Z"})
        pod["metadata"] |= metadata
        cluster.api.put(pod)

    def says(name: str) -> tuple[str, str]:
        pod = cluster.api.get("v1", "pods", "default", name)
        found = next(c for c in pod["status"]["conditions"] if c["type"] == "DisruptionTarget")
        return found["status"], found["reason"]

    tell("spared", "PreemptionByScheduler")
    tell("leaving", "PreemptionByScheduler", deletionTimestamp="2026-01-01T00:00:00Z")
    tell("kubelet", "TerminationByKubelet")
    await cluster.start(CONTROLLER)
    await cluster.settle(110)
    assert says("spared") == ("True", "PreemptionByScheduler")
    await cluster.settle(20)
    assert says("spared") == ("False", "PreemptionByScheduler")
    assert (says("leaving")[0], says("kubelet")[0]) == ("True", "True")
