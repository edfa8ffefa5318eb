"""Nothing happens in a cluster, and so nothing is written but heartbeats: no loop is hot, no controller polls."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kubarium.apimachinery.object import status_of
from kubarium.client.rest import Client
from kubelet.simulated.behaviour import PREFIX
from tests.integration.controller_manager.world import ControllerManager, World, template, workload
from tests.integration.running import ApiServer, Etcd
from tests.integration.scheduler.test_scheduler import SchedulerProcess
from tests.integration.simulated_nodes.program import SimulatedNodes

POLICY = (
    "{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata, omitStages: [RequestReceived]}]}"
)
READS = {"get", "list", "watch"}
SECONDS = 120.0
MANAGER = "kube-controller-manager"


class Audit:
    """What the API server was asked since the last look."""

    def __init__(self, path: Path) -> None:
        self._path, self._place = path, 0

    def asked(self) -> Counter[tuple[str, str, str]]:
        """Program, verb, resource: how often."""
        with self._path.open("rb") as file:
            file.seek(self._place)
            whole, newline, _ = file.read().rpartition(b"\n")  # the rest of a line may be on its way
        self._place += len(whole + newline)
        events = [json.loads(line) for line in whole.splitlines()]
        return Counter(
            (one["userAgent"], one["verb"], (one.get("objectRef") or {}).get("resource") or one["requestURI"])
            for one in events
        )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    """An API server of its own, since it must be asked by nobody else."""
    etcd = Etcd(tmp_path / "etcd")
    etcd.start()
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    flags = (f"--audit-policy-file={policy}", f"--audit-log-path={tmp_path / 'audit.log'}")
    found = ApiServer(tmp_path / "apiserver", etcd.url, None, *flags)
    try:
        found.start()
        yield found
    finally:
        found.stop()
        etcd.stop()


@pytest.fixture
async def quiet(server: ApiServer, tmp_path: Path) -> AsyncIterator[Client]:
    """All of a control plane, two simulated nodes, and a client."""
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "nodes").mkdir()
    with ExitStack() as running:
        manager = ControllerManager(tmp_path / "controllers", server)
        manager.start()
        running.callback(manager.stop)
        scheduler = SchedulerProcess(server, tmp_path / "scheduler")
        scheduler.start()
        running.callback(scheduler.stop)
        nodes = SimulatedNodes(server, tmp_path / "nodes")
        nodes.start(2)
        running.callback(nodes.stop)
        async with server.client() as client:
            yield client


async def test_a_quiet_cluster_writes_nothing_but_heartbeats(quiet: Client, tmp_path: Path) -> None:
    world = World(quiet, "default")
    await world.create(workload("Deployment", replicas=3))
    await world.create(workload("StatefulSet", "db", 1, serviceName="db"))
    await world.create(workload("DaemonSet", "agent", None))
    job = {"template": template("work", restartPolicy="Never")}
    job["template"]["metadata"]["annotations"] = {f"{PREFIX}run-seconds": "0"}
    await world.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work"}, "spec": job})

    async def all_run() -> bool:
        deployment = status_of(await world.get("apps/v1", "deployments", "web"))
        sets = status_of(await world.get("apps/v1", "statefulsets", "db"))
        daemons = status_of(await world.get("apps/v1", "daemonsets", "agent"))
        done = status_of(await world.get("batch/v1", "jobs", "work"))
        seen = deployment.get("availableReplicas"), sets.get("readyReplicas"), daemons.get("numberReady")
        return seen == (3, 1, 2) and done.get("succeeded") == 1

    await world.until(all_run)
    audit, deadline = Audit(tmp_path / "audit.log"), time.monotonic() + SECONDS
    while True:
        audit.asked()
        beats = 0
        found: Counter[tuple[str, str, str]] = Counter()
        while beats < 4:  # the leader renews every two seconds
            await asyncio.sleep(0.5)
            found += audit.asked()
            beats = sum(n for (who, _, what), n in found.items() if (who, what) == (MANAGER, "leases"))
        writes = {key for key in found if key[1] not in READS and key[2] != "leases"}
        if not writes:
            break
        assert time.monotonic() < deadline, f"this cluster never comes to rest: {writes}"
    own = {key: n for key, n in found.items() if key[0] not in ("kube-apiserver", "kubarium-tests")}
    reads = {key: n for key, n in own.items() if key[1] in READS}
    assert sum(reads.values()) <= 12, reads  # discovery of the garbage collector, watches that begin anew
