"""The scheduler as its own process, with its own credentials, against a real API server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kubarium.apimachinery import conditions
from kubarium.apimachinery.errors import Forbidden, StatusError, Unauthorized
from kubarium.apimachinery.object import Object
from kubarium.client.kubeconfig import ClientConfig
from kubarium.client.rest import Client
from tests.integration.running import ApiServer, Child, free_port

ZONE = "topology.kubernetes.io/zone"
PLAIN = {"Accept": "text/plain"}


class SchedulerProcess:
    """`python -m scheduler` that competes for its lease."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        kubeconfig = server.kubeconfig("system:kube-scheduler", ())
        self._flags = [
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
        ]
        self.child: Child | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "scheduler", *self._flags]
        self.child = Child(command, self._folder / "scheduler.log")

    def stop(self) -> int:
        return self.child.stop() if self.child is not None else 0


@pytest.fixture(scope="module")
def scheduler(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SchedulerProcess]:
    """A running scheduler."""
    process = SchedulerProcess(api_server, tmp_path_factory.mktemp("scheduler"))
    process.start()
    yield process
    assert process.child is not None
    code = process.child.stop()
    log = process.child.log.read_text()
    assert code == 0 and "Traceback" not in log, log[-4000:]


@pytest.fixture
async def pages(scheduler: SchedulerProcess, api_server: ApiServer) -> AsyncIterator[Client]:
    """The scheduler's own pages, for an administrator."""
    async with Client(_own_port(scheduler, api_server.config())) as client:
        await eventually(lambda: _is_ready(client))
        yield client


async def _is_ready(client: Client) -> bool:
    try:
        return bool(await client.request("GET", "/readyz") == "ok")
    except (StatusError, ConnectionError):
        return False


def _own_port(scheduler: SchedulerProcess, config: ClientConfig) -> ClientConfig:
    """Somebody's credentials, shown to the scheduler, whose certificate is its own work."""
    server = f"https://127.0.0.1:{scheduler.port}"
    return replace(config, server=server, ca_data=b"", ca_file="", insecure_skip_tls_verify=True)


async def eventually(look: Callable[[], Awaitable[Any]], seconds: float = 60.0) -> Any:
    """Look until there is something to see."""
    async with asyncio.timeout(seconds):
        while not (seen := await look()):  # noqa: ASYNC110  another process is watched
            await asyncio.sleep(0.02)
    return seen


class World:
    """Nodes and pods of one test."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.namespace = namespace
        self.nodes = client.resource("v1", "nodes")
        self.pods = client.resource("v1", "pods")
        self.events = client.resource("v1", "events")
        self.leases = client.resource("coordination.k8s.io/v1", "leases")
        self._made: list[str] = []

    async def add_node(self, name: str, *, cpu: str = "4", **labels: str) -> None:
        """A node that is ready, with a selector of this test's own."""
        amounts = {"cpu": cpu, "memory": "8Gi", "pods": "110"}
        metadata = {
            "name": name,
            "labels": {"test": self.namespace, "kubernetes.io/hostname": name, **labels},
        }
        node = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
        await self.nodes.create({**node, "status": {"capacity": amounts, "allocatable": amounts}})
        self._made.append(name)
        await self.nodes.patch(name, {"spec": {"taints": None}})

    async def add_pod(self, name: str, *, cpu: str = "1", **spec: Any) -> None:
        """A pod for the nodes of this test."""
        labels = spec.pop("labels", {"app": "web"})
        container = {"name": "main", "image": "busybox", "resources": {"requests": {"cpu": cpu}}}
        spec = {
            "containers": [container],
            "nodeSelector": {"test": self.namespace},
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            **spec,
        }
        metadata = {"name": name, "namespace": self.namespace, "labels": labels}
        await self.pods.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    async def pod(self, name: str) -> Object:
        return await self.pods.get(name, self.namespace)

    async def node_of(self, name: str) -> str:
        return (await self.pod(name))["spec"].get("nodeName") or ""

    async def condition(self, name: str) -> Object:
        found = (await self.pod(name)).get("status") or {}
        return conditions.find(found.get("conditions"), "PodScheduled") or {}

    async def objection(self, name: str, text: str) -> Object | None:
        """The condition, once it speaks of this."""
        found = await self.condition(name)
        return found if text in (found.get("message") or "") else None

    async def messages(self, reason: str) -> list[str]:
        items = (await self.events.list(self.namespace))["items"]
        return [item["message"] for item in items if item["reason"] == reason]

    async def clean(self) -> None:
        await self.pods.delete_collection(self.namespace, grace_period_seconds=0)
        for name in self._made:
            await self.nodes.delete(name)


@pytest.fixture
async def world(client: Client, default_account: str, scheduler: SchedulerProcess) -> AsyncIterator[World]:
    """An empty namespace where pods can be made."""
    made = World(client, default_account)
    yield made
    await made.clean()


async def test_a_pod_gets_a_node_and_hears_of_it(world: World, pages: Client) -> None:
    await world.add_node(f"{world.namespace}-a")
    await world.add_pod("web")
    node = await eventually(lambda: world.node_of("web"))
    assert (await world.condition("web"))["status"] == "True"
    messages = await eventually(lambda: world.messages("Scheduled"))
    assert messages == [f"Successfully assigned {world.namespace}/web to {node}"]
    lease = await world.leases.get("kube-scheduler", "kube-system")
    assert lease["spec"]["holderIdentity"]
    decisions = (await pages.request("GET", f"/debug/decisions/{world.namespace}/web"))["decisions"]
    assert decisions[-1]["node"] == node
    text = await pages.request("GET", "/metrics")
    assert 'scheduler_schedule_attempts_total{profile="default-scheduler",result="scheduled"}' in text
    assert await pages.request("GET", "/readyz") == "ok"


async def test_its_pages_are_for_those_who_may(
    world: World, scheduler: SchedulerProcess, pages: Client, api_server: ApiServer
) -> None:
    nobody = ClientConfig("https://unused", insecure_skip_tls_verify=True)
    async with Client(_own_port(scheduler, nobody)) as stranger:
        assert await stranger.request("GET", "/healthz") == "ok"
        with pytest.raises(Forbidden, match='User "system:anonymous" cannot get path "/metrics"'):
            await stranger.request("GET", "/metrics")
    async with Client(_own_port(scheduler, replace(nobody, token="made up"))) as stranger:
        with pytest.raises(Unauthorized):
            await stranger.request("GET", "/healthz")
    jane = api_server.config("jane", ("system:monitoring",))
    async with Client(_own_port(scheduler, jane)) as monitor:
        assert "scheduler_pending_pods" in await monitor.request("GET", "/metrics")
        with pytest.raises(Forbidden, match='User "jane" cannot get path "/debug/decisions"'):
            await monitor.request("GET", "/debug/decisions")
    configuration = (await pages.request("GET", "/configz"))["kubescheduler.config.k8s.io"]
    assert configuration["podMaxBackoffSeconds"] == 10
    assert "Up: 0 hr" in await pages.request("GET", "/statusz", headers=PLAIN)
    assert f"secure-port={scheduler.port}" in await pages.request("GET", "/flagz", headers=PLAIN)
    assert "set klog.logging.verbosity to 2" in await pages.request("PUT", "/debug/flags/v", body=b"2")
    await pages.request("PUT", "/debug/flags/v", body=b"0")


async def test_a_pod_without_room_waits_for_a_node(world: World) -> None:
    await world.add_node(f"{world.namespace}-a", cpu="1")
    await world.add_pod("large", cpu="3")
    condition = await eventually(lambda: world.objection("large", "1 Insufficient cpu"))
    assert condition["reason"] == "Unschedulable"
    assert await eventually(lambda: world.messages("FailedScheduling"))
    await world.add_node(f"{world.namespace}-b", cpu="4")
    assert await eventually(lambda: world.node_of("large")) == f"{world.namespace}-b"


async def test_pods_are_spread_over_zones_and_kept_apart(world: World) -> None:
    for number in range(4):
        await world.add_node(f"{world.namespace}-{number}", **{ZONE: f"z{number % 2}"})
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}
    apart = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    constraint = {
        "maxSkew": 1,
        "topologyKey": ZONE,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    for number in range(4):
        await world.add_pod(f"web-{number}", affinity=apart, topologySpreadConstraints=[constraint])
    nodes = [await eventually(lambda n=number: world.node_of(f"web-{n}")) for number in range(4)]  # type: ignore[misc]
    assert len(set(nodes)) == 4
    await world.add_pod("web-4", affinity=apart, topologySpreadConstraints=[constraint])
    await eventually(lambda: world.objection("web-4", "didn't match pod anti-affinity rules"))


async def test_an_important_pod_takes_the_place_of_others(world: World, client: Client) -> None:
    classes = client.resource("scheduling.k8s.io/v1", "priorityclasses")
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
    await classes.create({**kind, "metadata": {"name": world.namespace}, "value": 1000})
    await world.add_node(f"{world.namespace}-a", cpu="2")
    for name in ("low-1", "low-2"):
        await world.add_pod(name, cpu="1")
    for name in ("low-1", "low-2"):
        await eventually(lambda name=name: world.node_of(name))  # type: ignore[misc]
    await world.add_pod("vip", cpu="1", priorityClassName=world.namespace)
    assert await eventually(lambda: world.node_of("vip")) == f"{world.namespace}-a"
    assert len((await world.pods.list(world.namespace))["items"]) == 2
    assert "Preempted by pod" in (await eventually(lambda: world.messages("Preempted")))[0]
    await classes.delete(world.namespace)


async def test_a_pod_gets_the_device_that_it_claims(world: World, client: Client) -> None:
    v1 = "resource.k8s.io/v1"
    classes, slices = client.resource(v1, "deviceclasses"), client.resource(v1, "resourceslices")
    claims = client.resource(v1, "resourceclaims")
    name, driver = world.namespace, f"{world.namespace}.example.com"
    for node in ("a", "b"):
        await world.add_node(f"{name}-{node}")
    selector = {"cel": {"expression": f'device.driver == "{driver}" && device.attributes["{driver}"].fast'}}
    await classes.create(
        {
            "apiVersion": v1,
            "kind": "DeviceClass",
            "metadata": {"name": name},
            "spec": {"selectors": [selector]},
        }
    )
    devices = [{"name": f"d-{n}", "attributes": {"fast": {"bool": n == 1}}} for n in range(2)]
    pool = {"name": f"{name}-b", "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": driver, "nodeName": f"{name}-b", "pool": pool, "devices": devices}
    await slices.create({"apiVersion": v1, "kind": "ResourceSlice", "metadata": {"name": name}, "spec": spec})
    request = {"name": "r", "exactly": {"deviceClassName": name}}
    for claim in ("first", "second"):
        body = {"metadata": {"name": claim, "namespace": name}, "spec": {"devices": {"requests": [request]}}}
        await claims.create({"apiVersion": v1, "kind": "ResourceClaim", **body})
    for claim in ("first", "second"):
        wanted = [{"name": "d", "resourceClaimName": claim}]
        await world.add_pod(claim, cpu="100m", resourceClaims=wanted)
        if claim == "first":
            assert await eventually(lambda: world.node_of("first")) == f"{name}-b"
    found = (await claims.get("first", name))["status"]
    assert found["allocation"]["devices"]["results"][0]["device"] == "d-1"
    assert [user["name"] for user in found["reservedFor"]] == ["first"]
    await eventually(lambda: world.objection("second", "2 cannot allocate all claims"))
    found = await claims.get("first", name)
    for key in ("allocation", "reservedFor"):
        found["status"].pop(key)
    await claims.update_status(found)
    await eventually(lambda: world.node_of("second"))
    await slices.delete(name)
    await classes.delete(name)


async def test_gates_and_foreign_schedulers_hold_pods(world: World) -> None:
    await world.add_node(f"{world.namespace}-a")
    await world.add_pod("gated", schedulingGates=[{"name": "example.com/wait"}])
    await world.add_pod("foreign", schedulerName="somebody-else")
    await world.add_pod("mine")
    await eventually(lambda: world.node_of("mine"))
    assert not await world.node_of("gated") and not await world.node_of("foreign")
    assert (await world.condition("gated"))["reason"] == "SchedulingGated"
    await world.pods.patch("gated", {"spec": {"schedulingGates": None}}, world.namespace)
    await eventually(lambda: world.node_of("gated"))


async def test_pods_survive_the_death_of_the_scheduler(world: World, scheduler: SchedulerProcess) -> None:
    await world.add_node(f"{world.namespace}-a")
    await world.add_pod("before")
    await eventually(lambda: world.node_of("before"))
    assert scheduler.child is not None
    scheduler.child.kill()
    await world.add_pod("after")
    await world.leases.delete("kube-scheduler", "kube-system")  # nobody shall wait here until it has run out
    scheduler.start()
    assert await eventually(lambda: world.node_of("after"))
