"""Probes, hooks, ends and beginnings of containers: what upstream's conformance tests ask of these, at the same time.

The pods of all tables are made at once; each story then waits for what must come of its own.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest

from kubarium.client.rest import Client
from tests.cluster import endings, hooked, probed
from tests.cluster.conftest import Shell, until

pytestmark = pytest.mark.cluster

NAMESPACE = "what-pods-go-through"


class Crowd:
    """The pods, and what can be asked about them."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell

    def pod(self, name: str) -> Any:
        async def get(client: Client) -> Any:
            return await client.resource("v1", "pods").get(name, NAMESPACE)

        return self.shell.ask(get)

    def pods(self) -> dict[str, Any]:
        async def listed(client: Client) -> Any:
            return await client.resource("v1", "pods").list(NAMESPACE)

        return {one["metadata"]["name"]: one for one in self.shell.ask(listed)["items"]}

    def answers(self, found: Any, container: str, kind: str, result: str) -> float:
        """How often a probe was answered so, as the node's kubelet counts."""

        async def read(client: Client) -> Any:
            path = f"/api/v1/nodes/{found['spec']['nodeName']}/proxy/metrics/probes"
            return await client.request("GET", path)

        labels = [f'container="{container}"', f'pod_uid="{found["metadata"]["uid"]}"']
        labels += [f'probe_type="{kind}"', f'result="{result}"']
        lines = [line for line in self.shell.ask(read).splitlines() if line.startswith("prober_probe_total")]
        return sum(float(line.split()[-1]) for line in lines if all(label in line for label in labels))


@pytest.fixture(scope="module")
def crowd(stories: Shell) -> Iterator[Crowd]:
    """All pods of all tables."""
    stories.kubectl("create", "namespace", NAMESPACE)
    until(lambda: stories.get("serviceaccount", "default", "-n", NAMESPACE), what="default service account")
    stories.apply(*probed.objects(), *endings.objects(), *hooked.objects(), namespace=NAMESPACE)
    yield Crowd(stories)
    # Some pods have more patience than the cluster.
    stories.kubectl("delete", "pods", "--all", "--now", "--no-wait", "-n", NAMESPACE)
    stories.kubectl("delete", "namespace", NAMESPACE, "--no-wait")


def status_of(found: Any, container: str) -> Any:
    return next(one for one in found["status"]["containerStatuses"] if one["name"] == container)


def time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


@pytest.mark.parametrize("name", probed.PODS)
def test_a_probe_holds_or_falls(crowd: Crowd, name: str) -> None:
    def as_it_should(row: probed.Row, found: Any) -> bool:
        status = status_of(found, row.name)
        if row.outcome == "falls":
            return bool(status["restartCount"])
        assert status["restartCount"] == 0, status
        if row.outcome == "ready":
            return bool(status["ready"])
        result = "successful" if row.outcome == "holds" else "failed"
        return crowd.answers(found, row.name, row.kind, result) >= probed.OFTEN

    rows = probed.PODS[name]
    for row in rows:
        until(lambda row=row: as_it_should(row, crowd.pod(name)), what=f"{name}/{row.name}")
    found = crowd.pod(name)
    for row in rows:
        if row.outcome != "falls":
            status = status_of(found, row.name)
            assert (status["ready"], status["restartCount"]) == (row.outcome != "unready", 0), status
    if name != "falling":  # of which more is to be seen
        crowd.shell.kubectl("delete", "pod", name, "--now", "--no-wait", "-n", NAMESPACE)


def test_a_probe_waits_and_is_less_patient_than_its_pod(crowd: Crowd) -> None:
    found = until(lambda: (it := crowd.pod("late")) and status_of(it, "main")["ready"] and it, what="late")
    ready = next(one for one in found["status"]["conditions"] if one["type"] == "Ready")
    started = status_of(found, "main")["state"]["running"]["startedAt"]
    waited = time(ready["lastTransitionTime"]) - time(started)
    assert waited.total_seconds() >= probed.DELAY and status_of(found, "main")["restartCount"] == 0

    def restarted() -> bool:
        return all(one["restartCount"] for one in crowd.pod("patient")["status"]["containerStatuses"])

    until(restarted, what="containers killed after a second, not after a day")


def test_containers_end_and_begin_as_the_policy_says(crowd: Crowd) -> None:
    waiting = {row.name: row for row in endings.ROWS}
    restarts: dict[str, int] = {}

    def all_seen() -> bool:
        pods = crowd.pods()
        for row in endings.ROWS:
            found = pods[row.name]
            if (found["status"].get("containerStatuses") or []) and row.initialized[0] == "False":
                assert endings.seen(found)[1][-1] == (endings.WAITS, 0)  # always
            if waiting.get(row.name) and endings.is_as_wanted(row, found):
                del waiting[row.name]
        count = status_of(pods["falling"], "http")["restartCount"]
        assert count >= restarts.get("http", 0)
        restarts["http"] = count
        assert not waiting, {name: endings.seen(pods[name]) for name in waiting}
        return count >= 2

    until(all_seen, what="ends and beginnings")


def test_hooks_are_called(crowd: Crowd) -> None:
    found = until(lambda: (it := crowd.pod("hooked"))["status"]["phase"] == "Running" and it, what="hooked")
    node = found["spec"]["nodeName"]
    until(lambda: all(one["ready"] for one in crowd.pod("hooked")["status"]["containerStatuses"]))

    async def delete(client: Client) -> Any:
        return await client.resource("v1", "pods").delete("hooked", NAMESPACE)

    deleted = crowd.shell.ask(delete)["metadata"]
    until(lambda: "hooked" not in crowd.pods(), what="hooked is gone")
    lines = crowd.shell.on_node(node, "cat", f"{hooked.FOLDER}/calls").splitlines()
    ended = int(crowd.shell.on_node(node, "cat", f"{hooked.FOLDER}/term-sleep"))
    crowd.shell.on_node(node, "rm", "-r", hooked.FOLDER)
    assert sorted(lines[:3]) == sorted(hooked.CALLED[:3]) and sorted(lines[3:]) == sorted(hooked.CALLED[3:])
    asked = time(deleted["deletionTimestamp"]).timestamp() - deleted["deletionGracePeriodSeconds"]
    assert ended - asked >= hooked.SLEEP
