"""Accept headers that clients really send."""

from __future__ import annotations

import pytest

from apiserver.endpoints.negotiation import PLAIN, Accepted, negotiate
from kubarium.apimachinery import errors

AS_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("application/vnd.kubernetes.protobuf, */*", PLAIN),
        ("application/vnd.kubernetes.protobuf,application/json", PLAIN),
        (f"{AS_TABLE},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", Accepted(transform="Table")),
        ("application/json;as=Table;v=v2;g=meta.k8s.io,application/json", PLAIN),
        ("application/yaml", Accepted("application/yaml")),
        ("application/yaml;q=0.5, application/json", PLAIN),
        ("application/json;pretty=1", Accepted(pretty=True)),
        ("text/html, application/*;q=0.1", PLAIN),
        (
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,"
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
            Accepted(transform="PartialObjectMetadataList"),
        ),
    ],
)  # fmt: skip
def test_what_is_chosen(accept: str, form: Accepted) -> None:
    assert negotiate(accept) == form


@pytest.mark.parametrize(
    "accept", ["application/vnd.kubernetes.protobuf", "text/html", "application/json;q=0"]
)
def test_what_cannot_be_served(accept: str) -> None:
    with pytest.raises(errors.NotAcceptable):
        negotiate(accept)


def test_an_endpoint_without_tables_refuses_them() -> None:
    with pytest.raises(errors.NotAcceptable):
        negotiate(AS_TABLE, tables=False)


def test_streams_are_json() -> None:
    with pytest.raises(errors.NotAcceptable):
        negotiate("application/yaml", stream=True)


def test_what_is_never_kept_is_no_table() -> None:
    assert negotiate(f"{AS_TABLE},application/json", tables=False) == PLAIN
    with pytest.raises(errors.NotAcceptable):
        negotiate(AS_TABLE, tables=False)
