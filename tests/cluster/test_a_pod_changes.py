"""A running pod is changed: counted by its generation, resized, given more containers, a deadline, and an end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

from kubarium.apimachinery import quantity
from kubarium.client import streams
from kubarium.client.rest import Client
from tests.cluster.conftest import Shell, until
from tests.cluster.objects import BUSYBOX, NGINX, pod

pytestmark = pytest.mark.cluster

UPDATES = 99


class One:
    """One pod, asked and changed through the API."""

    def __init__(self, shell: Shell, namespace: str, name: str) -> None:
        self.shell, self.namespace, self.name = shell, namespace, name

    def _ask(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        return self.shell.ask(lambda client: work(client.resource("v1", "pods")))

    def get(self, subresource: str = "") -> Any:
        return self._ask(lambda pods: pods.get(self.name, self.namespace, subresource=subresource))

    def patch(self, body: Any, form: str = "strategic", subresource: str = "") -> Any:
        return self._ask(
            lambda pods: pods.patch(self.name, body, self.namespace, type=form, subresource=subresource)
        )

    def put(self, edit: Callable[[Any], None], subresource: str) -> None:
        """Read, edit and write. Whoever is overtaken by a status begins again."""

        def attempt() -> bool:
            body = self.get()
            edit(body)
            return bool(self._ask(lambda pods: pods.update(body, subresource=subresource)))

        until(attempt, what=f"{subresource} of {self.name} put")

    def is_ready(self) -> bool:
        conditions = self.get()["status"].get("conditions") or []
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def observes(self, generation: int) -> bool:
        """Has the kubelet seen this generation, and is the one of the object the same?"""
        found = self.get()
        assert found["metadata"]["generation"] == generation, found["metadata"]
        return bool(found["status"].get("observedGeneration") == generation)


def test_a_generation_counts_what_is_wished(stories: Shell, namespace: str) -> None:
    made = pod("counted", "sleep", "1000")
    made["metadata"]["generation"] = 100
    made["spec"]["initContainers"] = [
        {"name": "first", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": ["true"]}
    ]
    stories.apply(made, pod("often", "sleep", "1000"), namespace=namespace)
    one, often = One(stories, namespace, "counted"), One(stories, namespace, "often")
    until(lambda: one.is_ready() and often.is_ready(), what="ready")
    until(lambda: one.observes(1))
    toleration = {"key": "foo", "operator": "Equal", "value": "bar", "effect": "NoSchedule"}
    changes = [
        ({}, 1),
        ({"spec": {"tolerations": [*one.get()["spec"]["tolerations"], toleration]}}, 2),
        ({"spec": {"activeDeadlineSeconds": 5000}}, 3),
        ({"spec": {"containers": [{"name": "main", "image": NGINX}]}}, 4),
        ({"spec": {"initContainers": [{"name": "first", "image": NGINX}]}}, 5),
        ({"metadata": {"annotations": {"key": "value"}}}, 5),
        ({"metadata": {"generation": 1}}, 5),
    ]
    for body, generation in changes:
        assert one.patch(body)["metadata"]["generation"] == generation, body
        until(lambda generation=generation: one.observes(generation), what=f"generation {generation}")
    until(lambda: one.get()["status"]["containerStatuses"][0]["restartCount"] == 1, what="another image")

    async def change_often(client: Client) -> Any:
        pods = client.resource("v1", "pods")
        for seconds in range(UPDATES, 0, -1):
            wish = {"spec": {"activeDeadlineSeconds": 10_000 + seconds}}
            after = await pods.patch("often", wish, namespace, type="merge")
        return after

    assert stories.ask(change_often)["metadata"]["generation"] == UPDATES + 1
    until(lambda: often.observes(UPDATES + 1), what="the last generation")

    async def delete(client: Client) -> Any:
        return await client.resource("v1", "pods").delete("counted", namespace, grace_period_seconds=60)

    stories.ask(delete)
    assert one.get()["metadata"]["generation"] == 6  # to leave is a wish, too
    stories.kubectl("delete", "pod", "counted", "--now", "--no-wait", "-n", namespace)


def resources(**amounts: str) -> Any:
    """Requests and limits: `cpu`, `memory` for both, `cpu_request`, `memory_limit` and so on for one."""
    found: dict[str, dict[str, str]] = {}
    for key, amount in amounts.items():
        resource, _, sort = key.partition("_")
        for kind in [f"{sort}s"] if sort else ["requests", "limits"]:
            found.setdefault(kind, {})[resource] = amount
    return found


def all_of(**amounts: tuple[str, str]) -> dict[str, Any]:
    """Containers whose limits are their requests."""
    return {name: resources(cpu=cpu, memory=memory) for name, (cpu, memory) in amounts.items()}


# Pods, and what their containers are to have at first and then, step by step.
STEPS: dict[str, list[dict[str, Any]]] = {
    "guaranteed": [
        all_of(c1=("20m", "35Mi"), c2=("22m", "37Mi"), c3=("24m", "39Mi")),
        all_of(c1=("25m", "40Mi"), c2=("27m", "42Mi"), c3=("19m", "34Mi")),
        all_of(c1=("20m", "35Mi"), c2=("22m", "37Mi"), c3=("24m", "39Mi")),
        all_of(c1=("25m", "40Mi"), c2=("17m", "32Mi"), c3=("19m", "34Mi")),
        all_of(c1=("30m", "40Mi"), c2=("15m", "42Mi"), c3=("29m", "44Mi")),
    ],
    "burstable": [
        {
            "c1": resources(cpu_request="20m"),
            "c2": resources(memory_request="35Mi"),
            "c3": resources(cpu_request="20m", memory_request="35Mi"),
            "c4": resources(cpu_request="20m"),
            "c5": resources(memory_request="35Mi"),
            "c6": resources(cpu_request="20m", cpu_limit="30m", memory_request="35Mi", memory_limit="45Mi"),
        },
        {
            "c1": resources(cpu_request="25m", cpu_limit="35m"),
            "c2": resources(memory_request="30Mi", memory_limit="50Mi"),
            "c3": resources(cpu_request="20m", memory_request="30Mi"),
            "c4": resources(cpu_request="15m", memory_request="35Mi"),
            "c5": resources(cpu_request="20m", memory_request="40Mi"),
            "c6": resources(cpu_request="15m", cpu_limit="35m", memory_request="40Mi", memory_limit="40Mi"),
        },
    ],
    # The kernel knows no difference between these.
    "equivalent": [
        {"c1": resources(cpu_request="2m", cpu_limit="10m")},
        {"c1": resources(cpu_request="1m", cpu_limit="5m")},
        {"c1": resources(cpu_request="2m", cpu_limit="10m")},
    ],
}
CGROUPS = {
    "cpu.shares": "requests", "cpu.cfs_quota_us": "limits", "memory.limit_in_bytes": "memory",
    "cpu.max": "limits", "memory.max": "memory",
}  # fmt: skip


def to_resize(name: str, wanted: dict[str, Any]) -> Any:
    made = pod(name)
    plain = {"image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "1000"]}
    made["spec"]["containers"] = [plain | {"name": key, "resources": value} for key, value in wanted.items()]
    return made


def in_kernel(one: One, found: Any) -> dict[str, dict[str, str]]:
    """What the cgroups of a pod's containers say."""
    uid = found["metadata"]["uid"]
    names = " -o ".join(f"-name {file}" for file in CGROUPS)
    script = f"find /sys/fs/cgroup -path '*pod{uid}/*' \\( {names} \\) -exec grep -H . {{}} +"
    lines = one.shell.on_node(found["spec"]["nodeName"], "sh", "-c", script).splitlines()
    by_id: dict[str, dict[str, str]] = {}
    for line in lines:
        path, _, value = line.partition(":")
        *_, container, file = path.split("/")
        by_id.setdefault(container, {})[file] = value
    statuses = found["status"]["containerStatuses"]
    return {status["name"]: by_id[status["containerID"].rpartition("/")[2]] for status in statuses}


def for_kernel(wanted: Any) -> dict[str, str]:
    """What they should say; no limit is not compared, as each kernel writes it in its own way."""
    limits, requests = wanted.get("limits") or {}, wanted.get("requests") or {}
    milli = quantity.milli_value(requests.get("cpu", limits.get("cpu", "0")))
    found = {"cpu.shares": str(max(2, milli * 1024 // 1000))}
    if "cpu" in limits:
        quota = max(1000, quantity.milli_value(limits["cpu"]) * 100)
        found |= {"cpu.cfs_quota_us": str(quota), "cpu.max": f"{quota} 100000"}
    if "memory" in limits:
        memory = str(quantity.value(limits["memory"]))
        found |= {"memory.limit_in_bytes": memory, "memory.max": memory}
    return found


def has(one: One, wanted: dict[str, Any]) -> bool:
    """Are these resources wished, allotted, in effect, and has nothing been restarted for them?"""
    found = one.get()
    kernel = in_kernel(one, found)
    for status in found["status"]["containerStatuses"]:
        name = status["name"]
        assert status["restartCount"] == 0 and status["resources"] == wanted[name], status
        assert status.get("allocatedResources") == wanted[name].get("requests"), status
        should = for_kernel(wanted[name])
        seen = kernel[name]
        assert seen == seen | {key: value for key, value in should.items() if key in seen}, (
            name,
            seen,
            should,
        )
    open_questions = [
        each["type"] for each in found["status"]["conditions"] if each["type"].startswith("PodResize")
    ]
    assert not open_questions
    return one.observes(found["metadata"]["generation"])


def test_resources_of_running_containers_change(stories: Shell, namespace: str) -> None:
    stories.apply(*(to_resize(name, steps[0]) for name, steps in STEPS.items()), namespace=namespace)
    pods = {name: One(stories, namespace, name) for name in STEPS}
    for name, one in pods.items():
        until(lambda one=one, name=name: one.is_ready() and has(one, STEPS[name][0]), what=f"{name} at first")
    assert pods["guaranteed"].get()["status"]["qosClass"] == "Guaranteed"
    assert pods["burstable"].get()["status"]["qosClass"] == "Burstable"
    for step in range(1, max(len(steps) for steps in STEPS.values())):
        changing = {name: steps[step] for name, steps in STEPS.items() if len(steps) > step}
        for name, wanted in changing.items():
            containers = [{"name": key, "resources": value} for key, value in wanted.items()]
            pods[name].patch({"spec": {"containers": containers}}, subresource="resize")
        for name, wanted in changing.items():
            until(lambda one=pods[name], wanted=wanted: has(one, wanted), what=f"{name}, step {step}")

    one = pods["equivalent"]
    wanted = {"c1": resources(cpu_request="20m", cpu_limit="50m")}
    one.put(lambda body: body["spec"]["containers"][0].update(resources=wanted["c1"]), "resize")
    until(lambda: has(one, wanted), what="what was put")
    assert one.get(subresource="resize")["spec"] == one.get()["spec"]


def test_a_pod_gets_more_containers_and_a_deadline(stories: Shell, namespace: str) -> None:
    stories.apply(pod("debugged", "sleep", "1000"), pod("short", "sleep", "1000"), namespace=namespace)
    one, short = One(stories, namespace, "debugged"), One(stories, namespace, "short")
    until(lambda: one.is_ready() and short.is_ready(), what="ready")
    short.patch({"spec": {"activeDeadlineSeconds": 1}})

    def debugger(name: str) -> Any:
        command = ["sh", "-c", f"echo {name}; sleep 1000"]
        return {
            "name": name,
            "image": BUSYBOX,
            "imagePullPolicy": "IfNotPresent",
            "command": command,
            "tty": True,
        }

    def runs(*names: str) -> bool:
        statuses = one.get()["status"].get("ephemeralContainerStatuses") or []
        return [status["name"] for status in statuses if "running" in status["state"]] == [*names]

    one.patch({"spec": {"ephemeralContainers": [debugger("first")]}}, subresource="ephemeralcontainers")
    until(lambda: runs("first"), what="an ephemeral container")
    one.put(
        lambda body: body["spec"]["ephemeralContainers"].append(debugger("second")), "ephemeralcontainers"
    )
    until(lambda: runs("first", "second"), what="two")
    for name in ("first", "second"):
        log = ("logs", "debugged", "-c", name, "-n", namespace)
        until(lambda log=log, name=name: stories.kubectl(*log).strip() == name, what=f"log of {name}")
    until(lambda: short.get()["status"]["phase"] == "Failed", what="the deadline")
    status = short.get()["status"]
    assert (status["reason"], status["message"]) == (
        "DeadlineExceeded",
        "Pod was active on the node longer than the specified deadline",
    )


def test_a_pod_is_heard_through_web_sockets(stories: Shell, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods/heard"
    stories.apply(pod("heard", "sh", "-c", "echo container is alive; sleep 1000"), namespace=namespace)
    until(One(stories, namespace, "heard").is_ready, what="ready")

    async def channels(client: Client) -> bytes:
        query = {"command": ["echo", "remote execution test"], "stdout": "1", "stderr": "1"}
        stream = await streams.open_stream(client, f"{path}/exec", query, ("channel.k8s.io",))
        said = [data async for channel, data in stream.messages() if channel == 1]
        await stream.close()
        return b"".join(said)

    async def log(client: Client) -> bytes:
        stream = await streams.open_stream(client, f"{path}/log", {"container": "main"}, ("binary.k8s.io",))
        said = [bytes([first]) + rest async for first, rest in stream.messages()]
        await stream.close()
        return b"".join(said)

    until(lambda: stories.ask(channels) == b"remote execution test\n", what="what a command said")
    until(lambda: stories.ask(log) == b"container is alive\n", what="the log")


def test_pods_are_watched_until_they_are_gone(stories: Shell, namespace: str) -> None:
    names = ["one", "two", "three"]
    group = [pod(name, "sleep", "1000") for name in names]
    for each in group:
        each["metadata"]["labels"] = {"type": "group"}

    async def live(client: Client) -> list[Any]:
        pods = client.resource("v1", "pods")
        version = (await pods.list(namespace))["metadata"]["resourceVersion"]
        for each in group:
            await pods.create(each, namespace)
        changes = pods.watch(namespace, resource_version=version, label_selector="type=group")
        gone: list[Any] = []
        running: set[str] = set()
        async with aclosing(changes):
            async for event in changes:
                if event.type == "DELETED":
                    gone.append(event.obj)
                elif (
                    event.obj["status"]["phase"] == "Running" and event.obj["metadata"]["name"] not in running
                ):
                    running.add(event.obj["metadata"]["name"])
                    if len(running) == len(group):
                        await pods.delete_collection(namespace, label_selector="type=group")
                if len(gone) == len(group):
                    break
        assert (await pods.list(namespace, label_selector="type=group"))["items"] == []
        return gone

    gone = stories.ask(live)
    assert sorted(each["metadata"]["name"] for each in gone) == sorted(names)
    for each in gone:
        assert each["metadata"]["deletionTimestamp"] and each["spec"]["terminationGracePeriodSeconds"]
