"""NetworkPolicies: who is not allowed in stays outside, on the same node and on another; a label lets in."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.conftest import NGINX, Shell, until
from tests.cluster.objects import pod, service, web

pytestmark = pytest.mark.cluster


def policy(name: str, **spec: Any) -> Any:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


def test_policies_keep_pods_apart(stories: Shell, namespace: str) -> None:
    clients = [pod(f"on-{node}", "sleep", "600", nodeName=node) for node in ("node-1", "node-2")]
    for client in clients:
        client["spec"]["containers"][0]["image"] = NGINX  # it has curl
    deployment = web(replicas=1)
    deployment["spec"]["template"]["spec"]["nodeName"] = "node-1"
    stories.apply(deployment, service(), *clients, namespace=namespace)
    stories.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=300s")
    for client in ("on-node-1", "on-node-2"):
        stories.kubectl("wait", f"pod/{client}", "-n", namespace, "--for=condition=Ready", "--timeout=300s")

    def reaches(client: str) -> bool:
        fetch = ["exec", client, "-n", namespace, "--", "curl", "-s", "-m", "3", "http://web/name"]
        return "web-" in stories.kubectl(*fetch, check=False)

    def reach(**expected: bool) -> None:
        for client, wanted in expected.items():
            name = client.replace("_", "-")
            until(
                lambda name=name, wanted=wanted: reaches(name) == wanted, what=f"{name} reaches web: {wanted}"
            )

    reach(on_node_1=True, on_node_2=True)
    web_ip = "jsonpath={.spec.clusterIP}"
    address = stories.kubectl("get", "service", "web", "-n", namespace, "-o", web_ip).strip()
    stories.apply(policy("nobody", podSelector={}, policyTypes=["Ingress"]), namespace=namespace)
    reach(on_node_1=False, on_node_2=False)

    friends = {"from": [{"podSelector": {"matchLabels": {"friend": "yes"}}}], "ports": [{"port": "http"}]}
    selector = {"matchLabels": {"app": "web"}}
    stories.apply(policy("friends", podSelector=selector, ingress=[friends]), namespace=namespace)
    stories.kubectl("label", "pod", "on-node-2", "-n", namespace, "friend=yes")
    reach(on_node_2=True, on_node_1=False)
    stories.kubectl("wait", "deployment/web", "-n", namespace, "--for=condition=Available", "--timeout=300s")

    only_names = {"to": [{"namespaceSelector": {}}], "ports": [{"port": 53, "protocol": "UDP"}]}
    quiet = policy(
        "quiet", podSelector={"matchLabels": {"friend": "yes"}}, egress=[only_names], policyTypes=["Egress"]
    )
    stories.apply(quiet, namespace=namespace)
    reach(on_node_2=False)
    hasty = pod("hasty", "sh", "-c", f"curl -s -m 3 http://{address}/name || echo refused", nodeName="node-2")
    hasty["metadata"]["labels"] = {"friend": "yes"}  # isolated from its first packet on
    hasty["spec"]["containers"][0]["image"] = NGINX
    hasty["spec"]["restartPolicy"] = "Never"
    stories.apply(hasty, namespace=namespace)
    ended = "--for=jsonpath={.status.phase}=Succeeded"
    stories.kubectl("wait", "pod/hasty", "-n", namespace, ended, "--timeout=300s")
    assert stories.kubectl("logs", "hasty", "-n", namespace).strip() == "refused"
    stories.kubectl("delete", "networkpolicy", "--all", "-n", namespace)
    reach(on_node_1=True, on_node_2=True)
