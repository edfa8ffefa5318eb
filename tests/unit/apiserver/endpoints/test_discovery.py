"""Discovery documents are compared with the published ones where these are at hand.

Set KUBARIUM_SPEC to a folder that has `discovery/aggregated_v2.json` and its neighbours of Kubernetes v1.36.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from apiserver.endpoints.discovery import Discovery, RemoteGroup
from apiserver.extensions.custom_resource import rows_of
from apiserver.registry import catalog
from apiserver.registry.resource import Catalog
from kubarium.apimachinery import errors
from kubarium.apimachinery.schema import catalog as schemas
from tests import published as published_data

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
NOT_SERVED = ("internal.apiserver.k8s.io", "storagemigration.k8s.io")  # no stable version


@pytest.fixture
def discovery() -> Discovery:
    rows = Catalog()
    rows.add(catalog.rows())
    return Discovery(rows, "10.0.0.1:6443")


def get(discovery: Discovery, path: str, accept: str = "") -> Any:
    return orjson.loads(discovery.answer(path, accept).body)


def test_subresources_name_foreign_kinds_only(discovery: Discovery) -> None:
    entries = {entry["name"]: entry for entry in get(discovery, "/api/v1")["resources"]}
    assert entries["pods"]["shortNames"] == ["po"] and entries["pods"]["storageVersionHash"] == "xPOwRZ+Yhw8="
    assert entries["pods/eviction"] == {
        "name": "pods/eviction", "singularName": "", "namespaced": True, "group": "policy", "version": "v1",
        "kind": "Eviction", "verbs": ["create"],
    }  # fmt: skip
    assert "group" not in entries["pods/status"]


def test_forms_follow_accept(discovery: Discovery) -> None:
    document = discovery.answer("/apis", AGGREGATED)
    assert document.media_type == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    assert document.etag
    older = AGGREGATED.replace("v=v2", "v=v2beta1")
    assert get(discovery, "/apis", older)["apiVersion"] == "apidiscovery.k8s.io/v2beta1"
    assert get(discovery, "/apis", "application/json")["kind"] == "APIGroupList"
    with pytest.raises(errors.NotAcceptable):
        discovery.answer("/apis", "application/vnd.kubernetes.protobuf")


def test_unknown_groups_are_not_found(discovery: Discovery) -> None:
    for path in ("/apis/none", "/apis/apps/v2", "/api/v2"):
        with pytest.raises(errors.NotFound):
            discovery.answer(path, "")


def test_remote_groups_come_last(discovery: Discovery) -> None:
    resources = [
        {"name": "things", "singularName": "thing", "namespaced": True, "kind": "Thing", "verbs": ["get"]}
    ]
    discovery.set_remote([RemoteGroup("a.example.com", "v1", resources, stale=True)])
    last = get(discovery, "/apis", AGGREGATED)["items"][-1]
    assert last["metadata"]["name"] == "a.example.com" and last["versions"][0]["freshness"] == "Stale"
    assert last["versions"][0]["resources"][0]["scope"] == "Namespaced"


def published(name: str) -> Any:
    return orjson.loads(published_data.file("discovery", name).read_bytes())


def test_stable_versions_equal_the_published_ones(discovery: Discovery) -> None:
    ours = {group["metadata"]["name"]: group for group in get(discovery, "/apis", AGGREGATED)["items"]}
    theirs = published("aggregated_v2.json")["items"]
    assert list(ours) == [g["metadata"]["name"] for g in theirs if g["metadata"]["name"] not in NOT_SERVED]
    for group in theirs:
        stable = [v for v in group["versions"] if "alpha" not in v["version"] and "beta" not in v["version"]]
        if stable:
            assert ours[group["metadata"]["name"]]["versions"] == stable


@pytest.mark.parametrize(
    "path", ["/api/v1", "/apis/apps/v1", "/apis/autoscaling/v1", "/apis/events.k8s.io/v1"]
)
def test_older_documents_equal_the_published_ones(discovery: Discovery, path: str) -> None:
    assert get(discovery, path) == published(path[1:].replace("/", "__") + ".json")


def test_custom_resources_are_shown_by_their_full_kinds_and_without_the_hash_of_what_is_not_served() -> None:
    schema = {"openAPIV3Schema": {"type": "object"}}
    versions = [
        {
            "name": "v1beta1",
            "served": True,
            "storage": False,
            "schema": schema,
            "subresources": {"status": {}},
        },
        {"name": "v1", "served": True, "storage": False, "schema": schema},
        {"name": "v2", "served": False, "storage": True, "schema": schema},
    ]
    names = {"plural": "toys", "singular": "toy", "kind": "Toy", "shortNames": ["t"], "categories": ["all"]}
    spec = {"group": "example.com", "scope": "Cluster", "names": names, "versions": versions}
    rows = Catalog()
    rows.add(rows_of({"metadata": {"name": "toys.example.com"}, "spec": spec}, schemas.load()))
    (group,) = get(Discovery(rows), "/apis", AGGREGATED)["items"]
    assert [version["version"] for version in group["versions"]] == ["v1", "v1beta1"]
    verbs = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
    kind = {"group": "example.com", "version": "v1beta1", "kind": "Toy"}
    assert group["versions"][1]["resources"] == [
        {
            "resource": "toys",
            "responseKind": kind,
            "scope": "Cluster",
            "singularResource": "toy",
            "verbs": verbs,
            "shortNames": ["t"],
            "categories": ["all"],
            "subresources": [
                {"subresource": "status", "responseKind": kind, "verbs": ["get", "patch", "update"]}
            ],
        }
    ]
    (toys, status) = get(Discovery(rows), "/apis/example.com/v1beta1")["resources"]
    assert "storageVersionHash" not in toys and "group" not in status
