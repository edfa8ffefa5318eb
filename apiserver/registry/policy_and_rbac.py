"""Disruption budgets, roles and bindings."""

from __future__ import annotations

from dataclasses import replace

from apiserver.registry.strategy import Strategy, of_noun
from kubarium.api.policy import pod_disruption_budget
from kubarium.api.rbac import defaults, roles
from kubarium.apimachinery import names

DISRUPTION_BUDGET = of_noun(
    pod_disruption_budget,
    name_errors=names.path_segment_errors,
    initial_status={"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
    has_generation=True,
    allow_unconditional_update=False,
    finalizers_with_domain=False,
)
_RBAC = Strategy(has_status=False, allow_create_on_update=True, name_errors=names.path_segment_errors)
ROLE = CLUSTER_ROLE = replace(_RBAC, validate=roles.validate_role, validate_update=roles.validate_role_update)
ROLE_BINDING = CLUSTER_ROLE_BINDING = replace(
    _RBAC,
    defaults=defaults.fill_defaults,
    validate=roles.validate_binding,
    validate_update=roles.validate_binding_update,
)
