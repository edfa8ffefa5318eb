"""One name, one address, three replicas on three nodes."""

from __future__ import annotations

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

    name = pods[0]["metadata"]["name"]
    for host in ("web", f"web.{namespace}.svc.cluster.local"):
        command = ("exec", name, "-n", namespace, "--", "curl", "-s", "-m", "20", f"http://{host}/")
        until(lambda command=command: stories.kubectl(*command) == "welcome", what=f"page of {host}")


def test_a_service_without_endpoints_refuses_at_once(stories: Shell, namespace: str) -> None:
    stories.apply(service("empty"), namespace=namespace)
    address = stories.get("service", "empty", "-n", namespace)["spec"]["clusterIP"]
    refused = "curl -s -m 10 $0 || echo $?"  # 7 is curl's "failed to connect", 28 its "timed out"
    until(
        lambda: stories.on_node("node-1", "sh", "-c", refused, f"http://{address}/") == "7\n", what="refusal"
    )
