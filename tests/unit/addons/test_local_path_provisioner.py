"""Claims become volumes; released volumes go with their folder."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from addons.local_path_provisioner.app import start
from addons.local_path_provisioner.options import Options
from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import RealClock
from kubarium.component_base.process import Process

CLASS = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "local-path"},
         "provisioner": "rancher.io/local-path", "reclaimPolicy": "Delete"}  # fmt: skip


def make_claim(**annotations: str) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "default", "annotations": annotations},
        "spec": {
            "storageClassName": "local-path",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


ASKED = {"volume.kubernetes.io/storage-provisioner": "rancher.io/local-path"}


@asynccontextmanager
async def running(api: FakeAPI) -> AsyncIterator[None]:
    process = Process()
    client = api.client()
    task = asyncio.ensure_future(start(process, Options(), client, RealClock()))
    yield
    process.stop()
    await task
    await process.close()
    await client.close()


async def until(found: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not found():  # noqa: ASYNC110 - the fake tells nobody
            await asyncio.sleep(0.01)


async def provisioned(api: FakeAPI) -> dict:
    """Let the pod that makes the folder succeed; returns the volume."""
    await until(lambda: api.objects("v1", "pods"))
    pod = api.objects("v1", "pods")[0]
    assert pod["spec"]["nodeName"] == "node-2"
    assert pod["spec"]["containers"][0]["command"][:4] == ["mkdir", "-m", "0777", "-p"]
    assert not api.objects("v1", "persistentvolumes")
    api.put({**pod, "status": {"phase": "Succeeded"}})
    await until(lambda: api.objects("v1", "persistentvolumes") and not api.objects("v1", "pods"))
    return api.objects("v1", "persistentvolumes")[0]


async def test_a_claim_with_a_node_gets_a_folder_there() -> None:
    api = FakeAPI(CLASS, make_claim(**ASKED, **{"volume.kubernetes.io/selected-node": "node-2"}))
    asked: list[tuple[str, str]] = []
    api.refuse = lambda action, obj: asked.append((action.verb, action.resource))
    async with running(api):
        volume = await provisioned(api)
    assert asked.count(("create", "pods")) == 1
    assert volume["spec"]["hostPath"]["path"].endswith("_default_data")
    assert volume["spec"]["claimRef"]["name"] == "data"
    term = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]
    assert term["matchExpressions"][0]["values"] == ["node-2"]


async def test_a_released_volume_is_emptied_on_its_node_and_removed() -> None:
    api = FakeAPI(CLASS, make_claim(**ASKED, **{"volume.kubernetes.io/selected-node": "node-2"}))
    async with running(api):
        volume = await provisioned(api)
        api.put({**volume, "status": {"phase": "Released"}})
        await until(lambda: api.objects("v1", "pods"))
        pod = api.objects("v1", "pods")[0]
        assert pod["spec"]["nodeName"] == "node-2"
        assert pod["spec"]["containers"][0]["command"][:2] == ["rm", "-rf"]
        api.put({**pod, "status": {"phase": "Succeeded"}})
        await until(lambda: not api.objects("v1", "persistentvolumes"))


async def test_a_claim_that_goes_while_its_folder_is_made_leaves_a_volume_to_remove() -> None:
    api = FakeAPI(CLASS, make_claim(**ASKED, **{"volume.kubernetes.io/selected-node": "node-2"}))
    async with running(api):
        await until(lambda: api.objects("v1", "pods"))
        api.remove("v1", "persistentvolumeclaims", "default", "data")
        await until(lambda: api.objects("v1", "persistentvolumes") and not api.objects("v1", "pods"))


async def test_a_claim_that_a_folder_cannot_serve_is_refused() -> None:
    claim = make_claim(**ASKED, **{"volume.kubernetes.io/selected-node": "node-2"})
    claim["spec"]["accessModes"] = ["ReadWriteMany"]
    api = FakeAPI(CLASS, claim)
    async with running(api):
        await until(lambda: [one for one in events(api) if one["reason"] == "ProvisioningFailed"])
    assert not api.objects("v1", "pods")


def events(api: FakeAPI) -> list[dict]:
    return [*api.objects("v1", "events"), *api.objects("events.k8s.io/v1", "events")]
