"""A few simulated nodes against a real API server: the life of nodes and pods, without scheduler or controllers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import conditions, errors
from kubarium.apimachinery.object import Object, annotations_of, labels_of, name_of, status_of
from kubarium.client.rest import Client
from kubelet.simulated.behaviour import PREFIX
from kubelet.simulated.nodes import LABEL
from tests.integration.running import ApiServer
from tests.integration.simulated_nodes.program import SimulatedNodes


@pytest.fixture(scope="module")
def simulated(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedNodes]:
    """Two nodes, sim-1 and sim-2."""
    program = SimulatedNodes(api_server, tmp_path_factory.mktemp("simulated"))
    program.start(2)
    yield program
    program.stop()
    asyncio.run(remove_nodes(api_server))


async def remove_nodes(server: ApiServer) -> None:
    """Other tests of the session share the server."""
    async with server.client() as client:
        for name in map(name_of, await nodes_of(client)):
            await client.resource("v1", "nodes").delete(name)
            with contextlib.suppress(errors.NotFound):
                await client.resource("coordination.k8s.io/v1", "leases").delete(name, "kube-node-lease")


class Story:
    """Pods in a namespace of the test's own, bound by hand."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client, self.namespace = client, namespace
        self.pods = client.resource("v1", "pods")

    async def create(self, name: str, *, image: str = "web", **behaviour: float) -> Object:
        """A pod on sim-1; `run=3` is the annotation run-seconds."""
        annotations = {f"{PREFIX}{key.replace('_', '-')}": str(value) for key, value in behaviour.items()}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.namespace, "annotations": annotations},
            "spec": {
                "nodeName": "sim-1",
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "tolerations": [{"operator": "Exists"}],
                "containers": [{"name": "c", "image": image}],
            },
        }
        return await self.pods.create(pod)

    async def becomes(self, name: str, is_so: Callable[[Object], bool]) -> Object:
        """Wait until the pod is so."""

        async def look() -> Object | None:
            found = await self.pods.get(name, self.namespace)
            return found if is_so(found) else None

        found: Object = await eventually(look)
        return found


async def eventually(look: Callable[[], Awaitable[Any]], seconds: float = 60.0) -> Any:
    """Look until there is something to see."""
    async with asyncio.timeout(seconds):
        while not (found := await look()):  # noqa: ASYNC110  another process tells us nothing
            await asyncio.sleep(0.05)
        return found


@pytest.fixture
async def story(client: Client, default_account: str, simulated: SimulatedNodes) -> AsyncIterator[Story]:
    """A namespace with its service account, and nodes that are there."""
    if simulated.count != 2:  # another story has taken one away
        simulated.stop()
        simulated.start(2)

    async def both_are_ready() -> bool:
        return sorted(await ready_nodes(client)) == ["sim-1", "sim-2"]

    await eventually(both_are_ready)
    yield Story(client, default_account)


async def nodes_of(client: Client) -> list[Object]:
    found: list[Object] = (await client.resource("v1", "nodes").list(label_selector=f"{LABEL}=true"))["items"]
    return found


async def ready_nodes(client: Client) -> dict[str, Object]:
    return {name_of(node): node for node in await nodes_of(client) if conditions.is_true(node, "Ready")}


async def test_nodes_look_like_nodes(story: Story) -> None:
    nodes = await ready_nodes(story.client)
    assert labels_of(nodes["sim-2"])["topology.kubernetes.io/zone"] == "zone-2"
    assert [nodes[name]["spec"]["podCIDR"] for name in sorted(nodes)] == ["100.64.0.0/24", "100.64.1.0/24"]
    assert status_of(nodes["sim-1"])["allocatable"]["cpu"] == "32"
    leases = story.client.resource("coordination.k8s.io/v1", "leases")

    async def heartbeat() -> Object | None:
        with contextlib.suppress(errors.NotFound):
            return await leases.get("sim-1", "kube-node-lease")
        return None

    lease = await eventually(heartbeat)
    assert lease["spec"]["holderIdentity"] == "sim-1"
    assert lease["metadata"]["ownerReferences"][0]["uid"] == nodes["sim-1"]["metadata"]["uid"]


async def test_a_node_says_again_that_it_is_ready(story: Story) -> None:
    unknown = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "silent"}
    nodes = story.client.resource("v1", "nodes")
    patch = {"status": {"conditions": [unknown]}}
    changed = await nodes.patch("sim-2", patch, type="strategic", subresource="status")
    assert not conditions.is_true(changed, "Ready")

    async def is_back() -> bool:
        return "sim-2" in await ready_nodes(story.client)

    await eventually(is_back)


async def test_a_pod_runs_and_ends(story: Story) -> None:
    await story.create("web", stop_seconds=3)
    pod = await story.becomes("web", pod_status.is_ready)
    assert status_of(pod)["phase"] == "Running"
    assert status_of(pod)["podIP"].startswith("100.64.0.") and status_of(pod)["hostIP"] == "127.0.0.1"
    # Somebody took the node for dead; it says again what is so.
    condition = {"type": "Ready", "status": "False"}
    patch = {"status": {"conditions": [condition]}}
    changed = await story.pods.patch("web", patch, story.namespace, type="strategic", subresource="status")
    assert not pod_status.is_ready(changed)
    await story.becomes("web", pod_status.is_ready)
    path = f"/api/v1/namespaces/{story.namespace}/pods/web"
    text = await story.client.request("GET", f"{path}/log")
    assert "simulated node sim-1" in text
    upgrade = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"}
    with pytest.raises(
        errors.StatusError, match="exec is not possible: pod web is on the simulated node sim-1"
    ):
        await story.client.request(
            "POST", f"{path}/exec", query={"command": "ls", "stdout": True}, headers=upgrade
        )
    asked = time.monotonic()
    deleting = await story.pods.delete("web", story.namespace)
    assert deleting["metadata"]["deletionGracePeriodSeconds"] == 30

    async def is_gone() -> bool:
        found = await story.pods.list(story.namespace, field_selector="metadata.name=web")
        return not found["items"]

    await eventually(is_gone)
    assert time.monotonic() - asked >= 3


async def test_a_pod_completes_after_its_time(story: Story) -> None:
    await story.create("good", run_seconds=0.2)
    await story.create("bad", run_seconds=0.2, exit_code=7)
    good = await story.becomes("good", pod_status.is_terminal)
    bad = await story.becomes("bad", pod_status.is_terminal)
    assert (status_of(good)["phase"], status_of(bad)["phase"]) == ("Succeeded", "Failed")
    assert status_of(bad)["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 7
    assert annotations_of(good)[f"{PREFIX}run-seconds"] == "0.2"


async def test_a_pod_waits_for_an_image_that_does_not_exist(story: Story) -> None:
    await story.create("lost", image="invalid.example/no:1")

    def reason(pod: Object) -> str:
        state = (status_of(pod).get("containerStatuses") or [{}])[0].get("state") or {}
        return str((state.get("waiting") or {}).get("reason"))

    pod = await story.becomes("lost", lambda pod: reason(pod) in ("ErrImagePull", "ImagePullBackOff"))
    assert status_of(pod)["phase"] == "Pending"


async def test_pods_outlive_the_program_and_superfluous_nodes_go(
    story: Story, simulated: SimulatedNodes
) -> None:
    await story.create("lasting")
    before = await story.becomes("lasting", pod_status.is_ready)
    simulated.stop()
    simulated.start(1)

    async def only_one() -> bool:
        return sorted(await ready_nodes(story.client)) == ["sim-1"]

    await eventually(only_one)
    annotation = {"metadata": {"annotations": {f"{PREFIX}run-seconds": "0"}}}
    await story.pods.patch("lasting", annotation, story.namespace)
    after = await story.becomes("lasting", pod_status.is_terminal)
    assert status_of(after)["podIP"] == status_of(before)["podIP"]
    ids = [status_of(pod)["containerStatuses"][0]["containerID"] for pod in (before, after)]
    assert ids[0] == ids[1]
