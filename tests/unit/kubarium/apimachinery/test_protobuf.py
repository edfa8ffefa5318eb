"""Every published golden object decodes to its JSON, and its JSON is encoded to the same bytes."""

import json

import pytest

from kubarium.apimachinery.errors import BadRequest
from kubarium.apimachinery.protobuf.decoding import decode
from kubarium.apimachinery.protobuf.encoding import NotMarshalable, encode, encode_event
from kubarium.apimachinery.protobuf.table import MAGIC
from tests.published import FOLDER, MISSING

GOLDEN = sorted((FOLDER / "golden").glob("*.pb"))


@pytest.mark.skipif(not GOLDEN, reason=MISSING)
def test_golden_objects_decode_to_their_json():
    different = []
    for path in GOLDEN:
        expected = json.loads(path.with_suffix(".json").read_bytes())
        if path.name == "core.v1.WatchEvent.pb":  # its envelope does not say what is in it
            decoded = decode(path.read_bytes(), "v1", "WatchEvent")
            decoded = {key: decoded[key] for key in ("type", "object")}
            expected = {key: expected[key] for key in ("type", "object")}
        else:
            decoded = decode(path.read_bytes())
        if decoded != expected:
            different.append(path.name)
    assert different == []
    assert len(GOLDEN) > 180


@pytest.mark.skipif(not GOLDEN, reason=MISSING)
def test_golden_objects_are_encoded_to_their_bytes():
    different = []
    for path in GOLDEN:
        wanted, obj = path.read_bytes(), json.loads(path.with_suffix(".json").read_bytes())
        if path.name == "core.v1.WatchEvent.pb":  # its envelope does not say what is in it
            anonymous = b"\x0a\x04\x0a\x00\x12\x00"
            wanted = wanted.removeprefix(MAGIC + anonymous)
            encoded = encode({"apiVersion": "v1", "kind": "WatchEvent", **obj})[-len(wanted) :]
        else:
            encoded = encode(obj)
        if encoded != wanted:
            different.append(path.name)
    assert different == []


def test_what_is_encoded_can_be_read():
    objects = [
        {"kind": "Scale", "apiVersion": "autoscaling/v1", "spec": {"replicas": -1}},
        {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"},
         "items": [{"metadata": {"name": "a"}, "data": {"y": "", "x": "ä"}}, {"metadata": {"name": "b"}}]},
        {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404},
        {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"labels": {"a": "b"}}},
        {"kind": "Event", "apiVersion": "events.k8s.io/v1", "eventTime": "2026-01-01T00:00:00.000123Z"},
    ]  # fmt: skip
    assert [decode(encode(obj)) for obj in objects] == objects


def test_an_event_has_no_envelope_but_its_object_has_one():
    event = encode_event("ADDED", {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}})
    assert event[:7] == b"\x0a\x05ADDED"
    assert decode(event[event.index(MAGIC) :])["metadata"] == {"name": "a"}


def test_custom_resources_have_no_message():
    with pytest.raises(NotMarshalable):
        encode({"kind": "CronTab", "apiVersion": "example.com/v1"})


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    def text(number: int, value: bytes) -> bytes:
        return bytes([number << 3 | 2, len(value)]) + value

    meta = text(1, api_version.encode()) + text(2, kind.encode())
    return MAGIC + text(1, meta) + text(2, raw)


def test_zeros_are_kept_only_where_they_mean_something():
    # DeploymentSpec: replicas (a pointer upstream) = 0, minReadySeconds = 0, paused = false
    spec = b"\x08\x00" + b"\x28\x00" + b"\x38\x00"
    decoded = decode(envelope("apps/v1", "Deployment", b"\x12" + bytes([len(spec)]) + spec))
    assert decoded == {"kind": "Deployment", "apiVersion": "apps/v1", "spec": {"replicas": 0}}


def test_text_behind_a_pointer_may_be_empty():
    # LeaseSpec: holderIdentity (a pointer upstream) = ""
    decoded = decode(envelope("coordination.k8s.io/v1", "Lease", b"\x12\x02\x0a\x00"))
    assert decoded["spec"] == {"holderIdentity": ""}


def test_delete_options_are_known_in_every_group():
    decoded = decode(envelope("apps/v1", "DeleteOptions", b"\x08\x00"))
    assert decoded == {"kind": "DeleteOptions", "apiVersion": "apps/v1", "gracePeriodSeconds": 0}


@pytest.mark.parametrize("body", [b"", b"{}", b"k8s\x00\x0a\xff", envelope("v1", "Pod", b"\x0a\x7f")])
def test_what_is_no_message_is_a_bad_request(body):
    with pytest.raises(BadRequest):
        decode(body, "v1", "Pod")
