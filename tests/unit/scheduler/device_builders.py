"""ResourceSlices, classes and claims in one line."""

from __future__ import annotations

from typing import Any

from kubarium.apimachinery.object import Object

DRIVER = "gpu.example.com"
V1 = "resource.k8s.io/v1"


def make_device(name: str, **spec: Any) -> Object:
    """A device; `attributes` and `capacity` are given plainly: `{"model": "a"}`, `{"memory": "40Gi"}`."""
    kinds = {str: "string", bool: "bool", int: "int"}
    attributes = {key: {kinds[type(value)]: value} for key, value in spec.pop("attributes", {}).items()}
    capacity = {
        key: value if isinstance(value, dict) else {"value": value}
        for key, value in spec.pop("capacity", {}).items()
    }
    more = {"attributes": attributes, "capacity": capacity}
    return {"name": name, **{key: value for key, value in more.items() if value}, **spec}


def make_slice(
    name: str, *devices: Object, node: str = "", pool: str = "", count: int = 1, **spec: Any
) -> Object:
    """A slice of a node's own devices, or of devices that are reached by `nodeSelector` or by `allNodes`."""
    where: Object = {"nodeName": node} if node else {}
    generation = spec.pop("generation", 1)
    return {
        "apiVersion": V1,
        "kind": "ResourceSlice",
        "metadata": {"name": name},
        "spec": {
            "driver": spec.pop("driver", DRIVER),
            "pool": {"name": pool or node or name, "generation": generation, "resourceSliceCount": count},
            **where,
            **spec,
            **({"devices": list(devices)} if devices else {}),
        },
    }


def make_class(name: str = "gpu", *expressions: str, **spec: Any) -> Object:
    """A class; without an expression it takes all devices of the driver."""
    chosen = expressions or (f'device.driver == "{DRIVER}"',)
    selectors = [{"cel": {"expression": expression}} for expression in chosen]
    return {
        "apiVersion": V1,
        "kind": "DeviceClass",
        "metadata": {"name": name},
        "spec": {"selectors": selectors, **spec},
    }


def request(name: str = "r", class_name: str = "gpu", *expressions: str, **more: Any) -> Object:
    """A request for exactly this."""
    exactly = {"deviceClassName": class_name, **more}
    if expressions:
        exactly["selectors"] = [{"cel": {"expression": expression}} for expression in expressions]
    return {"name": name, "exactly": exactly}


def make_claim(name: str, *requests: Object, uid: str = "", **devices: Any) -> Object:
    """A claim without devices."""
    return {
        "apiVersion": V1,
        "kind": "ResourceClaim",
        "metadata": {"name": name, "namespace": "default", "uid": uid or f"uid-of-{name}"},
        "spec": {"devices": {"requests": list(requests) or [request()], **devices}},
    }


def allocated(claim: Object, *devices: str, pool: str = "a", **result: Any) -> Object:
    """The claim with these devices."""
    results = [{"request": "r", "driver": DRIVER, "pool": pool, "device": one, **result} for one in devices]
    return claim | {"status": {"allocation": {"devices": {"results": results}}}}
