"""Stories about what goes, and what must not: garbage collection, namespaces, volumes in use."""

from __future__ import annotations

from kubarium.apimachinery import conditions, errors, names
from kubarium.apimachinery.object import Object, is_deleting, name_of, uid_of
from kubarium.client.rest import Client
from tests.integration.controller_manager.test_networking import service
from tests.integration.controller_manager.world import World, template, workload


def config_map(name: str, *owners: Object, blocks: bool = True, **metadata: object) -> Object:
    references = [
        {
            "apiVersion": one["apiVersion"],
            "kind": one["kind"],
            "name": name_of(one),
            "uid": uid_of(one),
            "blockOwnerDeletion": blocks,
        }
        for one in owners
    ]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "ownerReferences": references, **metadata},
    }


async def names_of(world: World) -> set[str]:
    return {name_of(one) for one in await world.list("v1", "configmaps")} - {"kube-root-ca.crt"}


async def test_dependents_go_in_the_background(world: World) -> None:
    owner = await world.create(config_map("owner"))
    await world.create(config_map("child", owner))
    await world.create(config_map("grandchild", await world.get("v1", "configmaps", "child")))
    await world.resource("v1", "configmaps").delete("owner", world.namespace, propagation_policy="Background")

    async def empty() -> bool:
        return not await names_of(world)

    await world.until(empty)


async def test_a_foreground_deletion_waits_for_what_blocks_it(world: World) -> None:
    owner = await world.create(config_map("owner"))
    await world.create(config_map("child", owner, finalizers=["example.com/hold"]))
    resource = world.resource("v1", "configmaps")
    await resource.delete("owner", world.namespace, propagation_policy="Foreground")

    async def child_is_deleting() -> bool:
        return bool((await world.get("v1", "configmaps", "child"))["metadata"].get("deletionTimestamp"))

    await world.until(child_is_deleting)
    owner = await world.get("v1", "configmaps", "owner")
    assert owner["metadata"]["finalizers"] == ["foregroundDeletion"]
    await world.patch("v1", "configmaps", "child", {"metadata": {"finalizers": None}})

    async def empty() -> bool:
        return not await names_of(world)

    await world.until(empty)


async def test_orphans_forget_their_owner(world: World) -> None:
    owner = await world.create(config_map("owner"))
    await world.create(config_map("child", owner))
    await world.resource("v1", "configmaps").delete("owner", world.namespace, propagation_policy="Orphan")

    async def orphaned() -> bool:
        child = await world.get("v1", "configmaps", "child")
        return not child["metadata"].get("ownerReferences") and await names_of(world) == {"child"}

    await world.until(orphaned)


async def test_a_dependent_survives_with_another_owner(world: World) -> None:
    first, second = await world.create(config_map("first")), await world.create(config_map("second"))
    await world.create(config_map("child", first, second))
    await world.resource("v1", "configmaps").delete("first", world.namespace)

    async def only_second() -> bool:
        references = (await world.get("v1", "configmaps", "child"))["metadata"].get("ownerReferences") or []
        return [one["name"] for one in references] == ["second"]

    await world.until(only_second)


async def test_a_circle_of_pods_that_own_each_other_is_broken(world: World) -> None:
    """Each is the controller of the next, and blocks the end of the one before."""
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": template()["spec"]}
    pods = [await world.create({**pod, "metadata": {"name": name}}) for name in ("first", "second", "third")]
    for one, owner in zip(pods, [pods[-1], *pods], strict=False):
        (reference,) = config_map("x", owner)["metadata"]["ownerReferences"]
        references = [reference | {"controller": True}]
        await world.patch("v1", "pods", name_of(one), {"metadata": {"ownerReferences": references}})
    await world.delete("v1", "pods", "first", propagation_policy="Foreground")

    async def all_gone() -> bool:
        return not await world.pods()

    await world.until(all_gone, kubelet=True)


async def test_an_owner_that_never_was_takes_its_dependent_along(world: World) -> None:
    ghost = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ghost", "uid": "no-such-uid"}}
    await world.create(config_map("child", ghost))

    async def empty() -> bool:
        return not await names_of(world)

    await world.until(empty)


async def test_an_owner_is_nowhere_but_where_it_is(world: World) -> None:
    """A reference with the right uid, but another name or in another namespace, is to nobody; others stay right."""
    owner = await world.create(config_map("owner"))
    far = config_map(f"{world.namespace}-far", namespace="default")
    far = await world.resource("v1", "configmaps").create(far)
    misnamed = {**owner, "metadata": {**owner["metadata"], "name": "other"}}
    await world.create(config_map("misled", misnamed))
    await world.create(config_map("stray", far))
    await world.create(config_map("child", owner))

    async def only_the_child() -> bool:
        return await names_of(world) == {"owner", "child"}

    try:
        await world.until(only_the_child)
        place = f"namespace: {world.namespace}, name: {name_of(far)}, uid: {uid_of(far)}"
        text = f'ownerRef [v1/ConfigMap, {place}] does not exist in namespace "{world.namespace}"'
        await world.hears("OwnerRefInvalidNamespace", text)
    finally:
        await world.resource("v1", "configmaps").delete(name_of(far), "default")


async def test_a_deployment_deleted_takes_its_pods_along(world: World) -> None:
    await world.create(workload("Deployment", replicas=2))

    async def pods(count: int) -> bool:
        return len(await world.pods()) == count

    await world.until(lambda: pods(2), kubelet=True)
    await world.resource("apps/v1", "deployments").delete(
        "web", world.namespace, propagation_policy="Foreground"
    )
    await world.until(lambda: pods(0), kubelet=True)

    async def gone() -> bool:
        left = [*await world.list("apps/v1", "deployments"), *await world.list("apps/v1", "replicasets")]
        return not left

    await world.until(gone)


def controller(name: str, replicas: int) -> Object:
    return workload("ReplicationController", name, replicas, selector={"app": name}) | {"apiVersion": "v1"}


async def test_pods_go_or_stay_with_their_controller_as_one_likes(world: World) -> None:
    """In the background they follow, orphans stay, and in the foreground they go first."""
    for name in ("followed", "left", "patient"):
        await world.create(controller(name, 2))

    async def pods(**wanted: int) -> bool:
        return {name: len(await world.pods(f"app={name}")) for name in wanted} == wanted

    await world.until(lambda: pods(followed=2, left=2, patient=2), kubelet=True)
    for pod in await world.pods("app=patient"):
        await world.patch("v1", "pods", name_of(pod), {"metadata": {"finalizers": ["example.com/hold"]}})
    for name, policy in (("followed", "Background"), ("left", "Orphan"), ("patient", "Foreground")):
        await world.delete("v1", "replicationcontrollers", name, propagation_policy=policy)

    async def settled() -> bool:
        controllers = {name_of(one) for one in await world.list("v1", "replicationcontrollers")}
        free = [not one["metadata"].get("ownerReferences") for one in await world.pods("app=left")]
        leaving = [is_deleting(one) for one in await world.pods("app=patient")]
        return controllers == {"patient"} and await pods(followed=0) and [*free, *leaving] == [True] * 4

    await world.until(settled, kubelet=True)
    for pod in await world.pods("app=patient"):
        await world.patch("v1", "pods", name_of(pod), {"metadata": {"finalizers": None}})

    async def all_gone() -> bool:
        return not await world.list("v1", "replicationcontrollers") and await pods(patient=0, left=2)

    await world.until(all_gone, kubelet=True)


async def test_pods_with_a_second_owner_stay_while_the_first_waits_for_the_others(world: World) -> None:
    await world.create(controller("goes", 4))
    stays = await world.create(controller("stays", 0))

    async def four() -> bool:
        return len(await world.pods("app=goes")) == 4

    await world.until(four, kubelet=True)
    reference = {"apiVersion": "v1", "kind": "ReplicationController", "name": "stays", "uid": uid_of(stays)}
    pods = await world.pods("app=goes")
    shared = {name_of(pod) for pod in pods[:2]}
    for pod in pods[:2]:
        both = [*pod["metadata"]["ownerReferences"], reference]
        await world.patch("v1", "pods", name_of(pod), {"metadata": {"ownerReferences": both}})
    await world.delete("v1", "replicationcontrollers", "goes", propagation_policy="Foreground")

    async def only_the_shared() -> bool:
        controllers = [name_of(one) for one in await world.list("v1", "replicationcontrollers")]
        return controllers == ["stays"] and {name_of(pod) for pod in await world.pods()} == shared

    await world.until(only_the_shared, kubelet=True)
    for pod in await world.pods():
        owners = [one["name"] for one in pod["metadata"]["ownerReferences"]]
        assert not is_deleting(pod) and owners == ["stays"]


async def test_custom_resources_are_collected_too(world: World) -> None:
    group = f"{names.random_suffix()}.example.com"
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                    },
                }
            ],
        },
    }
    definitions = world.resource("apiextensions.k8s.io/v1", "customresourcedefinitions")
    await definitions.create(definition)
    things = world.resource(f"{group}/v1", "things")
    try:

        async def served() -> bool:
            await things.list(world.namespace)
            return True

        await world.until(served)
        owner = await things.create(
            {
                "apiVersion": f"{group}/v1",
                "kind": "Thing",
                "metadata": {"name": "owner", "namespace": world.namespace},
            }
        )
        await world.create(config_map("child", owner))
        child = {
            "apiVersion": f"{group}/v1",
            "kind": "Thing",
            "metadata": {
                "name": "child",
                "namespace": world.namespace,
                "ownerReferences": config_map("x", owner)["metadata"]["ownerReferences"],
            },
        }
        await things.create(child)
        await things.delete("owner", world.namespace, propagation_policy="Background")

        async def empty() -> bool:
            return not await names_of(world) and not (await things.list(world.namespace))["items"]

        await world.until(empty)
    finally:
        await definitions.delete(f"things.{group}")


async def test_a_namespace_empties_itself_pods_first(world: World, client: Client) -> None:
    name = names.generate_name("going-")
    spaces = client.resource("v1", "namespaces")
    await spaces.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    inside = World(client, name)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "slow", "finalizers": ["example.com/hold"]},
        "spec": {"containers": [{"name": "c", "image": "x"}]},
    }

    async def account() -> bool:
        await inside.get("v1", "serviceaccounts", "default")
        return True

    await world.until(account)
    await inside.create(pod)
    await inside.create(config_map("content"))
    await inside.create(service())
    found = await spaces.patch(name, {"metadata": {"labels": {"seen": "yes"}}})
    assert found["metadata"]["labels"] == {"seen": "yes", "kubernetes.io/metadata.name": name}
    found["spec"]["finalizers"].append("example.com/mine")
    found = await spaces.update(found, subresource="finalize")
    assert found["spec"]["finalizers"] == ["kubernetes", "example.com/mine"]
    one = {"type": "Seen", "status": "True", "reason": "Test", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    found = await spaces.patch(name, {"status": {"conditions": [one]}}, subresource="status")
    assert found["status"]["phase"] == "Active" and found["status"]["conditions"] == [one]
    found["status"]["conditions"] = [one | {"reason": "Replaced"}]
    found = await spaces.update_status(found)
    assert found["status"]["conditions"][0]["reason"] == "Replaced"
    found["metadata"]["labels"]["seen"] = "again"
    found = await spaces.update(found)
    assert found["metadata"]["labels"]["seen"] == "again" and found["status"]["conditions"]
    await spaces.delete(name)

    async def says_why() -> bool:
        found = await spaces.get(name)
        left = conditions.find(found["status"].get("conditions"), "NamespaceContentRemaining")
        return (
            left is not None
            and left["message"] == "Some resources are remaining: pods. has 1 resource instances"
        )

    await world.until(says_why)
    assert "content" in await names_of(inside) and await inside.list("v1", "services")
    found = await spaces.get(name)
    held = conditions.find(found["status"]["conditions"], "NamespaceFinalizersRemaining")
    assert held and held["message"].endswith("example.com/hold in 1 resource instances")
    await inside.patch("v1", "pods", "slow", {"metadata": {"finalizers": None}})

    async def emptied() -> bool:
        found = await spaces.get(name)
        return bool(found["spec"]["finalizers"] == ["example.com/mine"])

    await world.until(emptied)
    assert not await names_of(inside) and not await inside.list("v1", "services")
    found = await spaces.get(name)
    found["spec"]["finalizers"] = []
    await spaces.update(found, subresource="finalize")

    async def gone() -> bool:
        try:
            await spaces.get(name)
        except errors.NotFound:
            return True
        return False

    await world.until(gone)
