"""A whole kubelet on an API server and a runtime in memory: what happens to a pod from end to end."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import math
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import prometheus_client
import pytest

from kubarium.apimachinery import conditions
from kubarium.apimachinery.object import Object
from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import FakeClock
from kubelet.kubelet import Kubelet
from kubelet.options import Options
from kubelet.pod_workers import PACE
from kubelet.pods.admission import Refusal
from kubelet.pods.source_files import FileSource
from kubelet.resources.cgroups import Cgroups
from kubelet.runtime import interface
from kubelet.runtime.fake import FakeRuntime
from kubelet.runtime.interface import ContainerRuntimeError, ExecResult, Unavailable
from kubelet.runtime.state import PodState
from tests.unit.kubelet.making import make_container, make_pod


class Node:
    """A kubelet under test, and what the test looks at."""

    def __init__(self, folder: Path, clock: FakeClock, api: FakeAPI, runtime: FakeRuntime) -> None:
        self.clock, self.api, self.runtime = clock, api, runtime
        options = Options(
            hostname_override="node-1",
            node_ip="192.0.2.1",
            root_dir=str(folder / "root"),
            pod_logs_dir=str(folder / "logs"),
            pod_manifest_path=str(folder / "manifests"),
            cluster_domain="cluster.local",
        )
        (folder / "manifests").mkdir(exist_ok=True)
        (folder / "cgroup").mkdir(exist_ok=True)
        (folder / "cgroup/cgroup.controllers").touch()
        self.client = api.client()
        self.kubelet = Kubelet(options, self.client, runtime, clock, cgroups=Cgroups("/", folder / "cgroup"))
        self._tasks: list[asyncio.Task[Any]] = []

    async def start(self) -> None:
        kubelet = self.kubelet
        loops = [kubelet.recorder.run(), kubelet.informers.run(), kubelet.reporter.run(), kubelet.lease.run()]
        loops += [
            kubelet.pleg.run(),
            kubelet.pleg.listen(),
            kubelet.statuses.run(),
            kubelet.statuses.reconcile(),
        ]
        loops += [kubelet.loop.tick(), kubelet._run_loop(), kubelet.leftovers.run()]
        self._tasks = [asyncio.create_task(loop) for loop in loops]
        await self.until(lambda: bool(self.api.objects("v1", "nodes")))

    async def stop(self) -> None:
        await self.kubelet.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.client.close()

    async def until(self, is_so: Callable[[], Any], seconds: float = 60.0) -> None:
        """Turn the clock until it is so."""
        for _ in range(int(seconds / 0.25)):
            if is_so():
                return
            await self.clock.advance(0.25)
        raise AssertionError(f"still not so after {seconds} s: {[pod['status'] for pod in self.pods()]}")

    def pods(self) -> list[Object]:
        return self.api.objects("v1", "pods")

    def status(self, name: str = "web") -> Object:
        status: Object = self.api.get("v1", "pods", "default", name).get("status") or {}
        return status

    def is_ready(self, name: str = "web") -> bool:
        found = conditions.find(self.status(name).get("conditions"), "Ready")
        return found is not None and found["status"] == "True"

    def first(self, name: str = "web") -> Object:
        status: Object = (self.status(name).get("containerStatuses") or [{}])[0]
        return status

    def events(self) -> set[str]:
        return {event["reason"] for event in self.api.objects("v1", "events")}

    def calls(self, name: str) -> list[tuple[Any, ...]]:
        return [call for call in self.runtime.calls if call[0] == name]


@pytest.fixture
async def node(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Node]:
    node = Node(tmp_path, clock, FakeAPI(clock=clock), FakeRuntime(clock))
    node.runtime.add_image("busybox:1")
    await node.start()
    yield node
    await node.stop()


async def test_the_node_is_registered(node: Node) -> None:
    found = node.api.get("v1", "nodes", "", "node-1")
    assert found["metadata"]["labels"]["kubernetes.io/hostname"] == "node-1"
    assert found["status"]["addresses"][0] == {"type": "InternalIP", "address": "192.0.2.1"}
    assert conditions.is_true(found, "Ready") and found["status"]["allocatable"]["pods"] == "110"
    await node.until(lambda: node.api.objects("coordination.k8s.io/v1", "leases"))


async def test_a_pod_runs(node: Node) -> None:
    node.api.put(make_pod())
    await node.until(node.is_ready)
    status = node.status()
    assert (
        status["phase"] == "Running"
        and status["hostIP"] == "192.0.2.1"
        and status["podIP"].startswith("10.0.0.")
    )
    await node.until(lambda: {"Pulled", "Created", "Started"} <= node.events())


async def test_what_is_told_of_an_image_that_is_not_there(node: Node) -> None:
    node.api.put(make_pod(make_container(image="none:1", imagePullPolicy="Never")))
    await node.until(lambda: {"ErrImageNeverPull", "Failed"} <= node.events())
    said = {event["message"] for event in node.api.objects("v1", "events") if event["reason"] == "Failed"}
    assert said == {"Error: ErrImageNeverPull"}


async def test_a_node_that_is_cordoned_is_told_of(node: Node) -> None:
    for closed, reason in ((True, "NodeNotSchedulable"), (False, "NodeSchedulable")):
        found = node.api.get("v1", "nodes", "", "node-1")
        node.api.put({**found, "spec": {**(found.get("spec") or {}), "unschedulable": closed}})
        await node.until(lambda reason=reason: reason in node.events())  # type: ignore[misc]


async def test_what_a_pods_life_adds_to_the_metrics(node: Node) -> None:
    before = measured()
    node.api.put(make_pod(volumes=[{"name": "v", "emptyDir": {}}]))
    await node.until(node.is_ready)
    grown = {name for name, value in measured().items() if value > before.get(name, 0.0)}
    assert {
        "kubelet_started_pods_total",
        'kubelet_started_containers_total{"container_type": "container"}',
        'kubelet_run_podsandbox_duration_seconds_count{"runtime_handler": ""}',
        'kubelet_pod_worker_duration_seconds_count{"operation_type": "create"}',
        "kubelet_pod_worker_start_duration_seconds_count",
        "kubelet_pod_start_duration_seconds_count",
        "kubelet_pod_start_total_duration_seconds_count",
        "kubelet_pod_start_sli_duration_seconds_count",
        "kubelet_pod_status_sync_duration_seconds_count",
        "kubelet_containers_per_pod_count_count",
        'kubelet_cgroup_manager_duration_seconds_count{"operation_type": "create"}',
    } <= grown
    now = measured()
    assert now['kubelet_working_pods{"config": "desired", "lifecycle": "sync", "static": ""}'] == 1
    assert now['kubelet_working_pods{"config": "orphan", "lifecycle": "terminated", "static": "true"}'] == 0
    assert now['kubelet_desired_pods{"static": ""}'] == now['kubelet_active_pods{"static": ""}'] == 1
    place = '{"plugin_name": "kubernetes.io/empty-dir", "state": "actual_state_of_world"}'
    assert now[f"volume_manager_total_volumes{place}"] == 1
    assert now["kubelet_certificate_manager_client_ttl_seconds"] == math.inf
    assert now["kubelet_cgroup_version"] == 2 and now["kubelet_mirror_pods"] == 0


def measured() -> dict[str, float]:
    return {
        one.name + (json.dumps(one.labels, sort_keys=True) if one.labels else ""): one.value
        for metric in prometheus_client.REGISTRY.collect()
        for one in metric.samples
    }


async def test_a_pod_that_runs_is_not_looked_at_again_for_its_own_start(node: Node) -> None:
    looks: list[str] = []
    look = node.kubelet.manager.state

    async def counted(uid: str) -> PodState:
        looks.append(uid)
        return await look(uid)

    node.kubelet.manager.state = counted  # type: ignore[method-assign]
    node.api.put(make_pod())
    await node.until(node.is_ready)
    for _ in range(20):  # five lists of the runtime
        await node.clock.advance(0.25)
    assert looks == ["uid-1"], "once, after the start"
    node.runtime.finish("uid-1", "main")
    await node.until(lambda: node.first()["restartCount"] == 1)


async def test_new_pods_begin_one_after_another(node: Node) -> None:
    await node.clock.advance(1.0)
    for name in "abc":
        node.api.put(make_pod(name=name, uid=name))
    began: dict[str, float] = {}
    for _ in range(100):
        await node.clock.advance(PACE / 2)
        for _, name in node.calls("run_sandbox"):
            began.setdefault(name, node.clock.monotonic())
    assert len(began) == 3 and began["a"] < began["b"] < began["c"]


async def test_a_sidecar_is_followed_at_once(node: Node) -> None:
    sidecars = [make_container(name, restartPolicy="Always") for name in ("first", "second")]
    node.api.put(make_pod(initContainers=sidecars))
    await node.until(lambda: len(node.calls("start_container")) == 3, seconds=1.5)
    await node.until(node.is_ready)


async def test_init_containers_come_first(node: Node) -> None:
    node.api.put(make_pod(initContainers=[make_container("i"), make_container("j")]))
    for name in ("i", "j"):
        await node.until(lambda name=name: node.calls("start_container")[-1:] == [("start_container", name)])
        assert node.status()["phase"] == "Pending"
        node.runtime.finish("uid-1", name)
    await node.until(node.is_ready)


async def test_a_crashing_container_is_restarted_later_and_later(node: Node) -> None:
    node.api.put(make_pod())
    starts = []
    for count in range(4):
        await node.until(lambda count=count: len(node.calls("start_container")) == count + 1, 100)
        starts.append(node.clock.monotonic())
        node.runtime.finish("uid-1", "main", exit_code=1)
    assert [round((after - before) / 10) for before, after in itertools.pairwise(starts[1:])] == [1, 2]
    await node.until(lambda: node.first()["state"].get("waiting"))
    assert node.first()["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert node.first()["lastState"]["terminated"]["exitCode"] == 1 and node.first()["restartCount"] == 3
    await node.until(lambda: "BackOff" in node.events())


@pytest.mark.parametrize("policy", ["Never", "Always"])
async def test_all_containers_that_begin_anew_have_been_restarted(node: Node, policy: str) -> None:
    rules = [{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}]
    source = make_container("source", restartPolicy=policy, restartPolicyRules=rules)
    other = make_container("other")
    of_pod = {"initContainers": [source]} if policy == "Always" else {}  # a sidecar
    node.api.put(make_pod(other, *([] if of_pod else [source]), restartPolicy="Never", **of_pod))
    await node.until(node.is_ready)
    node.runtime.finish("uid-1", "source", exit_code=42)

    def ends() -> dict[str, Any]:
        status = node.status()
        statuses = [*(status.get("initContainerStatuses") or []), *status["containerStatuses"]]
        last = {one["name"]: one["lastState"].get("terminated") or {} for one in statuses}
        return {one["name"]: (one["restartCount"], last[one["name"]].get("exitCode")) for one in statuses}

    await node.until(lambda: node.is_ready() and ends()["source"][0] == 1)
    assert ends() == {"source": (1, 42), "other": (1, 137)} and node.status()["phase"] == "Running"


async def test_a_pod_that_is_done_succeeds_and_is_cleared(node: Node) -> None:
    node.api.put(make_pod(restartPolicy="Never"))
    await node.until(node.is_ready)
    node.runtime.finish("uid-1", "main")
    await node.until(lambda: node.status()["phase"] == "Succeeded")
    await node.until(lambda: not node.kubelet.volumes.pod_directory("uid-1").exists())
    assert len(await node.runtime.list_containers("uid-1")) == 1  # its log can still be read


async def test_what_others_say_of_a_pod_opens_its_readiness_gate(node: Node) -> None:
    node.api.put(make_pod(readinessGates=[{"conditionType": "a.b/open"}]))
    await node.until(lambda: node.status().get("phase") == "Running")
    for says in ("True", "False"):
        pod = node.pods()[0]
        theirs = {"type": "a.b/open", "status": says}
        conditions.set_condition(pod["status"]["conditions"], theirs, node.clock.now())
        node.api.put(pod)
        await node.until(lambda says=says: node.is_ready() is (says == "True"))
        found = conditions.find(node.status()["conditions"], "a.b/open")
        assert found is not None and found["status"] == says


async def test_deletion_stops_everything_and_then_deletes_the_object(node: Node) -> None:
    node.api.put(make_pod(terminationGracePeriodSeconds=7))
    await node.until(node.is_ready)
    await node.client.resource("v1", "pods").delete("web", "default")
    await node.until(lambda: not node.pods())
    assert node.calls("stop_container")[0][2] == 7
    await node.until(lambda: not node.runtime._containers and not node.runtime._sandboxes)
    await node.until(lambda: "Killing" in node.events())


async def test_a_deletion_does_not_break_a_start_off(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    start = FakeRuntime.start_container
    started: list[str] = []

    async def slowly(runtime: FakeRuntime, container_id: str) -> None:
        await node.clock.sleep(5)
        await start(runtime, container_id)
        started.append(container_id)

    monkeypatch.setattr(FakeRuntime, "start_container", slowly)
    node.api.put(make_pod(terminationGracePeriodSeconds=1))
    await node.until(lambda: len(node.calls("create_container")) == 1)
    await node.client.resource("v1", "pods").delete("web", "default")
    await node.until(lambda: not node.pods())
    assert started and len(node.calls("stop_container")) == 1


async def test_what_is_missing_is_waited_for(node: Node) -> None:
    node.api.put(
        make_pod(make_container(image="other:1"), volumes=[{"name": "c", "configMap": {"name": "cm"}}])
    )
    await node.until(lambda: "FailedMount" in node.events())
    node.api.put(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm", "namespace": "default"}}
    )
    await node.until(lambda: node.first().get("state", {}).get("waiting", {}).get("reason") == "ErrImagePull")
    await node.until(lambda: node.first()["state"]["waiting"]["reason"] == "ImagePullBackOff")
    node.runtime.add_image("other:1")
    await node.until(node.is_ready, 100)


async def test_a_sandbox_that_cannot_be_made_is_tried_again(node: Node) -> None:
    node.runtime.failures["run_sandbox"] = ContainerRuntimeError("no network")
    node.api.put(make_pod())
    await node.until(node.is_ready)
    await node.until(lambda: "FailedCreatePodSandBox" in node.events())


async def test_probes_make_ready_and_restart(node: Node) -> None:
    answers = {"ready": 0, "alive": 0}
    node.runtime.commands = lambda name, command: ExecResult(answers[command[0]], b"", b"")
    probed = make_container(
        readinessProbe={"exec": {"command": ["ready"]}, "periodSeconds": 1},
        livenessProbe={"exec": {"command": ["alive"]}, "periodSeconds": 1},
    )
    node.api.put(make_pod(probed))
    await node.until(node.is_ready)
    answers["ready"] = 1
    await node.until(lambda: not node.is_ready())
    answers |= {"ready": 0, "alive": 1}
    await node.until(lambda: node.first()["restartCount"] == 1)
    await node.until(lambda: "Unhealthy" in node.events())
    counts = [1]

    def five_restarts() -> bool:
        if (count := node.first()["restartCount"]) != counts[-1]:
            counts.append(count)
        return counts[-1] == 5

    await node.until(five_restarts, 600)
    assert counts == [1, 2, 3, 4, 5]


async def test_a_deadline_ends_the_pod(node: Node) -> None:
    node.api.put(make_pod(activeDeadlineSeconds=30))
    await node.until(node.is_ready)
    await node.until(lambda: node.status()["phase"] == "Failed")
    assert node.status()["reason"] == "DeadlineExceeded"
    await node.until(
        lambda: (
            not node.runtime._sandboxes
            or not any(one.value.state == interface.READY for one in node.runtime._sandboxes.values())
        )
    )


async def test_a_pod_that_does_not_fit_is_refused(node: Node) -> None:
    node.api.put(make_pod(make_container(resources={"requests": {"cpu": "1000"}})))
    await node.until(lambda: node.status()["phase"] == "Failed")
    assert node.status()["reason"] == "OutOfcpu" and not node.calls("run_sandbox")
    await node.client.resource("v1", "pods").delete("web", "default")
    await node.until(lambda: not node.pods())


def asking(milli: int, **spec: Any) -> Object:
    return make_pod(make_container(resources={"requests": {"cpu": f"{milli}m"}}), **spec)


async def test_a_critical_pod_makes_others_go(node: Node) -> None:
    whole = 1000 * node.kubelet.facts.machine.cpus
    node.api.put(asking(whole - 100))
    await node.until(node.is_ready)
    node.api.put(asking(200, name="urgent", uid="uid-2", priority=2 * 10**9))
    await node.until(lambda: node.status()["phase"] == "Failed")
    preempted = conditions.find(node.status()["conditions"], "DisruptionTarget")
    assert preempted is not None and preempted["reason"] == "TerminationByKubelet"
    assert preempted["message"] == "Pod was preempted by Kubelet to accommodate a critical pod."
    told = (node.status()["reason"], node.status()["message"])
    assert told == ("Preempting", "Preempted in order to admit critical pod")
    await node.until(lambda: node.is_ready("urgent"))
    names = [call[0] for call in node.runtime.calls]
    assert names.index("stop_sandbox") < max(i for i, name in enumerate(names) if name == "run_sandbox")
    assert "Preempting" in node.events()
    node.api.put(asking(whole + 1, name="huge", uid="uid-3", priority=2 * 10**9))
    await node.until(lambda: node.status("huge").get("reason") == "UnexpectedAdmissionError")
    assert node.is_ready("urgent"), "critical pods do not go for each other"


async def static_pod(node: Node, tmp_path: Path) -> tuple[Path, FileSource]:
    """A pod that runs from a file, and who reads the file."""
    manifest = tmp_path / "manifests/a.yaml"
    manifest.write_text(
        "{apiVersion: v1, kind: Pod, metadata: {name: st}, spec: {containers: [{name: main, image: 'busybox:1'}]}}"
    )
    kubelet = node.kubelet
    files = FileSource(str(tmp_path / "manifests"), "node-1", kubelet.merge, kubelet.recorder, node.clock, 20)
    files.look()
    await node.until(lambda: node.pods() and node.is_ready("st-node-1"))
    return manifest, files


async def test_a_static_pod_has_a_mirror(node: Node, tmp_path: Path) -> None:
    manifest, files = await static_pod(node, tmp_path)
    mirror = node.pods()[0]
    assert mirror["metadata"]["annotations"]["kubernetes.io/config.mirror"]
    node.api.remove("v1", "pods", "default", "st-node-1")
    await node.until(lambda: node.pods() and node.is_ready("st-node-1"))
    manifest.write_text(manifest.read_text().replace("name: main", "name: second"))
    files.look()
    await node.until(lambda: node.pods() and node.first("st-node-1").get("name") == "second")
    await node.until(lambda: node.pods() and node.is_ready("st-node-1"))
    calls = [call[0] for call in node.runtime.calls if call[0] in ("stop_sandbox", "run_sandbox")]
    assert calls.index("stop_sandbox") < len(calls) - 1 - calls[::-1].index("run_sandbox")
    content, starts = manifest.read_text(), len(node.calls("start_container"))
    manifest.unlink()
    files.look()
    manifest.write_text(content)
    files.look()
    await node.until(lambda: len(node.calls("start_container")) > starts)
    await node.until(lambda: node.pods() and node.is_ready("st-node-1"))
    manifest.unlink()
    files.look()
    await node.until(lambda: not node.pods() and not node.runtime._containers)


async def test_a_mirror_shows_its_pod_until_it_has_ended(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_stop, stop = asyncio.Event(), FakeRuntime.stop_container

    async def slowly(runtime: FakeRuntime, container_id: str, grace: int) -> None:
        await may_stop.wait()
        await stop(runtime, container_id, grace)

    monkeypatch.setattr(FakeRuntime, "stop_container", slowly)
    manifest, files = await static_pod(node, tmp_path)
    shown = node.pods()[0]["metadata"]["uid"]
    manifest.unlink()
    files.look()
    for _ in range(5):
        await node.clock.advance(5)
        assert node.pods()[0]["metadata"]["uid"] == shown and node.is_ready("st-node-1")
    may_stop.set()
    await node.until(lambda: not node.pods() and not node.runtime._containers)


async def test_what_a_node_is_stays_on_its_label(node: Node) -> None:
    found = node.api.get("v1", "nodes", "", "node-1")
    arch = found["metadata"]["labels"]["kubernetes.io/arch"]
    found["metadata"]["labels"] |= {"kubernetes.io/os": "dummy", "kubernetes.io/arch": "dummy", "mine": "a"}
    node.api.put(found)

    def labels() -> dict[str, str]:
        told: dict[str, str] = node.api.get("v1", "nodes", "", "node-1")["metadata"]["labels"]
        return told

    await node.until(lambda: labels()["kubernetes.io/os"] == "linux")
    assert labels()["kubernetes.io/arch"] == arch and labels()["mine"] == "a"


async def test_another_kubelet_takes_over_what_runs(node: Node, tmp_path: Path) -> None:
    node.api.put(make_pod())
    await node.until(node.is_ready)
    before = node.first()["containerID"]
    await node.stop()
    second = Node(tmp_path, node.clock, node.api, node.runtime)
    await second.start()
    try:
        await second.until(lambda: second.kubelet.statuses.get("uid-1"))
        assert second.is_ready() and second.first()["containerID"] == before
        assert len(node.calls("create_container")) == 1
        await second.client.resource("v1", "pods").delete("web", "default", grace_period_seconds=0)
        await second.until(lambda: not node.runtime._containers)
    finally:
        await second.stop()


@pytest.mark.parametrize("state", [interface.CREATED, interface.UNKNOWN])
@pytest.mark.parametrize("init", [[], [make_container("i")]])
async def test_what_was_made_and_never_started_is_no_run(node: Node, state: str, init: list[Object]) -> None:
    def lose() -> None:
        for one in node.runtime._containers.values():
            one.status = dataclasses.replace(one.status, state=state)

    node.runtime.failures["start_container"] = Unavailable("the runtime was killed")
    node.api.put(make_pod(initContainers=init))
    await node.until(lambda: node.calls("start_container"))
    lose()
    await node.until(lambda: len(node.calls("start_container")) == 2)
    if init:
        node.runtime.finish("uid-1", "i")
    await node.until(node.is_ready)
    both = [*node.status().get("initContainerStatuses", []), node.first()]
    assert [one["restartCount"] for one in both] == [0] * len(both)
    assert len(node.runtime._containers) == len(both)


async def test_a_container_that_the_runtime_has_lost_does_not_run_twice(node: Node) -> None:
    node.api.put(make_pod())
    await node.until(node.is_ready)
    (lost,) = node.runtime._containers.values()
    lost.status = dataclasses.replace(lost.status, state=interface.UNKNOWN)
    await node.until(lambda: node.first()["restartCount"] == 1 and node.is_ready())
    assert node.calls("stop_container")[0][1] == lost.status.id
    await node.until(lambda: "Killing" in node.events())


async def test_a_pod_that_goes_while_it_is_being_started_leaves_nothing(node: Node) -> None:
    node.runtime.failures["start_container"] = Unavailable("the runtime was killed")
    node.api.put(make_pod())
    await node.until(lambda: node.calls("start_container"))
    await node.client.resource("v1", "pods").delete("web", "default", grace_period_seconds=0)
    await node.until(lambda: not node.runtime._containers and not node.runtime._sandboxes)


async def test_the_log_of_a_run_goes_with_it(node: Node, tmp_path: Path) -> None:
    node.api.put(make_pod())
    logs = tmp_path / "logs/default_web_uid-1/main"
    for count in range(3):
        await node.until(lambda count=count: len(node.calls("start_container")) == count + 1, 100)
        for name in (f"{count}.log", f"{count}.log.20260101-120000"):
            (logs / name).touch()
        node.runtime.finish("uid-1", "main")
    await node.until(lambda: {file.name[0] for file in logs.iterdir()} == {"2"}, 150)


async def test_a_kubelet_that_is_started_again_under_pressure_leaves_what_runs(
    node: Node, tmp_path: Path
) -> None:
    node.api.put(make_pod())
    await node.until(node.is_ready)
    await node.stop()
    second = Node(tmp_path, node.clock, node.api, node.runtime)
    second.kubelet.guardians.refuse = lambda pod: Refusal("Evicted", "pressure")  # type: ignore[method-assign]
    node.api.put(make_pod(name="new", uid="uid-2"))
    await second.start()
    try:
        await second.until(lambda: second.status("new")["phase"] == "Failed")
        assert second.is_ready() and not second.calls("stop_sandbox")
    finally:
        await second.stop()


async def test_what_runs_and_is_refused_ends(node: Node, tmp_path: Path) -> None:
    node.api.put(make_pod())
    await node.until(node.is_ready)
    await node.stop()
    pod = node.api.get("v1", "pods", "default", "web")
    pod["spec"]["nodeSelector"] = {"kubernetes.io/arch": "none"}  # as if the node's labels had changed
    node.api.put(pod)
    second = Node(tmp_path, node.clock, node.api, node.runtime)
    await second.start()
    try:
        await second.until(lambda: second.calls("stop_sandbox"))
        await second.until(lambda: second.status()["phase"] == "Failed")
        assert second.status()["reason"] == "NodeAffinity"
    finally:
        await second.stop()


async def test_power_off_and_on(node: Node) -> None:
    node.api.put(make_pod())
    await node.until(node.is_ready)
    node.runtime.power_off()
    await node.until(lambda: node.first()["restartCount"] == 1 and node.is_ready())


async def test_somebody_elses_change_of_the_status_is_put_right(node: Node) -> None:
    node.api.put(make_pod())
    await node.until(node.is_ready)
    await node.client.resource("v1", "pods").patch(
        "web", {"status": {"podIP": "1.2.3.4"}}, "default", subresource="status"
    )
    await node.until(lambda: node.status()["podIP"].startswith("10.0.0."))


async def test_a_running_pod_is_resized(node: Node) -> None:
    wanted = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}}
    node.api.put(make_pod(make_container(resources=wanted)))
    await node.until(node.is_ready)
    more = {"requests": {"cpu": "200m", "memory": "64Mi"}, "limits": {"cpu": "300m", "memory": "64Mi"}}
    change = {"spec": {"containers": [make_container(resources=more)]}}
    await node.client.resource("v1", "pods").patch("web", change, "default")
    await node.until(lambda: node.first().get("allocatedResources", {}).get("cpu") == "200m")
    await node.until(lambda: node.first()["resources"] == more)
    (container,) = await node.runtime.list_containers("uid-1")
    resources = (await node.runtime.container_status(container.id)).resources
    assert resources is not None and resources["cpu_quota"] == 30000 and node.first()["restartCount"] == 0
    known = node.kubelet.statuses.get("uid-1") or {}
    kinds = {condition["type"] for condition in known["conditions"]}
    assert not kinds & {"PodResizePending", "PodResizeInProgress"}
    told = [(event["reason"], event["message"]) for event in node.api.objects("v1", "events")]
    summary = '{"containers":[{"name":"main","resources":{"limits":{"cpu":"300m"'
    for reason, what in (("ResizeStarted", "started"), ("ResizeCompleted", "completed")):
        assert any(one == reason and text.startswith(f"Pod resize {what}: {summary}") for one, text in told)


async def test_memory_is_not_cut_below_what_is_used(node: Node) -> None:
    node.api.put(make_pod(make_container(resources={"limits": {"memory": "64Mi"}})))
    await node.until(node.is_ready)
    change = {"spec": {"containers": [make_container(resources={"limits": {"memory": "1Mi"}})]}}
    await node.client.resource("v1", "pods").patch("web", change, "default")

    def in_progress() -> dict:
        return conditions.find(node.status()["conditions"], "PodResizeInProgress") or {}

    await node.until(lambda: in_progress().get("reason") == "Error")
    text = 'attempting to set container "main" memory limit (1048576) below current usage (10485760)'
    assert in_progress()["message"] == text
    assert node.first()["resources"] == {"limits": {"memory": "64Mi"}}


async def test_a_resize_that_never_fits_is_infeasible(node: Node) -> None:
    node.api.put(make_pod(make_container(resources={"requests": {"cpu": "100m"}})))
    await node.until(node.is_ready)
    change = {"spec": {"containers": [make_container(resources={"requests": {"cpu": "1000"}})]}}
    await node.client.resource("v1", "pods").patch("web", change, "default")

    def reason() -> str | None:
        found = conditions.find(node.status()["conditions"], "PodResizePending")
        return found["reason"] if found else None

    await node.until(lambda: reason() == "Infeasible")
    assert node.first()["allocatedResources"] == {"cpu": "100m"}


async def test_logs_of_pods_that_are_gone_go(node: Node, tmp_path: Path) -> None:
    node.api.put(make_pod())
    await node.until(node.is_ready)
    gone = tmp_path / "logs/default_gone_uid-of-old"
    gone.mkdir()
    await node.until(lambda: not gone.exists(), 150)
    assert [entry.name for entry in (tmp_path / "logs").iterdir()] == ["default_web_uid-1"]
