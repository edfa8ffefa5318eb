from __future__ import annotations

import pytest

from apiserver.admission.plugin import CONNECT, CREATE, DELETE, UPDATE
from apiserver.endpoints.writing import attributes_of
from apiserver.registry.resource import Resource
from apiserver.request import LOOPBACK, RequestContext, parse_query, parse_request
from kubarium.component_base.clock import FakeClock

MAPS = Resource("v1", "ConfigMap", "configmaps")
QUERY = b"fieldManager=me&dryRun=All&fieldValidation=Strict&pretty=1"
SAID = {"fieldManager": "me", "dryRun": ["All"], "fieldValidation": "Strict"}
IN_BODY = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Orphan"}


@pytest.mark.parametrize(
    ("operation", "given", "told"),
    [
        (CREATE, None, {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", **SAID}),
        (UPDATE, None, {"kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1", **SAID}),
        (DELETE, IN_BODY, {**IN_BODY, "apiVersion": "meta.k8s.io/v1"}),
        (CONNECT, None, None),
    ],
)
def test_admission_is_told_the_options(
    operation: str, given: dict[str, str] | None, told: dict[str, object] | None
) -> None:
    query = parse_query(QUERY)
    info = parse_request("POST", "/api/v1/namespaces/default/configmaps", query)
    context = RequestContext(info, LOOPBACK, FakeClock(), query)
    assert attributes_of(MAPS, context, operation, None, None, options=given).told_options == told
