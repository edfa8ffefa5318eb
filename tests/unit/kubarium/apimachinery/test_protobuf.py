"""Every published golden object decodes to its JSON."""

import json

import pytest

from kubarium.apimachinery import protobuf
from kubarium.apimachinery.errors import BadRequest
from tests.published import FOLDER

SPEC = FOLDER
GOLDEN = sorted((SPEC / "golden").glob("*.pb"))


@pytest.mark.skipif(not GOLDEN, reason="the published golden objects are not here")
def test_golden_objects_decode_to_their_json():
    different = []
    for path in GOLDEN:
        expected = json.loads(path.with_suffix(".json").read_bytes())
        if path.name == "core.v1.WatchEvent.pb":  # its envelope does not say what is in it
            decoded = protobuf.decode(path.read_bytes(), "v1", "WatchEvent")
            decoded = {key: decoded[key] for key in ("type", "object")}
            expected = {key: expected[key] for key in ("type", "object")}
        else:
            decoded = protobuf.decode(path.read_bytes())
        if decoded != expected:
            different.append(path.name)
    assert different == []
    assert len(GOLDEN) > 180


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    def text(number: int, value: bytes) -> bytes:
        return bytes([number << 3 | 2, len(value)]) + value

    meta = text(1, api_version.encode()) + text(2, kind.encode())
    return protobuf.MAGIC + text(1, meta) + text(2, raw)


def test_zeros_are_kept_only_where_they_mean_something():
    # DeploymentSpec: replicas (a pointer upstream) = 0, minReadySeconds = 0, paused = false
    spec = b"\x08\x00" + b"\x28\x00" + b"\x38\x00"
    decoded = protobuf.decode(envelope("apps/v1", "Deployment", b"\x12" + bytes([len(spec)]) + spec))
    assert decoded == {"kind": "Deployment", "apiVersion": "apps/v1", "spec": {"replicas": 0}}


def test_delete_options_are_known_in_every_group():
    decoded = protobuf.decode(envelope("apps/v1", "DeleteOptions", b"\x08\x00"))
    assert decoded == {"kind": "DeleteOptions", "apiVersion": "apps/v1", "gracePeriodSeconds": 0}


@pytest.mark.parametrize("body", [b"", b"{}", b"k8s\x00\x0a\xff", envelope("v1", "Pod", b"\x0a\x7f")])
def test_what_is_no_message_is_a_bad_request(body):
    with pytest.raises(BadRequest):
        protobuf.decode(body, "v1", "Pod")
