"""CEL expressions that choose devices: `device.attributes["gpu.example.com"].model == "a100"`.

An unknown domain is an empty map, an unknown name within a domain an error.
Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/resource-claim-v1/
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from kubarium.api.resource.device import qualified
from kubarium.apimachinery import quantity
from kubarium.apimachinery.cel import compiler
from kubarium.apimachinery.cel.libraries.versions import parse_semver
from kubarium.apimachinery.cel.types import BOOL, DYN, STRING, map_of, named, object_of
from kubarium.apimachinery.object import Object

_DEVICE = object_of(
    {
        "driver": STRING,
        "attributes": map_of(STRING, map_of(STRING, DYN)),
        "capacity": map_of(STRING, map_of(STRING, named("quantity"))),
        "allowMultipleAllocations": BOOL,
    },
    "kubernetes.DRADevice",
)


class _ByDomain(dict[str, dict[str, Any]]):
    """A domain that nobody uses is empty, not unknown."""

    def __missing__(self, domain: str) -> dict[str, Any]:
        return {}


@lru_cache(maxsize=1024)
def compiled(expression: str) -> compiler.Program:
    """The program of an expression. Raises CompileError."""
    return compiler.compile(expression, {"device": _DEVICE}, BOOL, bindings=True)


def view_of(device: Object, driver: str) -> dict[str, Any]:
    """What expressions see of a device; made once for each device."""
    return {
        "driver": driver,
        "attributes": _grouped(device.get("attributes") or {}, driver, _attribute),
        "capacity": _grouped(device.get("capacity") or {}, driver, lambda one: quantity.parse(one["value"])),
        "allowMultipleAllocations": bool(device.get("allowMultipleAllocations")),
    }


def _grouped(entries: Object, driver: str, read: Callable[[Object], Any]) -> _ByDomain:
    found = _ByDomain()
    for name, entry in entries.items():
        domain, _, identifier = qualified(name, driver).partition("/")
        found.setdefault(domain, {})[identifier] = read(entry)
    return found


def _attribute(attribute: Object) -> Any:
    if attribute.get("version") is not None:
        return parse_semver(attribute["version"])
    return next(
        (attribute[kind] for kind in ("string", "bool", "int") if attribute.get(kind) is not None), None
    )
