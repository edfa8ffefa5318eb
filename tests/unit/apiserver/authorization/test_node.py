from __future__ import annotations

from typing import Any

import pytest

from apiserver.authorization.node import NodeAuthorizer, brief
from apiserver.bootstrap.roles import node_rules
from apiserver.request import User, parse_query, parse_request

NODE = User("system:node:n1", groups=("system:nodes", "system:authenticated"))


def make_pod(name: str, node: str | None, **spec: Any) -> dict[str, Any]:
    body = {
        "metadata": {"name": name, "namespace": "d"},
        "spec": {"nodeName": node, "serviceAccountName": "sa", **spec},
    }
    return brief(body)


@pytest.fixture
def nodes() -> NodeAuthorizer:
    found = NodeAuthorizer(node_rules())
    volumes = [
        {"name": "a", "secret": {"secretName": "s1"}}, {"name": "b", "persistentVolumeClaim": {"claimName": "c1"}},
        {"name": "c", "projected": {"sources": [{"configMap": {"name": "m1"}}]}},
    ]  # fmt: skip
    found.graph.put_pod(make_pod("p1", "n1", volumes=volumes))
    found.graph.put_pod(make_pod("p2", "n2", imagePullSecrets=[{"name": "s2"}]))
    found.graph.put_volume(
        {"metadata": {"name": "v1"}, "spec": {"claimRef": {"namespace": "d", "name": "c1"},
                                              "csi": {"nodePublishSecretRef": {"name": "s3", "namespace": "e"}}}}
    )  # fmt: skip
    return found


@pytest.mark.parametrize(
    ("method", "url", "allowed"),
    [
        ("GET", "/api/v1/namespaces/d/secrets/s1", True),
        ("GET", "/api/v1/namespaces/d/secrets/s2", False),
        ("GET", "/api/v1/namespaces/e/secrets/s3", True),
        ("GET", "/api/v1/namespaces/d/secrets", False),
        ("GET", "/api/v1/namespaces/d/secrets?watch=1&fieldSelector=metadata.name%3Ds1", True),
        ("DELETE", "/api/v1/namespaces/d/secrets/s1", False),
        ("GET", "/api/v1/namespaces/d/configmaps/m1", True),
        ("GET", "/api/v1/persistentvolumes/v1", True),
        ("GET", "/api/v1/persistentvolumes/v2", False),
        ("PATCH", "/api/v1/namespaces/d/persistentvolumeclaims/c1/status", True),
        ("POST", "/api/v1/namespaces/d/serviceaccounts/sa/token", True),
        ("POST", "/api/v1/namespaces/d/serviceaccounts/other/token", False),
        ("GET", "/api/v1/namespaces/d/pods/p1", True),
        ("GET", "/api/v1/namespaces/d/pods/p2", False),
        ("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1", True),
        ("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn2", False),
        ("PATCH", "/api/v1/namespaces/d/pods/p1/status", True),
        ("GET", "/api/v1/nodes/n1", True),
        ("GET", "/api/v1/nodes/n2", False),
        ("GET", "/api/v1/services", True),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1", True),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n2", False),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/n1", False),
        ("GET", "/apis/apps/v1/deployments", False),
    ],
)
def test_what_a_node_may(nodes: NodeAuthorizer, method: str, url: str, allowed: bool) -> None:
    path, _, query = url.partition("?")
    info = parse_request(method, path, parse_query(query.encode()))
    assert nodes.authorize(NODE, info).allowed is allowed


def test_a_pod_that_goes_takes_its_needs_along(nodes: NodeAuthorizer) -> None:
    nodes.graph.put_pod(make_pod("p3", "n1", volumes=[{"name": "a", "secret": {"secretName": "s1"}}]))
    info = parse_request("GET", "/api/v1/namespaces/d/secrets/s1", {})
    nodes.graph.remove_pod(make_pod("p1", "n1"))
    assert nodes.authorize(NODE, info).allowed
    nodes.graph.remove_pod(make_pod("p3", "n1"))
    assert not nodes.authorize(NODE, info).allowed


def test_others_are_none_of_its_business(nodes: NodeAuthorizer) -> None:
    info = parse_request("GET", "/api/v1/namespaces/d/secrets/s1", {})
    assert not nodes.authorize(User("system:node:n1"), info).allowed
