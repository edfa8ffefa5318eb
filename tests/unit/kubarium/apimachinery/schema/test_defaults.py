"""Published defaults: zeros of what is always written, and what upstream marks."""

from __future__ import annotations

from kubarium.apimachinery.schema import defaults
from kubarium.apimachinery.schema.catalog import Catalog


def test_a_port_has_a_protocol_and_zeros_stand_where_json_always_has_the_field() -> None:
    assert defaults.of("io.k8s.api.core.v1.ServicePort") == {"port": 0, "protocol": "TCP"}
    condition = {"type": "", "status": ""}
    assert defaults.of("io.k8s.api.core.v1.PodCondition") == condition  # times have none
    assert defaults.of("io.k8s.api.core.v1.ResourceFieldSelector") == {"resource": ""}


def test_version_3_of_openapi_shows_them_and_version_2_does_not(schemas: Catalog) -> None:
    name = "io.k8s.api.core.v1.ConfigMapList"
    assert schemas.document_v3(name)["properties"]["metadata"]["default"] == {}
    assert "default" not in schemas.document_v2(name)["properties"]["metadata"]
