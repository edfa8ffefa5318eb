"""The one CRUD workflow, seen from outside: names, revisions, generations, finalizers, grace, dry runs."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from kubarium.apimachinery import errors
from kubarium.client.resource import PatchType
from kubarium.client.rest import Client

Object = dict[str, Any]


def config_map(name: str = "", **data: str) -> Object:
    metadata: Object = {"name": name} if name else {"generateName": "made-"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def deployment(name: str = "web") -> Object:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


async def test_system_fields_are_the_servers(client: Client, namespace: str) -> None:
    maps = client.resource("v1", "configmaps")
    sent = config_map(a="b")
    sent["metadata"] |= {"uid": "mine", "creationTimestamp": "2000-01-01T00:00:00Z", "generation": 7}
    made = await maps.create(sent, namespace)
    metadata = made["metadata"]
    assert metadata["name"].startswith("made-") and len(metadata["name"]) == len("made-") + 5
    assert metadata["uid"] != "mine" and metadata["creationTimestamp"] != "2000-01-01T00:00:00Z"
    assert "generation" not in metadata and metadata["namespace"] == namespace
    assert metadata["managedFields"][0]["fieldsV1"] == {
        "f:data": {".": {}, "f:a": {}},
        "f:metadata": {"f:generateName": {}},
    }


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": "Upper"}, 'metadata.name: Invalid value: "Upper": a lowercase RFC 1123 subdomain'),
        ({"name": ""}, "metadata.name: Required value: name or generateName is required"),
        (
            {"name": "x", "labels": {"a b": "c"}},
            'metadata.labels: Invalid value: "a b": name part must consist of',
        ),
        (
            {"name": "x", "finalizers": ["mine"]},
            "name is neither a standard finalizer name nor is it fully qualified",
        ),
    ],
)
async def test_bad_metadata_is_invalid(client: Client, namespace: str, change: Object, problem: str) -> None:
    sent = config_map("x")
    sent["metadata"] = change
    with pytest.raises(errors.Invalid) as raised:
        await client.resource("v1", "configmaps").create(sent, namespace)
    assert problem in raised.value.message
    assert raised.value.message.startswith('ConfigMap "')


async def test_names_are_taken_once(client: Client, namespace: str) -> None:
    maps = client.resource("v1", "configmaps")
    await maps.create(config_map("one"), namespace)
    with pytest.raises(errors.AlreadyExists, match='configmaps "one" already exists'):
        await maps.create(config_map("one"), namespace)


async def test_stale_updates_conflict_and_no_op_updates_write_nothing(client: Client, namespace: str) -> None:
    maps = client.resource("v1", "configmaps")
    first = await maps.create(config_map("one", a="1"), namespace)
    second = await maps.update({**first, "data": {"a": "2"}})
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    with pytest.raises(errors.Conflict, match="the object has been modified; please apply your changes"):
        await maps.update({**first, "data": {"a": "3"}})
    again = await maps.update(second)
    assert again["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
    unconditional = {**first, "metadata": {"name": "one"}, "data": {"a": "4"}}
    assert (await maps.update({**unconditional, "metadata": {"name": "one", "namespace": namespace}}))[
        "data"
    ] == {"a": "4"}


@pytest.mark.parametrize(
    ("type", "patch", "problem"),
    [
        ("merge", {"spec": {"zzz": 1}}, 'strict decoding error: unknown field "spec.zzz"'),
        (
            "json",
            [{"op": "add", "path": "/spec/replicas", "value": "x"}],
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        ("strategic", {"spec": {"zzz": 1}}, 'strict decoding error: unknown field "spec.zzz"'),
    ],
)
async def test_a_patch_that_the_types_cannot_hold_is_shown(
    client: Client, namespace: str, type: str, patch: Any, problem: str
) -> None:
    await client.resource("apps/v1", "deployments").create(deployment(), namespace)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web?fieldValidation=Strict"
    headers = {"Content-Type": f"application/{STRATEGIC if type == 'strategic' else type}-patch+json"}
    with pytest.raises(errors.Invalid) as refused:
        await client.request("PATCH", path, body=patch, headers=headers)
    shown = "map[spec:map[zzz:1]]" if type == "strategic" else '{\\"kind\\":\\"Deployment\\"'
    assert refused.value.message.startswith(f' "" is invalid: patch: Invalid value: "{shown}')
    assert refused.value.message.endswith(f'": {problem}')


STRATEGIC = "strategic-merge"


async def test_the_kind_in_a_strategic_merge_patch_is_not_heard(client: Client, namespace: str) -> None:
    """Ansible's k8s_scale names the object in its patch of the scale; in a merge patch that is refused."""
    deployments = client.resource("apps/v1", "deployments")
    await deployments.create(deployment(), namespace)
    wish = {"kind": "Deployment", "apiVersion": "apps/v1beta1", "spec": {"replicas": 7}}
    scale = await deployments.patch("web", wish, namespace, subresource="scale", type="strategic")
    assert (scale["kind"], scale["apiVersion"], scale["spec"]["replicas"]) == ("Scale", "autoscaling/v1", 7)
    with pytest.raises(errors.Invalid, match="does not match the expected API version"):
        await deployments.patch("web", wish, namespace, subresource="scale", type="merge")


async def test_options_are_named_by_their_kind(client: Client, namespace: str) -> None:
    for query, problem in (
        ("dryRun=Some", 'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: '),
        (f"fieldManager={'x' * 129}", 'CreateOptions.meta.k8s.io "" is invalid: fieldManager: Too long: '),
        ("fieldValidation=No", 'fieldValidation: Unsupported value: "No": supported values: "", "Ignore", '),
    ):
        with pytest.raises(errors.Invalid) as refused:
            await client.request("POST", f"/api/v1/namespaces/{namespace}/configmaps?{query}", body={})
        assert problem in refused.value.message


async def test_generation_counts_wishes_not_statuses(client: Client, namespace: str) -> None:
    deployments = client.resource("apps/v1", "deployments")
    made = await deployments.create(deployment(), namespace)
    assert made["metadata"]["generation"] == 1 and made["status"] == {}
    changed = await deployments.patch("web", {"spec": {"replicas": 3}, "status": {"replicas": 9}}, namespace)
    assert changed["metadata"]["generation"] == 2 and changed["status"] == {}
    labelled = await deployments.patch("web", {"metadata": {"labels": {"x": "y"}}}, namespace)
    assert labelled["metadata"]["generation"] == 2
    reported = await deployments.update_status({**labelled, "spec": {}, "status": {"replicas": 3}})
    assert reported["status"] == {"replicas": 3} and reported["spec"]["replicas"] == 3
    assert reported["metadata"]["generation"] == 2
    metadata = {"annotations": {"deployment.kubernetes.io/revision": "2"}, "labels": {"x": "z"}}
    noted = await deployments.patch("web", {"metadata": metadata}, namespace, subresource="status")
    assert (
        noted["metadata"]["annotations"] == metadata["annotations"] and noted["metadata"]["generation"] == 2
    )
    assert noted["metadata"]["labels"] == {"x": "y"}, "statuses bring no labels"
    annotated = await deployments.patch("web", {"metadata": {"annotations": {"a": "b"}}}, namespace)
    assert annotated["metadata"]["generation"] == 3, "annotations travel to replica sets"


async def test_scale_is_a_window(client: Client, namespace: str) -> None:
    deployments = client.resource("apps/v1", "deployments")
    await deployments.create(deployment(), namespace)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web/scale"
    shown = await client.request("GET", path)
    assert shown["kind"] == "Scale" and shown["spec"] == {"replicas": 1}
    assert shown["status"] == {"replicas": 0, "selector": "app=web"}
    scaled = await client.request("PUT", path, body={**shown, "spec": {"replicas": 4}})
    assert scaled["spec"] == {"replicas": 4}
    assert (await deployments.get("web", namespace))["spec"]["replicas"] == 4
    with pytest.raises(errors.Conflict):
        await client.request("PUT", path, body={**shown, "spec": {"replicas": 5}})


async def test_finalizers_keep_and_let_go(client: Client, namespace: str) -> None:
    maps = client.resource("v1", "configmaps")
    sent = config_map("kept")
    sent["metadata"]["finalizers"] = ["example.com/wait"]
    await maps.create(sent, namespace)
    await maps.delete("kept", namespace)
    waiting = await maps.get("kept", namespace)
    assert waiting["metadata"]["deletionTimestamp"] and waiting["metadata"]["deletionGracePeriodSeconds"] == 0
    with pytest.raises(errors.Invalid, match="no new finalizers can be added if the object is being deleted"):
        await maps.patch(
            "kept", {"metadata": {"finalizers": ["example.com/wait", "example.com/b"]}}, namespace
        )
    await maps.patch("kept", {"metadata": {"finalizers": None}}, namespace)
    with pytest.raises(errors.NotFound, match='configmaps "kept" not found'):
        await maps.get("kept", namespace)


async def test_propagation_sets_finalizers(client: Client, namespace: str) -> None:
    deployments = client.resource("apps/v1", "deployments")
    made = await deployments.create(deployment(), namespace)
    with pytest.raises(errors.Conflict, match="the UID in the precondition"):
        await deployments.delete("web", namespace, preconditions={"uid": "other"})
    preconditions = {"uid": made["metadata"]["uid"]}
    await deployments.delete("web", namespace, propagation_policy="Foreground", preconditions=preconditions)
    assert (await deployments.get("web", namespace))["metadata"]["finalizers"] == ["foregroundDeletion"]
    await deployments.delete("web", namespace, propagation_policy="Orphan")
    assert (await deployments.get("web", namespace))["metadata"]["finalizers"] == ["orphan"]
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    await client.request("DELETE", path, query={"propagationPolicy": "Foreground"}, body={})
    assert (await deployments.get("web", namespace))["metadata"]["finalizers"] == ["orphan"], (
        "a body is heard alone"
    )
    await deployments.patch("web", {"metadata": {"finalizers": []}}, namespace)
    with pytest.raises(errors.NotFound):
        await deployments.get("web", namespace)


async def test_pods_leave_gracefully(client: Client, default_account: str) -> None:
    namespace = default_account
    pods = client.resource("v1", "pods")
    spec = {"containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 20}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
    made = await pods.create(pod, namespace)
    assert (
        made["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
        and made["metadata"]["generation"] == 1
    )
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "p"},
        "target": {"kind": "Node", "name": "n"},
    }
    path = f"/api/v1/namespaces/{namespace}/pods/p/binding"
    await client.request("POST", path, body=binding)
    with pytest.raises(errors.Conflict, match='pod p is already assigned to node "n"'):
        await client.request("POST", path, body=binding)
    await pods.delete("p", namespace)
    leaving = await pods.get("p", namespace)
    assert leaving["metadata"]["deletionGracePeriodSeconds"] == 20 and leaving["metadata"]["generation"] == 2
    await pods.delete("p", namespace, grace_period_seconds=5)
    assert (await pods.get("p", namespace))["metadata"]["deletionGracePeriodSeconds"] == 5
    await pods.delete("p", namespace, grace_period_seconds=0)
    with pytest.raises(errors.NotFound):
        await pods.get("p", namespace)


async def test_dry_runs_keep_nothing(client: Client, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    shown = await client.request("POST", path + "?dryRun=All", body=config_map("dry"))
    assert shown["metadata"]["uid"]
    with pytest.raises(errors.NotFound):
        await client.request("DELETE", path + "/dry?dryRun=All")
    made = await client.request("POST", path, body=config_map("wet", a="1"))
    await client.request("PUT", path + "/wet?dryRun=All", body={**made, "data": {"a": "2"}})
    await client.request("DELETE", path + "/wet?dryRun=All")
    assert (await client.request("GET", path + "/wet"))["data"] == {"a": "1"}


async def test_unknown_fields_are_refused_reported_or_ignored(client: Client, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    sent = deployment()
    sent["spec"]["unknownField"] = 1
    with pytest.raises(errors.BadRequest, match=r'strict decoding error: unknown field "spec.unknownField"'):
        await client.request("POST", path + "?fieldValidation=Strict", body=sent)
    made = await client.request("POST", path + "?fieldValidation=Ignore", body=sent)
    assert "unknownField" not in made["spec"]
    # Applied, they are always refused: nobody could own them.
    with pytest.raises(
        errors.StatusError, match=r"Kind=Deployment\): \.spec\.unknownField: field not declared"
    ):
        sent["metadata"]["namespace"] = namespace
        await client.resource("apps/v1", "deployments").apply(sent, field_manager="one")


async def test_apply_creates_merges_and_conflicts(client: Client, namespace: str) -> None:
    maps = client.resource("v1", "configmaps")
    applied = await maps.apply({**config_map("shared", a="1"), "metadata": {"name": "shared", "namespace": namespace}},
                               field_manager="one")  # fmt: skip
    assert applied["metadata"]["managedFields"][0]["operation"] == "Apply"
    other = {**config_map("shared", a="2"), "metadata": {"name": "shared", "namespace": namespace}}
    with pytest.raises(errors.Conflict, match=r'Apply failed with 1 conflict: conflict with "one": .data.a'):
        await maps.apply(other, field_manager="two", force=False)
    forced = await maps.apply(other, field_manager="two", force=True)
    assert forced["data"] == {"a": "2"}


async def test_collections_go_by_selector(client: Client, namespace: str) -> None:
    maps = client.resource("v1", "configmaps")
    for name in ("a", "b", "c"):
        sent = config_map(name)
        sent["metadata"]["labels"] = {"keep": "yes" if name == "c" else "no"}
        await maps.create(sent, namespace)
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    query = {"labelSelector": "keep", "limit": "1"}
    first = await client.request("DELETE", path, query=query)  # one page
    assert [item["metadata"]["name"] for item in first["items"]] == ["a"]
    rest = await client.request("GET", path, query={**query, "continue": first["metadata"]["continue"]})
    assert [item["metadata"]["name"] for item in rest["items"]] == ["b"]
    with pytest.raises(errors.Conflict, match="the UID in the precondition"):
        await client.request("DELETE", f"{path}/b", query={"uid": "other"})
    await maps.delete_collection(namespace=namespace, label_selector="keep=no")
    assert [item["metadata"]["name"] for item in (await maps.list(namespace))["items"]] == ["c"]


async def test_services_get_addresses_and_ports(client: Client, namespace: str) -> None:
    services = client.resource("v1", "services")

    def service(name: str, **spec: Any) -> Object:
        spec = {"ports": [{"port": 80}], "selector": {"a": "b"}} | spec
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}

    made = await services.create(service("one", type="NodePort"), namespace)
    address, port = made["spec"]["clusterIP"], made["spec"]["ports"][0]["nodePort"]
    assert address.startswith("10.") and made["spec"]["clusterIPs"] == [address] and 30000 <= port <= 32767
    held = await client.resource("networking.k8s.io/v1", "ipaddresses").get(address)
    assert held["spec"]["parentRef"] == {"resource": "services", "namespace": namespace, "name": "one"}
    with pytest.raises(errors.Invalid, match=r"failed to allocate IP .*: provided IP is already allocated"):
        await services.create(service("two", clusterIP=address), namespace)
    taken = service("two", type="NodePort", ports=[{"port": 80, "nodePort": port}])
    with pytest.raises(
        errors.Invalid, match=r"spec.ports\[0\].nodePort: Invalid value: \d+: provided port is already"
    ):
        await services.create(taken, namespace)
    headless = await services.create(service("three", clusterIP="None"), namespace)
    assert headless["spec"]["clusterIPs"] == ["None"] and headless["spec"]["ipFamilies"] == ["IPv4"]
    inward = await services.patch("one", {"spec": {"type": "ClusterIP"}}, namespace)
    assert "nodePort" not in inward["spec"]["ports"][0] and inward["spec"]["clusterIP"] == address
    await services.delete("one", namespace)
    again = await services.create(service("two", clusterIP=address), namespace)
    assert again["spec"]["clusterIP"] == address


async def test_privileges_want_a_server_that_allows_them(client: Client, namespace: str) -> None:
    container = {"name": "a", "image": "b", "securityContext": {"privileged": True}}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}
    with pytest.raises(errors.Invalid) as refused:
        await client.resource("apps/v1", "deployments").create(deployment, namespace)
    assert refused.value.message == (
        'Deployment.apps "d" is invalid: spec.template.spec.containers[0].securityContext.privileged: '
        "Forbidden: disallowed by cluster policy"
    )


async def test_what_is_not_there_is_said_so(client: Client, namespace: str) -> None:
    for path, known in (
        ("/api/v1/nothings", True),
        (f"/api/v1/namespaces/{namespace}/pods/x/nothing", True),
        ("/apis/none.io/v1/things", False),
        ("/apis/none.io", False),
        ("/nothing", False),
    ):
        with pytest.raises(
            errors.NotFound, match="the server could not find the requested resource"
        ) as error:
            await client.request("GET", path)
        # Where no version is known there is no Status, only the words of any web server.
        assert isinstance(error.value, errors.NoSuchPath) is not known, path
    with pytest.raises(errors.MethodNotAllowed):
        await client.request("DELETE", f"/api/v1/namespaces/{namespace}/pods/x/binding")
    with pytest.raises(
        errors.BadRequest, match=r"does not match the expected API version|cannot be handled as a"
    ):
        await client.request("POST", f"/api/v1/namespaces/{namespace}/pods", body=config_map("x"))
    with pytest.raises(errors.UnsupportedMediaType):
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        await client.request("POST", path, body=config_map("x"), headers={"Content-Type": "text/x"})


async def test_writes_that_name_no_revision_never_conflict(client: Client, namespace: str) -> None:
    """Patches and deletions are tried again by the server, also when they take the last finalizer away."""
    maps = client.resource("v1", "configmaps")

    async def patch(name: str, type: PatchType, patch: Any) -> None:
        with contextlib.suppress(errors.NotFound):
            await maps.patch(name, patch, namespace, type=type)

    for turn in range(10):
        name = f"contended-{turn}"
        sent = config_map(name)
        sent["metadata"]["finalizers"] = ["example.com/wait"]
        await maps.create(sent, namespace)
        await maps.delete(name, namespace)
        notes = [patch(name, "merge", {"data": {f"k{n}": "v"}}) for n in range(8)]
        release = patch(name, "json", [{"op": "remove", "path": "/metadata/finalizers"}])
        await asyncio.gather(*notes[:4], release, *notes[4:])
        with pytest.raises(errors.NotFound):
            await maps.get(name, namespace)
        await maps.create(config_map(name), namespace)
        notes = [patch(name, "merge", {"data": {f"k{n}": "v"}}) for n in range(8)]
        await asyncio.gather(*notes[:4], maps.delete(name, namespace), *notes[4:])


async def test_remarks_come_as_warnings(client: Client, namespace: str) -> None:
    """A deprecated resource says so on every request, an odd object when it is made."""
    listed = await client.fetch("GET", f"/api/v1/namespaces/{namespace}/endpoints")
    remark = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
    assert listed.headers["warning"] == f'299 - "{remark}"'
    odd = deployment("odd")
    odd["spec"]["template"]["spec"]["volumes"] = [{"name": "v", "gitRepo": {"repository": "r"}}]
    made = await client.fetch("POST", f"/apis/apps/v1/namespaces/{namespace}/deployments", body=odd)
    assert made.headers["warning"] == '299 - "spec.template.spec.volumes[0].gitRepo: deprecated in v1.11"'


async def test_an_applied_scale_owns_the_replicas(client: Client, namespace: str) -> None:
    deployments = client.resource("apps/v1", "deployments")
    sent = deployment()
    sent["metadata"]["namespace"] = namespace
    sent["spec"]["replicas"] = 1
    made = await deployments.apply(sent, field_manager="one")
    name = made["metadata"]["name"]
    scale = {
        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": 5},
    }  # fmt: skip
    with pytest.raises(errors.Conflict, match=r'conflict with "one": \.spec\.replicas$'):
        await deployments.apply(scale, field_manager="scaler", subresource="scale", force=False)
    shown = await deployments.apply(scale, field_manager="scaler", subresource="scale")
    assert (shown["kind"], shown["spec"]) == ("Scale", {"replicas": 5})
    managers = (await deployments.get(name, namespace))["metadata"]["managedFields"]
    entry = next(entry for entry in managers if entry["manager"] == "scaler")
    assert (entry["operation"], entry["subresource"]) == ("Apply", "scale")
    assert entry["fieldsV1"] == {"f:spec": {"f:replicas": {}}}
    del sent["spec"]["replicas"]  # handed over
    assert (await deployments.apply(sent, field_manager="one"))["spec"]["replicas"] == 5


@pytest.mark.parametrize(("kind", "plural"), [("ConfigMap", "configmaps"), ("Secret", "secrets")])
async def test_data_is_fixed_when_its_owner_says_so(
    client: Client, namespace: str, kind: str, plural: str
) -> None:
    resource = client.resource("v1", plural)
    about = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "fixed"}}
    with pytest.raises(
        errors.Invalid, match=r'data\[\]: Invalid value: "": a valid config key must consist of'
    ):
        await resource.create(about | {"data": {"": "eA=="}}, namespace)
    await resource.create(about | {"data": {"a": "eA=="}}, namespace)
    await resource.patch("fixed", {"data": {"a": "eQ=="}}, namespace)
    await resource.patch("fixed", {"immutable": True}, namespace)
    for change, field in (
        ({"data": {"a": "eA=="}}, "data"),
        ({"data": {"b": "eA=="}}, "data"),
        ({"immutable": False}, "immutable"),
        ({"immutable": None}, "immutable"),
    ):
        with pytest.raises(
            errors.Invalid, match=f"{field}: Forbidden: field is immutable when `immutable` is set"
        ):
            await resource.patch("fixed", change, namespace)
    after = await resource.patch("fixed", {"metadata": {"labels": {"still": "mine"}}}, namespace)
    assert (after["data"], after["immutable"]) == ({"a": "eQ=="}, True)
