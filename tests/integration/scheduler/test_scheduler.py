"""The scheduler as its own process, with its own credentials, against a real API server."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kubarium.apimachinery.errors import Forbidden, Unauthorized
from kubarium.client.kubeconfig import ClientConfig
from kubarium.client.rest import Client
from tests.integration.running import ApiServer
from tests.integration.scheduler.world import ZONE, SchedulerProcess, World, eventually

PLAIN = {"Accept": "text/plain"}


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
    for event in ("NodeAdd", "UnscheduledPodAdd"):
        assert f'scheduler_event_handling_duration_seconds_count{{event="{event}"}}' in text
    assert await pages.request("GET", "/readyz") == "ok"


async def test_its_pages_are_for_those_who_may(
    world: World, scheduler: SchedulerProcess, pages: Client, api_server: ApiServer
) -> None:
    nobody = ClientConfig("https://unused", insecure_skip_tls_verify=True)
    async with Client(scheduler.pages_as(nobody)) as stranger:
        assert await stranger.request("GET", "/healthz") == "ok"
        with pytest.raises(Forbidden, match='User "system:anonymous" cannot get path "/metrics"'):
            await stranger.request("GET", "/metrics")
    async with Client(scheduler.pages_as(replace(nobody, token="made up"))) as stranger:
        with pytest.raises(Unauthorized):
            await stranger.request("GET", "/healthz")
    jane = api_server.config("jane", ("system:monitoring",))
    async with Client(scheduler.pages_as(jane)) as monitor:
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


async def test_a_second_scheduler_works_beside_the_first(
    world: World, api_server: ApiServer, tmp_path: Path
) -> None:
    """Two profiles of one process; each takes the pods that name it."""
    emptier, fuller = f"{world.namespace}-emptier", f"{world.namespace}-fuller"
    await world.add_node(fuller)
    await world.add_pod("packed", schedulerName="packing")
    await world.add_pod("mine")
    assert await eventually(lambda: world.node_of("mine")) == fuller
    assert not await world.node_of("packed")
    await world.add_node(emptier)
    fit = {"scoringStrategy": {"type": "MostAllocated", "resources": [{"name": "cpu", "weight": 1}]}}
    packing = {
        "schedulerName": "packing",
        "plugins": {"score": {"disabled": [{"name": "NodeResourcesBalancedAllocation"}]}},
        "pluginConfig": [{"name": "NodeResourcesFit", "args": fit}],
    }
    configuration = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "profiles": [packing, {"schedulerName": "spreading"}],
    }
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps(configuration))
    second = SchedulerProcess(api_server, tmp_path, f"--config={file}")
    second.start()
    try:
        assert await eventually(lambda: world.node_of("packed")) == fuller
        await world.add_pod("spread", schedulerName="spreading")
        assert await eventually(lambda: world.node_of("spread")) == emptier

        async def told() -> set[str]:
            events = (await world.events.list(world.namespace))["items"]
            found = {one["reportingComponent"] for one in events if one["reason"] == "Scheduled"}
            return found if len(found) == 3 else set()

        assert await eventually(told) == {"default-scheduler", "packing", "spreading"}
    finally:
        second.stop()


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
