"""A new version replaces the old one, and back, while requests go on: none fails."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kubarium.cluster import processes, state
from tests.cluster.conftest import Shell, until
from tests.cluster.objects import service, web

pytestmark = pytest.mark.cluster

LOOP = 'while :; do curl -s -m 60 -o /dev/null -w "%{http_code}\\n" "$0"; sleep 0.03; done'


@contextmanager
def steady_requests(stories: Shell, node: str, url: str) -> Iterator[list[str]]:
    """Ask for a page again and again from inside a node; the list fills with status codes."""
    cluster = state.load(stories.home, stories.name)
    assert cluster is not None
    pid = processes.node_pid(cluster, next(each for each in cluster.nodes if each.name == node))
    argv = ["nsenter", "--target", str(pid), "--net", "sh", "-c", LOOP, url]
    codes: list[str] = []
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = process.stdout
        reader = threading.Thread(target=lambda: codes.extend(line.strip() for line in lines))
        reader.start()
        try:
            yield codes
        finally:
            process.terminate()
            process.wait()
            reader.join()


def pages(stories: Shell, address: str) -> set[str]:
    return set(stories.curl("node-2", f"http://{address}/version.txt", times=6))


def test_no_request_fails_during_an_update(stories: Shell, namespace: str) -> None:
    for version in ("one", "two"):
        literal = f"--from-literal=version.txt={version}"
        stories.kubectl("create", "configmap", version, literal, "-n", namespace)

    def deployment(version: str) -> object:
        made = web(volumes=[{"name": "page", "configMap": {"name": version}}])
        container = made["spec"]["template"]["spec"]["containers"][0]
        container["volumeMounts"] = [{"name": "page", "mountPath": "/usr/share/nginx/html"}]
        # As long as a slow machine may need to tell all nodes that a pod leaves. Nobody waits for those that leave.
        container["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", "12"]}}}
        return made

    rollout = ("rollout", "status", "deployment/web", "-n", namespace, "--timeout=300s")
    stories.apply(deployment("one"), service(), namespace=namespace)
    stories.kubectl(*rollout)
    address = stories.get("service", "web", "-n", namespace)["spec"]["clusterIP"]
    until(lambda: pages(stories, address) == {"one"}, what="the first version")
    with steady_requests(stories, "node-1", f"http://{address}/version.txt") as codes:
        stories.apply(deployment("two"), namespace=namespace)
        stories.kubectl(*rollout)
        until(lambda: pages(stories, address) == {"two"}, what="the second version")
        stories.kubectl("rollout", "undo", "deployment/web", "-n", namespace)
        stories.kubectl(*rollout)
        until(lambda: pages(stories, address) == {"one"}, what="the first version again")
        until(lambda: len(codes) > 50, what="many requests")
    assert set(codes) == {"200"}, {code: codes.count(code) for code in set(codes)}
