"""Stories about daemon sets: a pod for each node."""

from __future__ import annotations

import pytest

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, labels_of, name_of
from tests.integration.controller_manager.world import World, template, workload


async def test_a_daemon_set_follows_nodes(world: World) -> None:
    nodes = world.resource("v1", "nodes")
    mark = {"for": world.namespace}
    for name in ("a", "b"):
        full = f"{world.namespace}-{name}"
        await nodes.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": full, "labels": mark}})
    await world.create(
        {
            **workload("DaemonSet", "agent", None),
            "spec": {
                "selector": {"matchLabels": {"app": "agent"}},
                "template": template("agent", nodeSelector=mark),
            },
        }
    )

    async def scheduled(count: int) -> bool:
        status = (await world.get("apps/v1", "daemonsets", "agent")).get("status") or {}
        pods = await world.pods("app=agent")
        return status.get("desiredNumberScheduled") == status.get("numberReady") == count == len(pods)

    try:
        await world.until(lambda: scheduled(2), kubelet=True)
        (pod, _) = await world.pods("app=agent")
        assert labels_of(pod)["controller-revision-hash"]
        keys = {one["key"] for one in pod["spec"]["tolerations"]}
        assert "node.kubernetes.io/unschedulable" in keys
        await world.delete("v1", "pods", name_of(pod))

        async def replaced() -> bool:
            return name_of(pod) not in map(name_of, await world.pods()) and await scheduled(2)

        await world.until(replaced, kubelet=True)
        await nodes.patch(f"{world.namespace}-b", {"metadata": {"labels": {"for": None}}})
        await world.until(lambda: scheduled(1), kubelet=True)
        await world.patch(
            "apps/v1", "daemonsets", "agent", {"spec": {"template": template("agent", "web:2")}}
        )

        async def updated() -> bool:
            images = [p["spec"]["containers"][0]["image"] for p in await world.pods("app=agent")]
            status = (await world.get("apps/v1", "daemonsets", "agent"))["status"]
            return images == ["web:2"] and status.get("updatedNumberScheduled") == 1

        await world.until(updated, kubelet=True)
        assert len(await world.list("apps/v1", "controllerrevisions")) == 2
    finally:
        for name in ("a", "b"):
            await nodes.delete(f"{world.namespace}-{name}")


async def test_a_daemon_set_is_rolled_back_and_moved(world: World) -> None:
    """Whoever has not been updated yet is not started anew; another selector means other nodes."""
    nodes = world.resource("v1", "nodes")
    names = [f"{world.namespace}-{name}" for name in ("a", "b", "c")]
    for name in names:
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {"for": world.namespace}},
        }
        await nodes.create(node)

    def wish(image: str, **more: str) -> Object:
        return {"template": template("agent", image, nodeSelector={"for": world.namespace, **more})}

    daemon = workload("DaemonSet", "agent", None)
    daemon["spec"] |= wish("web:1")
    await world.create(daemon)

    async def images() -> dict[str, str]:
        return {p["metadata"]["uid"]: p["spec"]["containers"][0]["image"] for p in await world.pods()}

    async def status(**wanted: int) -> bool:
        found = await world.get("apps/v1", "daemonsets", "agent")
        is_new = (found.get("status") or {}).get("observedGeneration") == found["metadata"]["generation"]
        return is_new and {name: found["status"].get(name) for name in wanted} == wanted

    try:
        await world.until(lambda: status(numberReady=3, updatedNumberScheduled=3), kubelet=True)
        await world.patch("apps/v1", "daemonsets", "agent", {"spec": wish("bad")})
        half = {"updatedNumberScheduled": 1, "numberReady": 2, "numberUnavailable": 1}
        await world.until(
            lambda: status(**half), kubelet=True, ready=lambda p: p["spec"]["containers"][0]["image"] != "bad"
        )
        untouched = {uid for uid, image in (await images()).items() if image == "web:1"}
        assert len(untouched) == 2
        await world.patch("apps/v1", "daemonsets", "agent", {"spec": wish("web:1")})
        await world.until(lambda: status(numberReady=3, updatedNumberScheduled=3), kubelet=True)
        found = await images()
        assert set(found.values()) == {"web:1"} and untouched < found.keys()
        history = await world.list("apps/v1", "controllerrevisions")
        assert sorted(one["revision"] for one in history) == [2, 3]
        await _history_is_kept_by_hand(world)

        await world.patch("apps/v1", "daemonsets", "agent", {"spec": wish("web:1", color="green")})
        await world.until(lambda: status(desiredNumberScheduled=0, numberMisscheduled=0), kubelet=True)
        await nodes.patch(names[0], {"metadata": {"labels": {"color": "green"}}})
        await world.until(lambda: status(desiredNumberScheduled=1, numberReady=1), kubelet=True)
    finally:
        for name in names:
            await nodes.delete(name)


async def _history_is_kept_by_hand(world: World) -> None:
    """Revisions are objects like others: labelled, copied, replaced, deleted one by one and together."""
    revisions = world.resource("apps/v1", "controllerrevisions")
    listed = await world.list("apps/v1", "controllerrevisions")
    older, current = sorted(listed, key=lambda one: int(one["revision"]))
    found = await revisions.patch(name_of(current), {"metadata": {"labels": {"by": "hand"}}}, world.namespace)
    assert labels_of(found) == {**labels_of(current), "by": "hand"}
    owners, labels = older["metadata"]["ownerReferences"], {**labels_of(older), "kind-of": "copy"}
    metadata = {"name": "copy", "labels": labels, "ownerReferences": owners}
    copy = await world.create({**older, "metadata": metadata, "revision": 1})
    assert copy["data"] == older["data"]
    copy["metadata"]["labels"]["by"] = "hand"
    copy = await revisions.update(copy)
    with pytest.raises(errors.Invalid):
        await revisions.update({**copy, "data": {"spec": {}}})
    everywhere = await revisions.list(label_selector="by=hand,kind-of=copy")
    assert [name_of(one) for one in everywhere["items"]] == ["copy"]
    await revisions.delete_collection(world.namespace, label_selector="kind-of=copy")
    left = await world.list("apps/v1", "controllerrevisions", "by=hand")
    assert [name_of(one) for one in left] == [name_of(current)]
    for one in await world.list("apps/v1", "controllerrevisions", "!by"):
        await revisions.delete(name_of(one), world.namespace)
    assert [one["revision"] for one in await world.list("apps/v1", "controllerrevisions")] == [3]


async def test_a_failed_daemon_is_replaced(world: World) -> None:
    nodes = world.resource("v1", "nodes")
    name, mark = world.namespace, {"for": world.namespace}
    await nodes.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": mark}})
    daemon = workload("DaemonSet", "agent", None)
    daemon["spec"]["template"]["spec"]["nodeSelector"] = mark
    await world.create(daemon)

    async def one() -> bool:
        return len(await world.pods("app=agent")) == 1

    try:
        await world.until(one)
        (first,) = await world.pods("app=agent")
        await world.kubelet(finish="Failed")

        async def replaced() -> bool:
            found = await world.pods("app=agent")
            return len(found) == 1 and name_of(found[0]) != name_of(first)

        await world.until(replaced)
        await world.hears("FailedDaemonPod", name_of(first))
    finally:
        await nodes.delete(name)
