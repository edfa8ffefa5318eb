import pytest

from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.schema import catalog

POD = GroupVersionKind("", "v1", "Pod")
DEPLOYMENT = GroupVersionKind("apps", "v1", "Deployment")


def test_what_merging_needs_is_there(schemas):
    spec = schemas.schema(POD).properties["spec"]
    assert spec.name == "io.k8s.api.core.v1.PodSpec"
    assert spec.properties["containers"].list_type == "map"
    assert spec.properties["containers"].list_keys == ("name",)
    assert spec.properties["nodeSelector"].map_type == "atomic"
    ports = spec.properties["containers"].items.properties["ports"]
    assert ports.list_keys == ("containerPort", "protocol")
    assert ports.items.properties["protocol"].default == "TCP"
    strategy = schemas.schema(DEPLOYMENT).properties["spec"].properties["strategy"]
    assert strategy.merge_strategies == {"retainKeys"}


def test_documents_are_those_of_openapi(schemas):
    document = schemas.document("io.k8s.api.core.v1.Volume")
    nfs = document["properties"]["nfs"]
    assert nfs["allOf"] == [{"$ref": "#/components/schemas/io.k8s.api.core.v1.NFSVolumeSource"}]
    assert "description" in nfs
    assert document["properties"]["name"]["type"] == "string"
    older = schemas.document_v2("io.k8s.api.core.v1.Volume")
    assert older["properties"]["nfs"]["$ref"] == "#/definitions/io.k8s.api.core.v1.NFSVolumeSource"
    schema_of_schemas = schemas.document_v2(
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
    )
    assert schema_of_schemas["properties"]["oneOf"]["type"] == "array"


def test_every_definition_compiles(schemas):
    for name in schemas.definitions():
        assert schemas.definition(name).name in ("", name)


def test_the_cache_file_is_used_and_renewed(tmp_path):
    cache = tmp_path / "state" / "schemas"
    first = catalog.load(cache)
    written = cache.stat().st_mtime_ns
    second = catalog.load(cache)
    assert cache.stat().st_mtime_ns == written
    assert list(second.kinds()) == list(first.kinds())
    cache.write_bytes(b"broken")
    assert catalog.load(cache).schema(POD) is not None


def test_an_unknown_version_is_refused():
    with pytest.raises(ValueError, match=r"no schemas of Kubernetes 9\.9"):
        catalog.load(version="9.9")
