"""CSIDriver, CSINode, CSIStorageCapacity: what a storage driver can do, where, and how much is left.

Source: https://kubernetes-csi.github.io/docs/csi-driver-object.html
"""

from __future__ import annotations

from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import (
    METADATA,
    ROOT,
    SPEC,
    FieldError,
    FieldPath,
    duplicate,
    immutable,
    invalid,
    not_supported,
    required,
    too_long,
)
from kubarium.apimachinery.metadata import validate_label_selector
from kubarium.apimachinery.object import Object

MAX_DRIVER_NAME = 63
MAX_NODE_ID = 192
MIN_TOKEN_SECONDS, MAX_TOKEN_SECONDS = 600, 2**32
GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
LIFECYCLE_MODES = ("Ephemeral", "Persistent")
MIN_UPDATE_SECONDS = 10

_DEFAULTS = {
    "attachRequired": True,
    "podInfoOnMount": False,
    "storageCapacity": False,
    "fsGroupPolicy": "ReadWriteOnceWithFSType",
    "volumeLifecycleModes": ["Persistent"],
    "requiresRepublish": False,
    "seLinuxMount": False,
}


def fill_defaults(driver: Object) -> None:
    """Volumes are attached, persistent, and get their group when they have a file system."""
    spec = driver.setdefault("spec", {})
    for field, value in _DEFAULTS.items():
        if spec.get(field) is None:
            spec[field] = value.copy() if isinstance(value, list) else value


def driver_name(path: FieldPath, name: str | None) -> list[FieldError]:
    """A short name in the form of a domain."""
    found = [] if name else [required(path)]
    if len(name or "") > MAX_DRIVER_NAME:
        found.append(too_long(path, MAX_DRIVER_NAME))
    return found + [
        invalid(path, name or "", text) for text in names.dns_subdomain_errors((name or "").lower())
    ]


# ---- CSIDriver


def validate(driver: Object) -> list[FieldError]:
    """Known policies and modes, tokens for different audiences."""
    spec = driver.get("spec") or {}
    found = driver_name(METADATA / "name", (driver.get("metadata") or {}).get("name"))
    found += rules.if_one_of(SPEC / "fsGroupPolicy", spec.get("fsGroupPolicy"), GROUP_POLICIES)
    found += _token_requests(spec.get("tokenRequests") or [], SPEC / "tokenRequests")
    for mode in spec.get("volumeLifecycleModes") or []:
        if mode not in LIFECYCLE_MODES:
            found.append(not_supported(SPEC / "volumeLifecycleModes", mode, LIFECYCLE_MODES))
    seconds = spec.get("nodeAllocatableUpdatePeriodSeconds")
    if seconds is not None and seconds < MIN_UPDATE_SECONDS:
        why = f"must be greater than or equal to {MIN_UPDATE_SECONDS} seconds"
        found.append(invalid(SPEC / "nodeAllocatableUpdatePeriodSeconds", seconds, why))
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Whether volumes are attached, and how long they live, stays."""
    after, before = new.get("spec") or {}, old.get("spec") or {}
    stays = (("attachedRequired", "attachRequired"), ("volumeLifecycleModes", "volumeLifecycleModes"))
    found = validate(new)
    for shown, field in stays:  # upstream names the first one so
        found += immutable(SPEC / shown, after.get(field), before.get(field))
    return found


def _token_requests(requests: list[Object], path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, request in enumerate(requests):
        at = path % index
        audience = request.get("audience") or ""
        if audience in seen:
            found.append(duplicate(at / "audience", audience))
        seen.add(audience)
        seconds = request.get("expirationSeconds")
        if seconds is not None and seconds < MIN_TOKEN_SECONDS:
            why = "may not specify a duration less than 10 minutes"
            found.append(invalid(at / "expirationSeconds", seconds, why))
        elif seconds is not None and seconds > MAX_TOKEN_SECONDS:
            why = "may not specify a duration larger than 2^32 seconds"
            found.append(invalid(at / "expirationSeconds", seconds, why))
    return found


# ---- CSINode


def validate_node(node: Object) -> list[FieldError]:
    """Every driver once, with the node's id and its topology keys."""
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, driver in enumerate((node.get("spec") or {}).get("drivers") or []):
        at = SPEC / "drivers" % index
        found += _node_driver(driver, at)
        name = driver.get("name") or ""
        if name in seen:
            found.append(duplicate(at / "name", name))
        seen.add(name)
    return found


def validate_node_update(new: Object, old: Object) -> list[FieldError]:
    """A driver may come and go, and learn how many volumes fit; else it stays."""
    found: list[FieldError] = []
    before = {driver.get("name"): driver for driver in (old.get("spec") or {}).get("drivers") or []}
    for driver in (new.get("spec") or {}).get("drivers") or []:
        known = before.get(driver.get("name"))
        if known is not None:
            found += immutable(SPEC / "drivers", _identity(driver), _identity(known))
    return [*found, *validate_node(new)]


def _identity(driver: Object) -> Object:
    return {key: value for key, value in driver.items() if key != "allocatable" and value}


def _node_driver(driver: Object, path: FieldPath) -> list[FieldError]:
    found = driver_name(path / "name", driver.get("name"))
    node_id = driver.get("nodeID") or ""
    if not node_id:
        found.append(required(path / "nodeID"))
    elif len(node_id) > MAX_NODE_ID:
        found.append(invalid(path / "nodeID", node_id, f"must be {MAX_NODE_ID} characters or less"))
    found += rules.not_negative(driver.get("allocatable") or {}, path / "allocatable", "count")
    keys = driver.get("topologyKeys") or []
    for index, key in enumerate(keys):
        at = (path / "topologyKeys") % index
        found += rules.named(at, key, names.qualified_name_errors)
        if key in keys[:index]:
            found.append(duplicate(at, key))
    return found


# ---- CSIStorageCapacity


def validate_capacity(capacity: Object) -> list[FieldError]:
    """A class, amounts of at least zero, a selector of nodes."""
    name = capacity.get("storageClassName") or ""
    found = [invalid(ROOT / "storageClassName", name, text) for text in names.dns_subdomain_errors(name)]
    for field in ("capacity", "maximumVolumeSize"):
        if capacity.get(field) is not None:
            found += rules.amount_not_negative(ROOT / field, capacity[field])
    return found + validate_label_selector(capacity.get("nodeTopology"), ROOT / "nodeTopology")


def validate_capacity_update(new: Object, old: Object) -> list[FieldError]:
    """What it is the capacity of stays."""
    found = validate_capacity(new)
    for field in ("nodeTopology", "storageClassName"):
        found += immutable(ROOT / field, new.get(field), old.get(field))
    return found
