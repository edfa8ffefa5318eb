"""What `/livez` and `/readyz` ask of the start: every check has the name of upstream's own hook.

Several names stand for one thing here, because what upstream starts piece by piece is ready together. Monitoring and
upstream's own tests look for the names (`test/e2e/apimachinery/health_handlers.go`).
"""

from __future__ import annotations

from kubarium.component_base.health import Check, Health, always_well

_AFTER_INFORMERS = (
    "start-kube-apiserver-admission-initializer",
    "generic-apiserver-start-informers",
    "priority-and-fairness-config-consumer",
    "priority-and-fairness-filter",
    "storage-object-count-tracker-hook",
    "start-kube-aggregator-informers",
    "apiservice-registration-controller",
    "apiservice-status-available-controller",
    "apiservice-discovery-controller",
    "kube-apiserver-autoregistration",
    "apiservice-openapi-controller",
    "apiservice-openapiv3-controller",
)
_AFTER_DEFINITIONS = (
    "start-apiextensions-informers",
    "start-apiextensions-controllers",
    "crd-informer-synced",
)
_AFTER_FIRST_WRITES = (
    "start-system-namespaces-controller",
    "start-cluster-authentication-info-controller",
    "bootstrap-controller",
    "rbac/bootstrap-roles",
    "scheduling/bootstrap-system-priority-classes",
    "priority-and-fairness-config-producer",
    "start-service-ip-repair-controllers",
)


def add_start_checks(health: Health, *, informers: Check, definitions: Check, first_writes: Check) -> None:
    """Let each page say what has been started."""
    health.add("log", always_well)
    health.add("informer-sync", informers, "readyz")
    for check, names in (
        (informers, _AFTER_INFORMERS),
        (definitions, _AFTER_DEFINITIONS),
        (first_writes, _AFTER_FIRST_WRITES),
    ):
        for name in names:
            health.add(f"poststarthook/{name}", check)
    health.add("autoregister-completion", informers)
