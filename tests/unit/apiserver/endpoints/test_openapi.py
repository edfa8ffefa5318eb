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
