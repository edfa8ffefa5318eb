"""Volumes' classes and drivers, priorities, devices, admission configuration, flow control: mostly plain kinds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from apiserver.registry.strategy import METADATA_OF_THE_WISH, Strategy, of_noun
from apiserver.request import RequestContext
from kubarium.api.admissionregistration import defaults as admission
from kubarium.api.admissionregistration import validation as judging
from kubarium.api.flowcontrol import priority
from kubarium.api.flowcontrol import validation as flow_control
from kubarium.api.node import runtime_class
from kubarium.api.resource import resource_claim_validation as claims
from kubarium.api.resource import resource_slice
from kubarium.api.scheduling import priority_class
from kubarium.api.storage import csi, storage_class, volume_attachment, volume_attributes_class
from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object

CSI_DRIVER = of_noun(
    csi, has_status=False, has_generation=True, allow_unconditional_update=False, returns_deleted=True
)
CSI_NODE = Strategy(
    has_status=False,
    allow_unconditional_update=False,
    returns_deleted=True,
    validate=csi.validate_node,
    validate_update=csi.validate_node_update,
)
CSI_STORAGE_CAPACITY = Strategy(
    has_status=False,
    allow_unconditional_update=False,
    validate=csi.validate_capacity,
    validate_update=csi.validate_capacity_update,
)
STORAGE_CLASS = of_noun(storage_class, has_status=False, returns_deleted=True)
VOLUME_ATTACHMENT = of_noun(
    volume_attachment,
    allow_unconditional_update=False,
    returns_deleted=True,
    initial_status={"attached": False},
)
VOLUME_ATTRIBUTES_CLASS = of_noun(volume_attributes_class, has_status=False, returns_deleted=True)

PRIORITY_CLASS = of_noun(priority_class, has_status=False, has_generation=True)
RUNTIME_CLASS = of_noun(runtime_class, has_status=False, allow_unconditional_update=False)

DEVICE_CLASS = Strategy(
    has_status=False,
    has_generation=True,
    returns_deleted=True,
    validate=claims.validate_class,
    validate_update=claims.validate_class_update,
)
RESOURCE_CLAIM = of_noun(claims, status_keeps=METADATA_OF_THE_WISH, returns_deleted=True)
RESOURCE_CLAIM_TEMPLATE = Strategy(
    has_status=False,
    returns_deleted=True,
    defaults=claims.fill_template_defaults,
    validate=claims.validate_template,
    validate_update=claims.validate_template_update,
)


@dataclass(frozen=True)
class ResourceSliceStrategy(Strategy):
    """ResourceSlices: taints get the time at which they came."""

    def prepare_for_create(self, context: RequestContext, obj: Object) -> None:
        super().prepare_for_create(context, obj)
        resource_slice.stamp_taints(obj, time.format_time(context.clock.now()))

    def prepare_for_update(self, context: RequestContext, new: Object, old: Object) -> None:
        resource_slice.stamp_taints(new, time.format_time(context.clock.now()))
        super().prepare_for_update(context, new, old)


RESOURCE_SLICE = ResourceSliceStrategy(
    validate=resource_slice.validate,
    validate_update=resource_slice.validate_update,
    has_status=False,
    has_generation=True,
    returns_deleted=True,
    selectable_fields={
        "spec.nodeName": lambda piece: (piece.get("spec") or {}).get("nodeName") or "",
        "spec.driver": lambda piece: (piece.get("spec") or {}).get("driver") or "",
    },
)


@dataclass(frozen=True)
class WebhookStrategy(Strategy):
    """A configuration has no spec: its wish is the list of webhooks."""

    def wish_of(self, obj: Object) -> Any:
        return obj.get("webhooks")


MUTATING_WEBHOOK = VALIDATING_WEBHOOK = WebhookStrategy(
    has_status=False,
    has_generation=True,
    allow_unconditional_update=False,
    finalizers_with_domain=False,
    defaults=admission.fill_webhooks,
    validate=judging.validate_webhooks,
    validate_update=judging.validate_webhooks_update,
)
_POLICY = Strategy(
    has_status=False, has_generation=True, allow_unconditional_update=False, finalizers_with_domain=False
)
MUTATING_BINDING = replace(
    _POLICY,
    defaults=admission.fill_policy_binding,
    validate=judging.validate_mutating_binding,
    validate_update=lambda new, old: judging.validate_mutating_binding(new),
)
VALIDATING_BINDING = replace(
    _POLICY,
    defaults=admission.fill_policy_binding,
    validate=judging.validate_validating_binding,
    validate_update=lambda new, old: judging.validate_validating_binding(new),
)
MUTATING_POLICY = replace(
    _POLICY,
    defaults=admission.fill_policy,
    validate=judging.validate_mutating_policy,
    validate_update=lambda new, old: judging.validate_mutating_policy(new),
)
VALIDATING_POLICY = replace(
    _POLICY,
    has_status=True,
    status_keeps=METADATA_OF_THE_WISH,
    defaults=admission.fill_policy,
    validate=judging.validate_validating_policy,
    validate_update=lambda new, old: judging.validate_validating_policy(new),
)

FLOW_SCHEMA = Strategy(
    has_generation=True,
    status_keeps=METADATA_OF_THE_WISH,
    allow_unconditional_update=False,
    defaults=priority.default_flow_schema,
    validate=flow_control.validate_flow_schema,
    validate_update=lambda new, old: flow_control.validate_flow_schema(new),
    validate_status_update=lambda new, old: flow_control.validate_conditions(new),
)
PRIORITY_LEVEL = Strategy(
    has_generation=True,
    status_keeps=METADATA_OF_THE_WISH,
    allow_unconditional_update=False,
    defaults=priority.default_priority_level,
    validate=flow_control.validate_priority_level,
    validate_update=lambda new, old: flow_control.validate_priority_level(new),
    validate_status_update=lambda new, old: flow_control.validate_conditions(new),
)
