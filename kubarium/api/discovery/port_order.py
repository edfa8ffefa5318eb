"""The order of ports and subsets, which have none of their own: upstream sorts them by a hash of how Go prints them.

Sources: pkg/api/v1/endpoints and staging/src/k8s.io/endpointslice. Where upstream's controllers take over from ours, or
ours from these, nothing is written anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from kubarium.apimachinery.object import Object

Fields = Sequence[tuple[str, str, str]]  # how Go calls a field, how JSON does, and its type

_ENDPOINT_PORT: Fields = (
    ("Name", "name", "string"),
    ("Port", "port", "int32"),
    ("Protocol", "protocol", "v1.Protocol"),
    ("AppProtocol", "appProtocol", "*string"),
)
_SLICE_PORT: Fields = (
    ("Name", "name", "*string"),
    ("Protocol", "protocol", "*v1.Protocol"),
    ("Port", "port", "*int32"),
    ("AppProtocol", "appProtocol", "*string"),
)
_REFERENCE: Fields = (
    ("Kind", "kind", "string"),
    ("Namespace", "namespace", "string"),
    ("Name", "name", "string"),
    ("UID", "uid", "types.UID"),
    ("APIVersion", "apiVersion", "string"),
    ("ResourceVersion", "resourceVersion", "string"),
    ("FieldPath", "fieldPath", "string"),
)
_ADDRESS: Fields = (
    ("IP", "ip", "string"),
    ("Hostname", "hostname", "string"),
    ("NodeName", "nodeName", "*string"),
    ("TargetRef", "targetRef", "*v1.ObjectReference"),
)
_SUBSET: Fields = (
    ("Addresses", "addresses", "[]v1.EndpointAddress"),
    ("NotReadyAddresses", "notReadyAddresses", "[]v1.EndpointAddress"),
    ("Ports", "ports", "[]v1.EndpointPort"),
)
_NESTED: dict[str, Fields] = {
    "v1.ObjectReference": _REFERENCE,
    "v1.EndpointAddress": _ADDRESS,
    "v1.EndpointPort": _ENDPOINT_PORT,
}


def in_subset(ports: Sequence[Object]) -> list[Object]:
    """The ports of a subset of Endpoints, in upstream's order."""
    return sorted(ports, key=lambda port: _port_hash(_ENDPOINT_PORT, _values(_ENDPOINT_PORT, port)))


def in_slice(ports: Sequence[Object]) -> list[Object]:
    """The ports of an EndpointSlice, in upstream's order."""
    return sorted(ports, key=lambda port: _port_hash(_SLICE_PORT, _values(_SLICE_PORT, port)))


def of_subsets(subsets: Sequence[Object]) -> list[Object]:
    """The subsets of Endpoints, in upstream's order."""
    if len(subsets) < 2:
        return list(subsets)
    return sorted(subsets, key=lambda subset: _hash("(v1.EndpointSubset)" + _struct(_SUBSET, subset)))


def _values(fields: Fields, port: Object) -> tuple[object, ...]:
    return tuple(port.get(key) for _, key, _ in fields)


@lru_cache(maxsize=1024)
def _port_hash(fields: Fields, values: tuple[object, ...]) -> str:
    port = {key: value for (_, key, _), value in zip(fields, values, strict=True) if value is not None}
    return _hash("(v1.EndpointPort)" + _struct(fields, port))


def _hash(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _struct(fields: Fields, value: Object) -> str:
    return (
        "{" + " ".join(f"{name}:({kind}){_printed(kind, value.get(key))}" for name, key, kind in fields) + "}"
    )


def _printed(kind: str, value: object) -> str:
    if value is None:
        return "<nil>" if kind[0] in "*[" else "0" if kind == "int32" else ""
    nested = _NESTED.get(kind.lstrip("*[]"))
    if nested is None:
        return str(value)
    if isinstance(value, list):
        return "[" + " ".join(_struct(nested, each) for each in value) + "]"
    assert isinstance(value, dict)
    return _struct(nested, value)
