"""The other ways to a Service: an address for the world, names of single pods, and a client that stays with its pod."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.cluster.conftest import Shell, until
from tests.cluster.objects import service, web

pytestmark = pytest.mark.cluster


def from_the_machine(url: str) -> str:
    done = subprocess.run(["curl", "-s", "-m", "10", url], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def routes() -> list[str]:
    return subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout.split()


def test_a_load_balancer_has_an_address_for_the_world(stories: Shell, namespace: str) -> None:
    balanced = service(type="LoadBalancer")
    stories.apply(web(replicas=2), balanced, service("local") | _local_policy(), namespace=namespace)
    stories.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=300s")

    def address_of(name: str) -> str:
        status = stories.get("service", name, "-n", namespace)["status"]
        return str(status["loadBalancer"]["ingress"][0]["ip"])

    address = until(lambda: address_of("web"), what="address of the load balancer")
    names = {pod["metadata"]["name"] for pod in stories.get("pods", "-n", namespace)["items"]}
    until(lambda: from_the_machine(f"http://{address}/name") in names, what="answer from the machine")

    # One of three nodes has no pod of the Service: nothing is sent there.
    local = until(lambda: address_of("local"), what="address with the policy Local")
    until(
        lambda: all(from_the_machine(f"http://{local}/name") in names for _ in range(6)),
        what="only nodes with pods",
    )

    stories.kubectl("delete", "service", "web", "-n", namespace)
    until(lambda: not from_the_machine(f"http://{address}/name"), what="address given back")
    until(lambda: address not in routes(), what="its route removed")


def _local_policy() -> Any:
    port = {"port": 80, "targetPort": "http"}
    return {
        "spec": {
            "type": "LoadBalancer", "externalTrafficPolicy": "Local", "selector": {"app": "web"}, "ports": [port],
        }
    }  # fmt: skip


def test_the_pods_of_a_headless_service_have_names(stories: Shell, namespace: str) -> None:
    made = web(replicas=2)
    made["kind"] = "StatefulSet"
    made["spec"] |= {"serviceName": "web", "podManagementPolicy": "Parallel"}
    stories.apply(made, service(clusterIP="None"), namespace=namespace)
    stories.kubectl("rollout", "status", "statefulset/web", "-n", namespace, "--timeout=300s")

    def seen_by_a_pod(*command: str) -> list[str]:
        return stories.kubectl("exec", "web-0", "-n", namespace, "--", *command).split()

    for number in (0, 1):
        wanted = [f"web-{number}"]
        url = f"http://web-{number}.web/name"
        until(
            lambda url=url, wanted=wanted: seen_by_a_pod("curl", "-s", "-m", "20", url) == wanted,
            what=f"name of pod {number}",
        )
    addresses = {pod["status"]["podIP"] for pod in stories.get("pods", "-n", namespace)["items"]}
    full = f"web.{namespace}.svc.cluster.local"
    until(lambda: addresses <= set(seen_by_a_pod("nslookup", full)), what="both addresses behind one name")


def of_controller(kind: str, replicas: int) -> Any:
    """Pods of the service `web` that no deployment stands above."""
    made = web(kind.lower(), replicas)
    labels = {"app": "web", "of": kind}
    made["kind"] = kind
    made["spec"]["template"]["metadata"]["labels"] = labels
    made["spec"]["selector"] = {"matchLabels": labels}
    if kind == "ReplicationController":
        made["apiVersion"], made["spec"]["selector"] = "v1", labels
    return made


def test_a_client_stays_with_its_pod_while_affinity_lasts(stories: Shell, namespace: str) -> None:
    stories.apply(
        of_controller("ReplicaSet", 2),
        of_controller("ReplicationController", 2),
        service(type="NodePort", sessionAffinity="ClientIP"),
        namespace=namespace,
    )

    def all_ready() -> list[Any] | None:
        found = [stories.get(kind, "-n", namespace)["items"][0] for kind in ("rs", "rc")]
        is_so = all(one["status"].get("readyReplicas") == 2 for one in found)
        return stories.get("pods", "-n", namespace)["items"] if is_so else None

    pods = until(all_ready, what="pods of both controllers")
    assert len(pods) == 4
    for one in pods:  # each replica serves, and serves its own name
        (said,) = stories.curl("node-2", f"http://{one['status']['podIP']}/name")
        assert said == one["metadata"]["name"]
    spec = stories.get("service", "web", "-n", namespace)["spec"]
    url = f"http://{spec['clusterIP']}/name"
    until(lambda: _seen(stories, url) == 1, what="one pod for one client")

    stories.kubectl("patch", "service", "web", "-n", namespace, "-p", '{"spec":{"sessionAffinity":"None"}}')
    until(lambda: _seen(stories, url) > 1, what="many pods once affinity is off")


def _seen(stories: Shell, url: str) -> int:
    return len(set(stories.curl("node-1", url, times=24)))
