"""Workloads: the generation counts wishes, statuses are written apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apiserver.registry.core.simple import CONTROLLER_FIELDS
from apiserver.registry.strategy import Strategy, of_noun
from apiserver.request import RequestContext
from kubarium.api.apps import controller_revision, daemon_set, defaults, validation
from kubarium.api.apps.warnings import stateful_set_warnings, workload_warnings
from kubarium.api.core import replication_controller
from kubarium.apimachinery.object import Object, annotations_of

CONTROLLER_REVISION = of_noun(controller_revision, has_status=False)


@dataclass(frozen=True)
class DaemonSetStrategy(Strategy):
    """Its templates are counted in an annotation too."""

    def prepare_for_create(self, context: RequestContext, obj: Object) -> None:
        super().prepare_for_create(context, obj)
        daemon_set.number_template(obj, None)

    def prepare_for_update(self, context: RequestContext, new: Object, old: Object) -> None:
        super().prepare_for_update(context, new, old)
        daemon_set.number_template(new, old)


DAEMON_SET = DaemonSetStrategy(
    defaults=defaults.fill_daemon_set,
    validate=validation.validate_daemon_set,
    validate_update=validation.validate_daemon_set_update,
    validate_status_update=validation.validate_daemon_set_status,
    has_generation=True,
    warnings=workload_warnings,
    initial_status={
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    },
)


@dataclass(frozen=True)
class DeploymentStrategy(Strategy):
    """Its annotations travel to its replica sets, so they count as part of the wish."""

    def wish_of(self, obj: Object) -> Any:
        return obj.get("spec"), annotations_of(obj)


DEPLOYMENT = DeploymentStrategy(
    defaults=defaults.fill_deployment,
    validate=validation.validate_deployment,
    validate_update=validation.validate_deployment_update,
    validate_status_update=validation.validate_deployment_status,
    status_keeps=("labels",),
    has_generation=True,
    warnings=workload_warnings,
)
REPLICA_SET = Strategy(
    defaults=defaults.fill_replica_set,
    validate=validation.validate_replica_set,
    validate_update=validation.validate_replica_set_update,
    validate_status_update=validation.validate_replica_set_status,
    has_generation=True,
    warnings=workload_warnings,
    selectable_fields=CONTROLLER_FIELDS,
    initial_status={"replicas": 0},
)
STATEFUL_SET = Strategy(
    defaults=defaults.fill_stateful_set,
    validate=validation.validate_stateful_set,
    validate_update=validation.validate_stateful_set_update,
    validate_status_update=validation.validate_stateful_set_status,
    has_generation=True,
    warnings=stateful_set_warnings,
    initial_status={"replicas": 0, "availableReplicas": 0},
)
REPLICATION_CONTROLLER = Strategy(
    defaults=replication_controller.fill_defaults,
    validate=validation.validate_replication_controller,
    validate_update=lambda new, old: validation.validate_replication_controller(new),
    validate_status_update=validation.validate_replica_set_status,
    has_generation=True,
    warnings=workload_warnings,
    orphans_by_default=True,
    selectable_fields=CONTROLLER_FIELDS,
    initial_status={"replicas": 0},
)
