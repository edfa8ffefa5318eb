"""Volumes' classes and drivers, priorities, devices, admission configuration, flow control: mostly plain kinds."""

from __future__ import annotations

from apiserver.registry.strategy import Strategy

CSI_DRIVER = Strategy(
    has_status=False, has_generation=True, allow_unconditional_update=False, returns_deleted=True
)
CSI_NODE = Strategy(has_status=False, allow_unconditional_update=False, returns_deleted=True)
CSI_STORAGE_CAPACITY = Strategy(has_status=False, allow_unconditional_update=False, returns_deleted=True)
STORAGE_CLASS = Strategy(has_status=False, returns_deleted=True)
VOLUME_ATTACHMENT = Strategy(allow_unconditional_update=False, returns_deleted=True)
VOLUME_ATTRIBUTES_CLASS = Strategy(has_status=False, returns_deleted=True)

PRIORITY_CLASS = Strategy(has_status=False, has_generation=True)
RUNTIME_CLASS = Strategy(has_status=False, allow_unconditional_update=False)

DEVICE_CLASS = Strategy(has_status=False, has_generation=True)
RESOURCE_CLAIM = Strategy()
RESOURCE_CLAIM_TEMPLATE = Strategy(has_status=False)
RESOURCE_SLICE = Strategy(
    has_status=False,
    has_generation=True,
    selectable_fields={
        "spec.nodeName": lambda piece: (piece.get("spec") or {}).get("nodeName") or "",
        "spec.driver": lambda piece: (piece.get("spec") or {}).get("driver") or "",
    },
)

_CONFIGURATION = Strategy(has_status=False, has_generation=True, allow_unconditional_update=False)
MUTATING_WEBHOOK = VALIDATING_WEBHOOK = _CONFIGURATION
MUTATING_POLICY = MUTATING_BINDING = VALIDATING_BINDING = _CONFIGURATION
VALIDATING_POLICY = Strategy(has_generation=True, allow_unconditional_update=False)

CUSTOM_RESOURCE_DEFINITION = Strategy(has_generation=True, allow_unconditional_update=False)
API_SERVICE = Strategy(allow_unconditional_update=False)

FLOW_SCHEMA = Strategy(has_generation=True, allow_unconditional_update=False)
PRIORITY_LEVEL = Strategy(has_generation=True, allow_unconditional_update=False)
