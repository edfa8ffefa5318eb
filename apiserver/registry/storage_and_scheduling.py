"""Volumes' classes and drivers, priorities, devices, admission configuration, flow control: mostly plain kinds."""

from __future__ import annotations

from dataclasses import replace

from apiserver.registry.strategy import Strategy, of_noun
from kubarium.api.admissionregistration import defaults as admission
from kubarium.api.flowcontrol import priority
from kubarium.api.scheduling import priority_class
from kubarium.api.storage import csi, storage_class

CSI_DRIVER = of_noun(
    csi, has_status=False, has_generation=True, allow_unconditional_update=False, returns_deleted=True
)
CSI_NODE = Strategy(has_status=False, allow_unconditional_update=False, returns_deleted=True)
CSI_STORAGE_CAPACITY = Strategy(has_status=False, allow_unconditional_update=False, returns_deleted=True)
STORAGE_CLASS = of_noun(storage_class, has_status=False, returns_deleted=True)
VOLUME_ATTACHMENT = Strategy(allow_unconditional_update=False, returns_deleted=True)
VOLUME_ATTRIBUTES_CLASS = Strategy(has_status=False, returns_deleted=True)

PRIORITY_CLASS = of_noun(priority_class, has_status=False, has_generation=True)
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
MUTATING_WEBHOOK = VALIDATING_WEBHOOK = replace(_CONFIGURATION, defaults=admission.fill_webhooks)
MUTATING_BINDING = VALIDATING_BINDING = replace(_CONFIGURATION, defaults=admission.fill_policy_binding)
MUTATING_POLICY = replace(_CONFIGURATION, defaults=admission.fill_policy)
VALIDATING_POLICY = Strategy(
    defaults=admission.fill_policy, has_generation=True, allow_unconditional_update=False
)

FLOW_SCHEMA = Strategy(
    has_generation=True,
    allow_unconditional_update=False,
    defaults=priority.default_flow_schema,
    validate=priority.validate_flow_schema,
    validate_update=lambda new, old: priority.validate_flow_schema(new),
)
PRIORITY_LEVEL = Strategy(
    has_generation=True,
    allow_unconditional_update=False,
    defaults=priority.default_priority_level,
    validate=priority.validate_priority_level,
    validate_update=lambda new, old: priority.validate_priority_level(new),
)
