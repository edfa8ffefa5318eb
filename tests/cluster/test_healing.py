"""What dies comes back, and what did not die does not notice."""

from __future__ import annotations

import pytest

from tests.cluster.conftest import Shell, until
from tests.cluster.objects import pod, service, web

pytestmark = pytest.mark.cluster


def ready(stories: Shell, namespace: str, app: str = "web") -> list[str]:
    items = stories.get("pods", "-n", namespace, "-l", f"app={app}")["items"]
    return sorted(
        item["metadata"]["name"]
        for item in items
        if any(each["type"] == "Ready" and each["status"] == "True" for each in item["status"]["conditions"])
    )


def containers(stories: Shell, namespace: str) -> set[tuple[str, int]]:
    """Ids and restarts of all containers."""
    items = stories.get("pods", "-n", namespace)["items"]
    found = [status for item in items for status in item["status"].get("containerStatuses") or []]
    return {(status["containerID"], status["restartCount"]) for status in found}


def test_a_container_that_dies_is_started_again(stories: Shell, namespace: str) -> None:
    stories.apply(pod("main", "sh", "-c", "sleep 1000 & wait"), namespace=namespace)
    stories.kubectl("wait", "pod/main", "--for=condition=Ready", "--timeout=300s", "-n", namespace)
    # Ready says that the shell has been started, not that it has started its child.
    kill = "until pidof sleep; do sleep 0.1; done; kill -9 $(pidof sleep)"
    stories.kubectl("exec", "main", "-n", namespace, "--", "sh", "-c", kill, check=False)

    def restarted() -> bool:
        status = stories.get("pod", "main", "-n", namespace)["status"]["containerStatuses"][0]
        return bool(status["restartCount"] == 1 and "running" in status["state"])

    until(restarted)


def test_a_deleted_pod_is_replaced(stories: Shell, namespace: str) -> None:
    stories.apply(web(replicas=2), namespace=namespace)
    stories.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=300s")
    before = until(lambda: len(names := ready(stories, namespace)) == 2 and names)
    stories.kubectl("delete", "pod", before[0], "-n", namespace, "--now", "--no-wait")
    after = until(lambda: len(names := ready(stories, namespace)) == 2 and before[0] not in names and names)
    assert before[1] in after


def test_the_control_plane_may_die(stories: Shell, namespace: str) -> None:
    stories.apply(web(replicas=2), service(), namespace=namespace)
    stories.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=300s")
    pods = until(lambda: len(names := ready(stories, namespace)) == 2 and names)
    before = containers(stories, namespace)
    address = stories.get("service", "web", "-n", namespace)["spec"]["clusterIP"]
    until(lambda: set(stories.curl("node-1", f"http://{address}/name")) <= set(pods), what="cluster IP")
    for component in (
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "node-1/kubelet",
    ):
        stories.kill(component)
        assert set(stories.curl("node-1", f"http://{address}/name")) <= set(pods)
    until(lambda: ready(stories, namespace) == pods, what="the same pods after all components died")
    stories.kubectl("scale", "deployment/web", "--replicas=3", "-n", namespace)
    names = until(lambda: len(found := ready(stories, namespace)) == 3 and found, what="a new pod after that")
    assert set(pods) <= set(names)
    assert before <= containers(stories, namespace)  # each is the one it was, started once


def test_containers_survive_their_runtime(stories: Shell, namespace: str) -> None:
    stories.apply(pod("main", "sleep", "1000", nodeName="node-2"), namespace=namespace)
    stories.kubectl("wait", "pod/main", "--for=condition=Ready", "--timeout=300s", "-n", namespace)
    before = stories.get("pod", "main", "-n", namespace)["status"]["containerStatuses"][0]["containerID"]
    stories.kill("node-2/containerd")
    until(
        lambda: (
            stories.kubectl("exec", "main", "-n", namespace, "--", "echo", "here", check=False) == "here\n"
        ),
        what="exec after containerd died",
    )
    status = stories.get("pod", "main", "-n", namespace)["status"]["containerStatuses"][0]
    assert (status["containerID"], status["restartCount"]) == (before, 0)
