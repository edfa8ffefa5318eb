"""A pod gets a node, an address and its configuration; its output and its exit code come back."""

from __future__ import annotations

import json

import jwt
import pytest

from tests.cluster.conftest import NGINX, Shell, until
from tests.cluster.objects import pod

pytestmark = pytest.mark.cluster


def test_the_basics_answer(stories: Shell) -> None:
    nodes = stories.get("nodes")["items"]
    assert [node["metadata"]["name"] for node in nodes] == ["node-1", "node-2", "node-3"]
    assert "is running at" in stories.kubectl("cluster-info")
    assert "deployments" in stories.kubectl("api-resources")
    until(lambda: "Running" in stories.kubectl("get", "pods", "-A"), what="a pod of the cluster itself")
    until(lambda: "Ready" in stories.kubarium("status"), what="status")
    assert stories.kubarium("node", "exec", "node-2", "--", "hostname") == "node-2\n"


def test_a_pod_runs_to_its_end(stories: Shell, namespace: str) -> None:
    stories.apply(pod("once", "sh", "-c", "echo out; exit 3", restartPolicy="Never"), namespace=namespace)
    until(lambda: stories.get("pod", "once", "-n", namespace)["status"]["phase"] == "Failed")
    status = stories.get("pod", "once", "-n", namespace)["status"]
    ended = status["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")
    until(lambda: stories.kubectl("logs", "once", "-n", namespace) == "out\n", what="what it said")


def test_a_pod_sees_its_configuration(stories: Shell, namespace: str) -> None:
    stories.kubectl("create", "configmap", "page", "--from-literal=a=1", "-n", namespace)
    stories.kubectl("create", "secret", "generic", "hidden", "--from-literal=b=2", "-n", namespace)
    made = pod(
        "told",
        "sh",
        "-c",
        "echo $A $B $NAME $(cat /etc/page/a) $(ls /var/run/secrets/kubernetes.io/serviceaccount); sleep 1000",
        volumes=[{"name": "page", "configMap": {"name": "page"}}],
    )
    made["spec"]["containers"][0] |= {
        "image": NGINX,
        "env": [
            {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "page", "key": "a"}}},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "b"}}},
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "volumeMounts": [{"name": "page", "mountPath": "/etc/page"}],
    }
    stories.apply(made, namespace=namespace)
    stories.kubectl("wait", "pod/told", "--for=condition=Ready", "--timeout=300s", "-n", namespace)
    text = until(lambda: stories.kubectl("logs", "told", "-n", namespace))
    assert text == "1 2 told 1 ca.crt namespace token\n"
    _knows_who_says_who_it_is(stories, namespace)


def _knows_who_says_who_it_is(stories: Shell, namespace: str) -> None:
    """With its token a pod may read who issues tokens, and by which keys they are known (OpenID Connect)."""
    script = """
        cd /var/run/secrets/kubernetes.io/serviceaccount; cat token
        for path in .well-known/openid-configuration openid/v1/jwks; do
            echo; curl -sS -m 60 --cacert ca.crt -H "Authorization: Bearer $(cat token)" https://kubernetes.default.svc/$path
        done"""
    inside = ("exec", "told", "-n", namespace, "--", "sh", "-c", script)
    token, told, keys = until(
        lambda: len(lines := stories.kubectl(*inside).split("\n")) == 3 and lines, what="keys of the issuer"
    )
    about = json.loads(told)
    (key,) = jwt.PyJWKSet.from_json(keys).keys
    claims = jwt.decode(token, key, ["RS256"], audience=about["issuer"], issuer=about["issuer"])
    assert claims["sub"] == f"system:serviceaccount:{namespace}:default"
    assert (
        about["jwks_uri"].endswith("/openid/v1/jwks")
        and key.key_id == jwt.get_unverified_header(token)["kid"]
    )


def test_one_can_work_inside_a_pod(stories: Shell, namespace: str) -> None:
    stories.apply(pod("room", "sleep", "1000"), namespace=namespace)
    stories.kubectl("wait", "pod/room", "--for=condition=Ready", "--timeout=300s", "-n", namespace)
    inside = ("exec", "room", "-n", namespace, "--")
    assert stories.kubectl(*inside, "hostname") == "room\n"
    assert "command terminated with exit code 7" in stories.kubectl(
        *inside, "sh", "-c", "exit 7", check=False
    )
    assert stories.kubectl(*inside, "sh", "-c", "seq 100000 | wc -l").strip() == "100000"
    stories.kubectl("delete", "pod", "room", "-n", namespace)
    assert "NotFound" in stories.kubectl("get", "pod", "room", "-n", namespace, check=False)
