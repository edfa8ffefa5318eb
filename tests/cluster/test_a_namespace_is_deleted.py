"""Scaling up and down, and taking a namespace away with everything in it, containers included."""

from __future__ import annotations

import os
import subprocess

import pytest

from kubarium.cluster import state
from tests.cluster.conftest import Shell, until
from tests.cluster.objects import service, web

pytestmark = pytest.mark.cluster


def containers(stories: Shell, name: str) -> list[str]:
    """Containers of a namespace, as the runtimes see them."""
    found = []
    for node in ("node-1", "node-2", "node-3"):
        label = f'labels."io.kubernetes.pod.namespace"=={name}'
        found += stories.on_node(node, "ctr", "-n", "k8s.io", "containers", "list", "-q", label).split()
    return found


def test_a_namespace_takes_everything_with_it(stories: Shell, namespace: str) -> None:
    stories.apply(web(replicas=1), service(), namespace=namespace)
    stories.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=300s")
    stories.kubectl("scale", "deployment/web", "--replicas=4", "-n", namespace)
    stories.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=300s")
    pods = stories.get("pods", "-n", namespace)["items"]
    known = {
        each["containerID"].partition("//")[2] for pod in pods for each in pod["status"]["containerStatuses"]
    }
    found = set(containers(stories, namespace))
    assert len(known) == 4 and known < found and len(found) >= 8  # with their sandboxes
    stories.kubectl("delete", "namespace", namespace)
    assert "NotFound" in stories.kubectl("get", "namespace", namespace, check=False)
    until(lambda: not containers(stories, namespace), what="containers gone")
    until(lambda: namespace not in keys(stories), what="no key of the namespace")


def test_etcd_holds_upstreams_keys(stories: Shell, namespace: str) -> None:
    stories.apply(web(replicas=1), namespace=namespace)
    stories.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=300s")
    found = keys(stories)
    assert f"/registry/deployments/{namespace}/web\n" in found
    assert f"/registry/pods/{namespace}/web-" in found
    assert "/registry/services/specs/default/kubernetes\n" in found
    assert "/registry/minions/node-1\n" in found


def keys(stories: Shell) -> str:
    cluster = state.load(stories.home, stories.name)
    assert cluster is not None
    pki = cluster.pki / "etcd"
    argv = ["etcdctl", f"--endpoints=https://127.0.0.1:{cluster.ports['etcd']}", f"--cacert={pki}/ca.crt"]
    argv += [f"--cert={pki}/healthcheck-client.crt", f"--key={pki}/healthcheck-client.key"]
    argv += ["--dial-timeout=60s", "--command-timeout=60s", "get", "--prefix", "/registry", "--keys-only"]
    environment = {**os.environ, "ETCDCTL_API": "3"}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout
