"""One name, one address, three replicas on three nodes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.conftest import Shell, all_nodes_take_pods, until
from tests.cluster.objects import service, web

pytestmark = pytest.mark.cluster


def names_behind(stories: Shell, node: str, url: str) -> set[str]:
    return set(stories.curl(node, url, times=24))


def test_a_service_is_reached_from_everywhere(stories: Shell, namespace: str) -> None:
    all_nodes_take_pods(stories)
    stories.kubectl("create", "configmap", "page", "--from-literal=index.html=welcome", "-n", namespace)
    made = web(volumes=[{"name": "page", "configMap": {"name": "page"}}])
    container = made["spec"]["template"]["spec"]["containers"][0]
    container["volumeMounts"] = [{"name": "page", "mountPath": "/usr/share/nginx/html"}]
    stories.apply(made, service(type="NodePort"), namespace=namespace)
    stories.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=300s")
    pods = stories.get("pods", "-n", namespace, "-l", "app=web")["items"]
    assert {pod["spec"]["nodeName"] for pod in pods} == {"node-1", "node-2", "node-3"}
    wanted = {pod["metadata"]["name"] for pod in pods}

    found = stories.get("service", "web", "-n", namespace)["spec"]
    address, port = found["clusterIP"], found["ports"][0]["nodePort"]
    until(lambda: names_behind(stories, "node-1", f"http://{address}/name") == wanted, what="cluster IP")
    own = stories.on_node("node-2", "hostname", "-i").split()[0]
    until(lambda: names_behind(stories, "node-2", f"http://{own}:{port}/name") == wanted, what="node port")
    until(lambda: stories.curl("node-3", f"http://{address}/") == ["welcome"], what="page from node-3")

    _slices_are_made_by_hand(stories, namespace, pods)
    name = pods[0]["metadata"]["name"]
    for host in ("web", f"web.{namespace}.svc.cluster.local"):
        command = ("exec", name, "-n", namespace, "--", "curl", "-s", "-m", "20", f"http://{host}/")
        until(lambda command=command: stories.kubectl(*command) == "welcome", what=f"page of {host}")


def _slices_are_made_by_hand(stories: Shell, namespace: str, pods: list[Any]) -> None:
    """A Service without a selector: each of its ports leads where any of its slices says."""
    first, *others = pods

    def slice_of(name: str, port: str, *some: Any) -> Any:
        labels = {"kubernetes.io/service-name": "by-hand", "endpointslice.kubernetes.io/managed-by": "me"}
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": port, "port": 80}],
            "endpoints": [{"addresses": [one["status"]["podIP"]]} for one in some],
        }

    ports = [{"name": "all", "port": 80}, {"name": "one", "port": 8080, "targetPort": 80}]
    stories.apply(
        service("by-hand", selector=None, ports=ports),
        slice_of("by-hand-1", "all", first),
        slice_of("by-hand-2", "all", *others),
        slice_of("by-hand-3", "one", first),
        namespace=namespace,
    )
    address = stories.get("service", "by-hand", "-n", namespace)["spec"]["clusterIP"]
    everybody = {one["metadata"]["name"] for one in pods}
    until(lambda: names_behind(stories, "node-1", f"http://{address}/name") == everybody, what="all slices")
    only = {first["metadata"]["name"]}
    until(lambda: names_behind(stories, "node-3", f"http://{address}:8080/name") == only, what="third slice")


def test_a_service_without_endpoints_refuses_at_once(stories: Shell, namespace: str) -> None:
    stories.apply(service("empty"), namespace=namespace)
    address = stories.get("service", "empty", "-n", namespace)["spec"]["clusterIP"]
    refused = "curl -s -m 10 $0 || echo $?"  # 7 is curl's "failed to connect", 28 its "timed out"
    until(
        lambda: stories.on_node("node-1", "sh", "-c", refused, f"http://{address}/") == "7\n", what="refusal"
    )
