"""Lists and watches as clients see them: pages, revisions, selectors, initial events, forms."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from kubarium.apimachinery import errors
from kubarium.apimachinery.protobuf import decoding
from kubarium.client.rest import Client

Object = dict[str, Any]
METHODS = ("POST", "HEAD", "DELETE")
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}


def path(namespace: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps" + (f"/{name}" if name else "")


async def make(client: Client, namespace: str, name: str, data: str = "", **labels: str) -> str:
    metadata = {"name": name, "labels": labels}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"x": data}}
    made = await client.request("POST", path(namespace), body=body)
    return str(made["metadata"]["resourceVersion"])


async def label(client: Client, namespace: str, name: str, **labels: str | None) -> str:
    headers = {"Content-Type": "application/merge-patch+json"}
    body = {"metadata": {"labels": labels}}
    changed = await client.request("PATCH", path(namespace, name), body=body, headers=headers)
    return str(changed["metadata"]["resourceVersion"])


async def events(
    client: Client,
    namespace: str,
    count: int,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    begun: asyncio.Event | None = None,
) -> list[Object]:
    """The first events of a watch; fewer if it ends. `begun` is set when the first one is here."""
    found: list[Object] = []
    pending = b""
    async with asyncio.timeout(60):
        async with client.stream(
            "GET", path(namespace), query={"watch": "1", **(query or {})}, headers=headers
        ) as answer:
            async for chunk in answer.chunks():
                *lines, pending = (pending + chunk).split(b"\n")
                found += [orjson.loads(line) for line in lines]
                if begun is not None and found:
                    begun.set()
                if len(found) >= count:
                    break
    return found


def brief(found: list[Object]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in found]


async def test_pages_show_one_moment(client: Client, namespace: str) -> None:
    for name in "abcde":
        await make(client, namespace, name)
    first = await client.request("GET", path(namespace), query={"limit": "2"})
    assert [item["metadata"]["name"] for item in first["items"]] == ["a", "b", "kube-root-ca.crt"][:2]
    remaining = first["metadata"]["remainingItemCount"]
    await client.request("DELETE", path(namespace, "c"))
    query = {"limit": "100", "continue": first["metadata"]["continue"]}
    second = await client.request("GET", path(namespace), query=query)
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert [item["metadata"]["name"] for item in second["items"]][:3] == ["c", "d", "e"]
    assert len(second["items"]) == remaining
    assert "continue" not in second["metadata"]


async def test_items_of_typed_lists_do_not_repeat_their_kind(client: Client, namespace: str) -> None:
    await make(client, namespace, "a")
    found = await client.request("GET", path(namespace))
    assert found["kind"] == "ConfigMapList"
    assert "kind" not in found["items"][0]


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ({"resourceVersionMatch": "Exact"}, 422, "resourceVersionMatch is forbidden unless resourceVersion"),
        ({"resourceVersionMatch": "Exact", "resourceVersion": "0"}, 422, 'resourceVersionMatch "exact" is forbidden'),
        ({"resourceVersionMatch": "X", "resourceVersion": "5"}, 422, 'Unsupported value: "X"'),
        ({"sendInitialEvents": "true"}, 422, "sendInitialEvents is forbidden for list"),
        ({"continue": "!"}, 400, "invalid continue token: continue key is not valid"),
        ({"fieldSelector": "spec.x=y"}, 400, '"spec.x" is not a known field selector'),
        ({"labelSelector": "a=="}, 0, ""),
        ({"labelSelector": "a in b"}, 400, "unable to parse requirement: found 'b' expected: '('"),
        ({"resourceVersion": "x"}, 400, "invalid resource version: resourceVersion: Invalid value: \"x\""),
        ({"resourceVersion": "99999999999999999999"}, 400, "value out of range"),
        ({"resourceVersion": "999999999"}, 504, "Too large resource version: 999999999, current: "),
        ({"watch": "1", "sendInitialEvents": "true"}, 422, "requires setting resourceVersionMatch to NotOlderThan"),
        ({"watch": "1", "resourceVersionMatch": "NotOlderThan"}, 422, "forbidden for watch unless sendInitialEvents"),
    ],
)  # fmt: skip
async def test_options_that_make_no_sense(
    client: Client, namespace: str, query: dict[str, str], code: int, message: str
) -> None:
    if not code:
        await client.request("GET", path(namespace), query=query)
        return
    with pytest.raises(errors.StatusError) as failed:
        await client.request("GET", path(namespace), query=query)
    assert failed.value.code == code
    assert message in failed.value.message


async def test_selectors_choose(client: Client, namespace: str) -> None:
    await make(client, namespace, "a", tier="front")
    await make(client, namespace, "b", tier="back")

    async def names(**query: str) -> list[str]:
        found = await client.request("GET", path(namespace), query=query)
        return [item["metadata"]["name"] for item in found["items"]]

    assert await names(labelSelector="tier=front") == ["a"]
    assert await names(labelSelector="tier in (front,back),tier!=front") == ["b"]
    assert await names(fieldSelector="metadata.name=b") == ["b"]
    assert await names(fieldSelector=f"metadata.name=b,metadata.namespace!={namespace}") == []


async def test_a_watch_tells_what_is_there_and_then_what_happens(client: Client, namespace: str) -> None:
    await make(client, namespace, "a", tier="front")
    begun = asyncio.Event()
    watching = asyncio.create_task(events(client, namespace, 4, {"labelSelector": "tier=front"}, begun=begun))
    await begun.wait()
    await make(client, namespace, "b", tier="back")
    await label(client, namespace, "b", tier="front")
    await label(client, namespace, "b", more="1")
    last = await label(client, namespace, "b", tier=None)
    found = await watching
    assert brief(found) == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "b")]
    assert found[-1]["object"]["metadata"]["resourceVersion"] == last
    assert found[-1]["object"]["metadata"]["labels"] == {"tier": "front", "more": "1"}
    assert found[0]["object"]["kind"] == "ConfigMap"


async def test_a_deletion_carries_the_last_state(client: Client, namespace: str) -> None:
    start = await make(client, namespace, "a", data="last words")
    await client.request("DELETE", path(namespace, "a"))
    (gone,) = await events(client, namespace, 1, {"resourceVersion": start})
    assert gone["type"] == "DELETED"
    assert gone["object"]["data"] == {"x": "last words"}
    assert int(gone["object"]["metadata"]["resourceVersion"]) > int(start)


async def test_watch_list_ends_with_a_marked_bookmark(client: Client, namespace: str) -> None:
    await make(client, namespace, "a")
    query = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
        "fieldSelector": "metadata.name=a",
    }
    found = await events(client, namespace, 2, query)
    assert brief(found) == [("ADDED", "a"), ("BOOKMARK", "")]
    bookmark = found[1]["object"]
    assert bookmark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert bookmark["kind"] == "ConfigMap"


async def test_a_watch_ends_in_time_with_a_bookmark(client: Client, namespace: str) -> None:
    start = await make(client, namespace, "a")
    query = {"resourceVersion": start, "timeoutSeconds": "1", "allowWatchBookmarks": "true"}
    found = await events(client, namespace, 99, query | {"fieldSelector": "metadata.name=nobody"})
    assert brief(found) == [("BOOKMARK", "")]
    assert int(found[0]["object"]["metadata"]["resourceVersion"]) >= int(start)


async def test_forms(client: Client, namespace: str) -> None:
    await make(client, namespace, "a")
    table = await client.request(
        "GET", path(namespace), query={"fieldSelector": "metadata.name=a"}, headers=TABLE
    )
    assert table["kind"] == "Table"
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert table["rows"][0]["cells"][:2] == ["a", 1]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert "Data contains the configuration data." in table["columnDefinitions"][1]["description"]
    gone = await client.request("DELETE", path(namespace), query={"dryRun": "All"}, headers=TABLE)
    assert [row["cells"][0] for row in gone["rows"]] == ["a"]
    as_list = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
    with pytest.raises(errors.StatusError, match=r"is not a list \(\*core.ConfigMap\)") as told:
        await client.request("GET", path(namespace, "a"), headers=as_list)
    assert told.value.details is None
    partial = {"Accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}
    found = await client.request("GET", path(namespace, "a"), headers=partial)
    assert sorted(found) == ["apiVersion", "kind", "metadata"]
    (event,) = await events(client, namespace, 1, {"fieldSelector": "metadata.name=a"}, TABLE)
    assert event["object"]["kind"] == "Table"
    text = await client.request("GET", path(namespace, "a"), headers={"Accept": "application/yaml"})
    assert "kind: ConfigMap\n" in text
    preferred = {"Accept": "application/vnd.kubernetes.protobuf, */*"}
    assert (await client.request("GET", path(namespace, "a"), headers=preferred))["kind"] == "ConfigMap"


async def test_protobuf_for_those_who_accept_nothing_else(client: Client, namespace: str) -> None:
    await make(client, namespace, "a")
    only = {"Accept": "application/vnd.kubernetes.protobuf"}

    async def read(where: str, accept: dict[str, str] = only) -> Object:
        answer = await client.fetch("GET", where, headers=accept)
        assert answer.headers["content-type"].startswith(only["Accept"])
        return decoding.decode(answer.content)

    assert await read(path(namespace, "a")) == await client.request("GET", path(namespace, "a"))
    listed = await read(path(namespace))
    assert "a" in [item["metadata"]["name"] for item in listed["items"]]
    metadata = {"Accept": only["Accept"] + ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
    assert (await read(path(namespace), metadata))["kind"] == "PartialObjectMetadataList"
    assert (await read("/apis/apps/v1"))["kind"] == "APIResourceList"
    query = {"watch": "1", "fieldSelector": "metadata.name=a"}
    async with client.stream("GET", path(namespace), query=query, headers=only) as answer:
        assert answer.headers["content-type"] == "application/vnd.kubernetes.protobuf;stream=watch"
        frame = await anext(answer.chunks())
        assert frame[4:11] == b"\x0a\x05ADDED"
    refused = await client.transport.send("GET", path(namespace, "none"), client.headers(only), None, 60.0)
    status = decoding.decode(await refused.read())
    assert (refused.status, status["kind"], status["reason"]) == (404, "Status", "NotFound")
    table = {"Accept": only["Accept"] + ";as=Table;g=meta.k8s.io;v=v1"}
    refused = await client.transport.send("GET", path(namespace, "a"), client.headers(table), None, 60.0)
    assert (refused.status, decoding.decode(await refused.read())["reason"]) == (406, "NotAcceptable")
    with pytest.raises(errors.StatusError) as told:
        async with client.stream("GET", path(namespace), query=query, headers=table):
            pass
    assert told.value.code == 406


async def test_large_lists_are_compressed_for_those_who_like_it(client: Client, namespace: str) -> None:
    for name in "abc":
        await make(client, namespace, name, data="x" * 100_000)
    answer = await client.fetch("GET", path(namespace), headers={"Accept-Encoding": "gzip"})
    content = answer.content
    if answer.headers.get("content-encoding") == "gzip" and content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    assert len([i for i in orjson.loads(content)["items"] if i["metadata"]["name"] in "abc"]) == 3


@pytest.mark.parametrize("page", ["healthz", "livez", "readyz"])
async def test_health_names_what_was_started(client: Client, page: str) -> None:
    """Upstream's own suite looks for these names (`test/e2e/apimachinery/health_handlers.go`)."""
    text = await client.request("GET", f"/{page}?verbose=1")
    names = {
        line.removeprefix("[+]").removesuffix(" ok") for line in text.splitlines() if line.startswith("[+]")
    }
    hooks = """
        start-apiserver-admission-initializer generic-apiserver-start-informers start-apiextensions-informers
        start-apiextensions-controllers crd-informer-synced bootstrap-controller start-system-namespaces-controller
        scheduling/bootstrap-system-priority-classes start-cluster-authentication-info-controller
        start-kube-aggregator-informers apiservice-registration-controller
        apiservice-status-local-available-controller apiservice-status-remote-available-controller
        kube-apiserver-autoregistration apiservice-openapi-controller
    """
    wanted = {f"poststarthook/{hook}" for hook in hooks.split()} | {
        "ping",
        "log",
        "etcd",
        "autoregister-completion",
    }
    assert wanted <= names


async def status_of(client: Client, method: str, at: str) -> int:
    try:
        return (await client.fetch(method, at)).status
    except errors.StatusError as error:
        return error.code


@pytest.mark.parametrize(
    ("paths", "code"),
    [
        (["/version", "/api", "/api/v1", "/apis/apps/v1", "/openid/v1/jwks"], 405),
        (
            ["/", "/apis", "/apis/apps", "/openapi/v2", "/openapi/v3", "/metrics", "/healthz", "/livez/ping"],
            200,
        ),
        (["/apis/apps/v7", "/nothing"], 404),
    ],
)
async def test_methods_on_what_is_no_resource(client: Client, paths: list[str], code: int) -> None:
    """Compared with kube-apiserver: documents of its web services are for GET alone, other pages for any method."""
    found = {(method, at): await status_of(client, method, at) for at in paths for method in METHODS}
    assert found == dict.fromkeys(found, code)


async def test_what_may_be_kept(client: Client) -> None:
    kept = {"/openid/v1/jwks": "public, max-age=3600", "/version": "no-cache, private"}
    for at, expected in kept.items():
        assert (await client.fetch("GET", at)).headers["cache-control"] == expected


async def test_components_are_looked_at(client: Client) -> None:
    found = await client.request("GET", "/api/v1/componentstatuses")
    names = [one["metadata"]["name"] for one in found["items"]]
    assert names == ["controller-manager", "etcd-0", "scheduler"]
    etcd = await client.request("GET", "/api/v1/componentstatuses/etcd-0")
    assert etcd["conditions"] == [{"type": "Healthy", "status": "True", "message": "ok"}]
    table = await client.request("GET", "/api/v1/componentstatuses/etcd-0", headers=TABLE)
    assert table["rows"][0]["cells"] == ["etcd-0", "Healthy", "ok", ""]
    with pytest.raises(errors.NotFound, match='componentstatuses "nobody" not found'):
        await client.request("GET", "/api/v1/componentstatuses/nobody")


@pytest.mark.parametrize(
    ("method", "where", "code", "said"),
    [
        ("HEAD", "/api/v1/namespaces", 405, b""),
        ("GET", "/api//v1/namespaces", 404, b"could not find the requested resource"),
        ("GET", "/api/v9/pods", 404, b"could not find the requested resource"),
        ("GET", "/apis/apps/v9", 404, b"could not find the requested resource"),
        ("GET", "/apis/apps/v9/deployments", 404, b"could not find the requested resource"),
        ("GET", "/apis/nobody/v1/things", 404, b"404 page not found\n"),
        ("GET", "//api/v1/namespaces", 404, b"404 page not found\n"),
        ("GET", "/api/v1/namespaces/default/pods/a/log/b", 404, b"could not find the requested resource"),
        ("GET", "/api/v1/namespaces//configmaps", 200, b'"kind":"ConfigMapList"'),
        ("GET", "/api/v1/namespaces//configmaps/a", 400, b"Namespace parameter required."),
        ("DELETE", "/api/v1/namespaces//configmaps", 400, b"Namespace parameter required."),
        ("GET", "/api/v1/namespaces/default/pods//log", 400, b"name must be provided"),
        ("GET", "/api/v1/nodes//status", 400, b"name must be provided"),
        ("GET", "/api/v1/namespaces/%zz", 400, b"400 Bad Request"),
        ("PATCH", "/api/v1/namespaces/default/configmaps/a", 415, b'"message":"415: Unsupported Media Type"'),
    ],
)
async def test_odd_requests(client: Client, method: str, where: str, code: int, said: bytes) -> None:
    body = b"{}" if method == "PATCH" else None
    answer = await client.transport.send(
        method, where, client.headers({"Content-Type": "text/plain"}), body, 60.0
    )
    assert answer.status == code
    assert said in await answer.read()
