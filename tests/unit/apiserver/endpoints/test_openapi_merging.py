"""Foreign OpenAPI documents beside our own."""

from __future__ import annotations

from typing import Any

from apiserver.endpoints.openapi_merging import filtered, merge


def path(name: str) -> dict[str, Any]:
    return {"get": {"schema": {"$ref": f"#/definitions/{name}"}}}


def test_only_what_the_paths_need_is_taken() -> None:
    document = {
        "paths": {"/apis/a/v1/things": path("Thing"), "/apis/a/v10/things": path("Other"), "/healthz": {}},
        "definitions": {"Thing": path("Part"), "Part": {"type": "string"}, "Other": {}},
    }
    assert filtered(document, "/apis/a/v1") == {
        "paths": {"/apis/a/v1/things": path("Thing")},
        "definitions": {"Thing": path("Part"), "Part": {"type": "string"}},
    }


def test_equal_definitions_are_shared_and_others_renamed() -> None:
    own: dict[str, Any] = {
        "paths": {"/b": {}},
        "definitions": {"Meta": {"type": "object"}, "Thing": {"type": "string"}},
    }
    foreign = {
        "paths": {"/a": path("Thing"), "/b": path("Thing")},
        "definitions": {"Meta": {"type": "object"}, "Thing": path("Meta")},
    }
    merge(own, [foreign])
    assert own == {
        "paths": {"/a": path("Thing_v2"), "/b": {}},
        "definitions": {"Meta": {"type": "object"}, "Thing": {"type": "string"}, "Thing_v2": path("Meta")},
    }
