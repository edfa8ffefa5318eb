"""A URL and a method, understood as upstream's RequestInfoFactory and Go's parser of queries do."""

from __future__ import annotations

import pytest

from apiserver.request import parse_query, parse_request


@pytest.mark.parametrize(
    ("path", "namespace", "resource", "name", "subresource", "parts"),
    [
        ("/api/v1/namespaces/d/pods/p/log", "d", "pods", "p", "log", ()),
        ("/api/v1/namespaces/d/", "d", "namespaces", "d", "", ()),
        ("/api/v1/namespaces/d/services/s/proxy/a/b/", "d", "services", "s", "proxy", ("a", "b")),
        ("/api/v1/namespaces/d/services/s/proxy//a", "d", "services", "s", "proxy", ("", "a")),
        ("/apis/apps/v1/deployments", "", "deployments", "", "", ()),
        ("/api/v1/namespaces//pods", "", "pods", "", "", ()),
        ("/api/v1/namespaces//pods/p/status", "", "pods", "p", "status", ()),
        ("/api/v1/namespaces//status", "", "namespaces", "", "status", ()),
        ("/api/v1/namespaces/d/services//proxy//a", "d", "services", "", "proxy", ("", "a")),
    ],
)
def test_resources(
    path: str, namespace: str, resource: str, name: str, subresource: str, parts: tuple[str, ...]
) -> None:
    info = parse_request("GET", path, {})
    assert info.is_resource
    assert (info.namespace, info.resource, info.name, info.subresource) == (
        namespace,
        resource,
        name,
        subresource,
    )
    assert info.parts == parts
    assert info.gap == ("//" in path.partition("proxy")[0])


@pytest.mark.parametrize(
    "path",
    [
        "//api/v1/pods",
        "/api//v1/pods",
        "/api/v1//pods",
        "/api/v1/namespaces/d//pods",
        "/api/v1/namespaces/d/pods/p//log",
        "/apis//v1/pods",
        "/api/v1/",
    ],
)
def test_no_resources(path: str) -> None:
    assert not parse_request("GET", path, {}).is_resource


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (b"limit=1&limit=2&x=", {"limit": ["1", "2"], "x": [""]}),
        (b"limit=1;a=2&watch", {"watch": [""]}),
        (b"a=%zz&b=%41&c=%", {"b": ["A"]}),
        (b"labelSelector=a%3Bb", {"labelSelector": ["a;b"]}),
    ],
)
def test_queries(query: bytes, found: dict[str, list[str]]) -> None:
    assert parse_query(query) == found
