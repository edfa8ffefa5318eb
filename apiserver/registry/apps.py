"""Workloads: the generation counts wishes, statuses are written apart."""

from __future__ import annotations

from apiserver.registry.core.simple import CONTROLLER_FIELDS
from apiserver.registry.strategy import Strategy, of_noun
from kubarium.api.apps import controller_revision, deployment, replica_set

CONTROLLER_REVISION = of_noun(controller_revision, has_status=False)
DAEMON_SET = Strategy(has_generation=True)
DEPLOYMENT = of_noun(deployment, has_generation=True)
REPLICA_SET = of_noun(replica_set, has_generation=True, selectable_fields=CONTROLLER_FIELDS)
STATEFUL_SET = Strategy(has_generation=True)
REPLICATION_CONTROLLER = Strategy(
    has_generation=True, orphans_by_default=True, selectable_fields=CONTROLLER_FIELDS
)
