import pytest

from kubarium.apimachinery.errors import BadRequest
from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.object import copy
from kubarium.apimachinery.schema.builtin import (
    normalize_builtin,
    normalize_metadata,
    strict_error,
    unknown_field,
)

GVK = GroupVersionKind("apps", "v1", "Deployment")
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "creationTimestamp": None, "labels": {"app": "web"}, "annotations": {}},
    "spec": {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"creationTimestamp": "2026-01-01T02:00:00.5+02:00"},
            "spec": {
                "containers": [
                    {
                        "name": "a",
                        "image": "x",
                        "env": [],
                        "resources": {"limits": {"cpu": 1, "memory": "1024Mi"}},
                    }
                ],
                "volumes": [{"name": "v", "emptyDir": {}}],
            },
        },
    },
    "status": {},
}


def test_objects_come_out_as_upstream_would_write_them(schemas):
    obj, unknown = normalize_builtin(copy(DEPLOYMENT), GVK, schemas)
    assert unknown == []
    assert obj["metadata"] == {"name": "web", "labels": {"app": "web"}}
    assert obj["spec"]["replicas"] == 0
    template = obj["spec"]["template"]
    assert template["metadata"] == {"creationTimestamp": "2026-01-01T00:00:00Z"}
    assert template["spec"]["containers"] == [
        {"name": "a", "image": "x", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}
    ]
    assert template["spec"]["volumes"] == [{"name": "v", "emptyDir": {}}]
    assert obj["status"] == {}


def test_unknown_fields_go_and_are_named(schemas):
    obj = copy(DEPLOYMENT)
    obj["spec"]["foo"] = 1
    obj["spec"]["template"]["spec"]["containers"][0]["bar"] = None
    obj, unknown = normalize_builtin(obj, GVK, schemas)
    assert sorted(unknown) == ["spec.foo", "spec.template.spec.containers[0].bar"]
    assert "foo" not in obj["spec"]
    error = strict_error(GVK, [unknown_field("spec.foo"), 'duplicate field "spec.replicas"'])
    assert error.message == (
        'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: '
        'unknown field "spec.foo", duplicate field "spec.replicas"'
    )


def _set(path, value):
    def change(obj):
        *way, last = path
        for step in way:
            obj = obj[step]
        obj[last] = value

    return change


REPLICAS = ("spec", "replicas")
CONTAINER = ("spec", "template", "spec", "containers", 0)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (REPLICAS, "3", "string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (REPLICAS, 1.5, "number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (REPLICAS, 2**31, "number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (("spec",), [], "array into Go struct field Deployment.spec of type v1.DeploymentSpec"),
        (("metadata", "labels", "a"), 1, "number into Go struct field ObjectMeta.metadata.labels of type string"),
        (
            (*CONTAINER, "env"),
            [{"name": "A", "value": 1}],
            "number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string",
        ),
    ],
)  # fmt: skip
def test_wrong_types_are_bad_requests(schemas, path, value, message):
    obj = copy(DEPLOYMENT)
    _set(path, value)(obj)
    with pytest.raises(BadRequest) as refused:
        normalize_builtin(obj, GVK, schemas)
    assert refused.value.message == (
        f'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal {message}'
    )


def test_a_wrong_quantity(schemas):
    obj = copy(DEPLOYMENT)
    obj["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "x"
    with pytest.raises(BadRequest, match="quantities must match the regular expression"):
        normalize_builtin(obj, GVK, schemas)


def test_metadata_of_custom_resources(schemas):
    gvk = GroupVersionKind("example.com", "v1", "Foo")
    obj = {"metadata": {"name": "a", "unknownMeta": 1, "labels": None}}
    assert normalize_metadata(obj, gvk, schemas) == ["metadata.unknownMeta"]
    assert obj == {"metadata": {"name": "a"}}
    with pytest.raises(BadRequest, match=r"struct field ObjectMeta\.labels of type map"):
        normalize_metadata({"metadata": {"labels": 1}}, gvk, schemas)


def test_secrets_must_be_base64(schemas):
    gvk = GroupVersionKind("", "v1", "Secret")
    assert normalize_builtin({"data": {"a": "AQ=="}}, gvk, schemas)[0] == {"data": {"a": "AQ=="}}
    with pytest.raises(BadRequest, match="illegal base64 data at input byte 1"):
        normalize_builtin({"data": {"a": "a!"}}, gvk, schemas)


def test_no_policies_of_a_scaler_are_not_the_usual_ones(schemas):
    scaler = {"metadata": {"name": "a"}, "spec": {"behavior": {"scaleUp": {"policies": []}}, "metrics": []}}
    gvk = GroupVersionKind("autoscaling", "v2", "HorizontalPodAutoscaler")
    read, _ = normalize_builtin(scaler, gvk, schemas)
    assert read["spec"] == {"behavior": {"scaleUp": {"policies": []}}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T3:04:05+01:00", "2026-01-02T02:04:05Z"),
        ("9999-12-31T23:59:59-01:00", "10000-01-01T00:59:59Z"),
        ("2028-02-29T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0001-01-01T00:00:00Z", None),
    ],
)
def test_times_are_kept_in_utc(schemas, text, expected):
    pod = {"metadata": {"name": "a", "creationTimestamp": text}}
    read, _ = normalize_builtin(pod, GroupVersionKind("", "v1", "Pod"), schemas)
    assert read["metadata"].get("creationTimestamp") == expected


@pytest.mark.parametrize("text", ["2026-02-30T00:00:00Z", "2026-02-29T00:00:00Z", "2026-04-31T00:00:00Z"])
def test_a_day_that_is_not_is_refused(schemas, text):
    pod = {"metadata": {"name": "a", "creationTimestamp": text}}
    with pytest.raises(BadRequest, match=f'parsing time "{text}": day out of range$'):
        normalize_builtin(pod, GroupVersionKind("", "v1", "Pod"), schemas)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:05.123456Z"),
        ("2026-01-02T03:04:05.000000+01:00", "2026-01-02T02:04:05.000000Z"),
        ("2026-01-02T03:04:05Z", 'cannot parse "Z" as ".000000"'),
        ("2026-01-02T03:04:05.5Z", 'cannot parse ".5Z" as ".000000"'),
        ("2026-01-02T03:04:05.1234567Z", 'cannot parse "7Z" as "Z07:00"'),
    ],
)
def test_microseconds_have_six_digits(schemas, text, expected):
    lease = GroupVersionKind("coordination.k8s.io", "v1", "Lease")
    obj = {"metadata": {"name": "a"}, "spec": {"renewTime": text}}
    if expected.startswith("cannot"):
        layout = "2006-01-02T15:04:05.000000Z07:00"
        with pytest.raises(BadRequest) as refused:
            normalize_builtin(obj, lease, schemas)
        assert refused.value.message.endswith(f'parsing time "{text}" as "{layout}": {expected}')
    else:
        assert normalize_builtin(obj, lease, schemas)[0]["spec"]["renewTime"] == expected
