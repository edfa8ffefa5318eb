"""Daemons that surge: two pods on a node for a while."""

from __future__ import annotations

from kubarium.apimachinery.object import Object
from tests.unit.controller_manager.cluster import Cluster, template


def daemon_set(image: str) -> Object:
    rolling = {"maxSurge": 1, "maxUnavailable": 0}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "log", "namespace": "default", "generation": 1},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(image=image),
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
        },
    }


def images(cluster: Cluster) -> list[str]:
    """Of the pods that are not on their way out, the oldest first."""
    staying = [pod for pod in cluster.pods() if "deletionTimestamp" not in pod["metadata"]]
    return [pod["spec"]["containers"][0]["image"] for pod in staying]


def status(cluster: Cluster) -> Object:
    found: Object = cluster.api.get("apps/v1", "daemonsets", "default", "log")["status"]
    return found


async def surge(cluster: Cluster) -> tuple[Object, Object]:
    """A node with a pod of the old template and one of the new."""
    cluster.api.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}})
    cluster.api.put(daemon_set("web:1"))
    await cluster.start("daemonset-controller")
    cluster.run_pods()
    await cluster.settle(1)
    assert (status(cluster)["updatedNumberScheduled"], status(cluster)["numberAvailable"]) == (1, 1)
    stored = cluster.api.get("apps/v1", "daemonsets", "default", "log")
    cluster.api.put({**stored, "spec": daemon_set("web:2")["spec"]})
    await cluster.settle(1)
    assert sorted(images(cluster)) == ["web:1", "web:2"]
    old, new = sorted(cluster.pods(), key=lambda pod: str(pod["spec"]["containers"][0]["image"]))
    return old, new


async def test_while_an_update_surges_the_older_pod_speaks_for_its_node(cluster: Cluster) -> None:
    _, new = await surge(cluster)
    assert "updatedNumberScheduled" not in status(cluster) and status(cluster)["numberAvailable"] == 1
    cluster.set_pod(new, "Running")
    await cluster.settle(1)
    assert images(cluster) == ["web:2"]
    assert "updatedNumberScheduled" not in status(cluster)  # the old one is still there
    cluster.run_pods()
    await cluster.settle()
    assert (status(cluster)["updatedNumberScheduled"], status(cluster)["numberAvailable"]) == (1, 1)


async def test_an_old_pod_that_is_not_ready_any_more_does_not_wait_for_the_new_one(cluster: Cluster) -> None:
    old, _ = await surge(cluster)
    cluster.set_pod(old, "Running", ready=False)
    await cluster.settle(1)
    assert images(cluster) == ["web:2"]
