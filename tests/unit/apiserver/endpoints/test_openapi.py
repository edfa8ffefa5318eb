"""What the OpenAPI documents say, beside what follows from the schemas."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from apiserver.endpoints.openapi import OpenAPI
from apiserver.registry import catalog
from apiserver.registry.resource import Catalog
from kubarium.apimachinery.schema import catalog as schemas

META = "io.k8s.apimachinery.pkg.apis.meta.v1"


@pytest.fixture(scope="module")
def openapi() -> OpenAPI:
    rows = Catalog()
    rows.add(catalog.rows())
    return OpenAPI(rows, schemas.load())


def schemas_of(openapi: OpenAPI, name: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(openapi.answer(f"v3/{name}", "", "").body)["components"]["schemas"]
    return found


@pytest.mark.parametrize(("name", "groups"), [("api/v1", [""]), ("apis/batch/v1", ["", "batch"])])
def test_options_are_those_of_the_documents_own_group(openapi: OpenAPI, name: str, groups: list[str]) -> None:
    kinds = schemas_of(openapi, name)[f"{META}.DeleteOptions"]["x-kubernetes-group-version-kind"]
    assert kinds == [{"group": group, "kind": "DeleteOptions", "version": "v1"} for group in groups]


def test_nothing_stands_beside_a_reference(openapi: OpenAPI) -> None:
    request = "io.k8s.api.certificates.v1.CertificateSigningRequest"
    metadata = schemas_of(openapi, "apis/certificates.k8s.io/v1")[request]["properties"]["metadata"]
    assert metadata == {"allOf": [{"$ref": f"#/components/schemas/{META}.ObjectMeta"}], "default": {}}


def test_the_older_form_of_watches_is_published_for_built_in_kinds(openapi: OpenAPI) -> None:
    paths = orjson.loads(openapi.answer("v3/apis/apps/v1", "", "").body)["paths"]
    base = "/apis/apps/v1/watch/"
    ids = {
        f"{base}deployments": "watchAppsV1DeploymentListForAllNamespaces",
        f"{base}namespaces/{{namespace}}/deployments": "watchAppsV1NamespacedDeploymentList",
        f"{base}namespaces/{{namespace}}/deployments/{{name}}": "watchAppsV1NamespacedDeployment",
    }
    watches = {path: item["get"] for path, item in paths.items() if "/deployments" in path and base in path}
    assert {path: watch["operationId"] for path, watch in watches.items()} == ids
    actions = [watch["x-kubernetes-action"] for _, watch in sorted(watches.items())]
    assert actions == ["watchlist", "watchlist", "watch"]
    content = watches[f"{base}deployments"]["responses"]["200"]["content"]
    assert content["application/json;stream=watch"]["schema"] == {
        "$ref": f"#/components/schemas/{META}.WatchEvent"
    }
    names = [one["name"] for one in paths[f"{base}deployments"]["parameters"]]
    assert "watch" in names and "fieldSelector" in names
    nodes = orjson.loads(openapi.answer("v3/api/v1", "", "").body)["paths"]
    assert nodes["/api/v1/watch/nodes"]["get"]["operationId"] == "watchCoreV1NodeList"
    assert not [path for path in nodes if "/watch/" in path and path.endswith("/bindings")]


@pytest.mark.parametrize(
    ("name", "operation", "schema"),
    [
        ("api", "getCoreAPIVersions", f"{META}.APIVersions"),
        ("apis", "getAPIVersions", f"{META}.APIGroupList"),
        ("apis/rbac.authorization.k8s.io", "getRbacAuthorizationAPIGroup", f"{META}.APIGroup"),
        ("version", "getCodeVersion", "io.k8s.apimachinery.pkg.version.Info"),
        ("openid/v1/jwks", "getServiceAccountIssuerOpenIDKeyset", ""),
        (".well-known/openid-configuration", "getServiceAccountIssuerOpenIDConfiguration", ""),
    ],
)
def test_what_is_no_resource_has_a_document_too(
    openapi: OpenAPI, name: str, operation: str, schema: str
) -> None:
    index = orjson.loads(openapi.answer("v3", "", "").body)["paths"]
    address, _, mark = index[name]["serverRelativeURL"].partition("?hash=")
    assert address == f"/openapi/v3/{name}" in openapi.paths()
    document = openapi.answer(f"v3/{name}", mark, "")
    assert "immutable" in document.headers["Cache-Control"]
    content = orjson.loads(document.body)
    found = content["paths"][f"/{name}/"]["get"]
    assert found["operationId"] == operation
    answers = [answer["schema"] for answer in found["responses"]["200"]["content"].values()]
    shown = {"$ref": f"#/components/schemas/{schema}"} if schema else {"type": "string"}
    assert all(answer == shown for answer in answers)
    assert (schema in content["components"]["schemas"]) == bool(schema)
    old = orjson.loads(openapi.answer("v2", "", "").body)["paths"][f"/{name}/"]["get"]
    assert (old["operationId"], "consumes" in old) == (operation, bool(schema))
