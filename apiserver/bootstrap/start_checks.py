"""What `/livez` and `/readyz` ask of the start: every check has the name of upstream's own hook, and its place.

Several names stand for one thing here, because what upstream starts piece by piece is ready together. Monitoring and
upstream's own tests look for the names (`test/e2e/apimachinery/health_handlers.go`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from apiserver.storage.interface import StorageUnavailable
from kubarium.component_base.health import Check, Health, always_well

if TYPE_CHECKING:
    from apiserver.storage.encryption.transformers import Encryption

_HOOKS = """
    informers: start-apiserver-admission-initializer generic-apiserver-start-informers
        priority-and-fairness-config-consumer priority-and-fairness-filter storage-object-count-tracker-hook
    definitions: start-apiextensions-informers start-apiextensions-controllers crd-informer-synced
    first_writes: start-system-namespaces-controller start-cluster-authentication-info-controller
        start-kube-apiserver-identity-lease-controller start-kube-apiserver-identity-lease-garbage-collector
        start-legacy-token-tracking-controller start-service-ip-repair-controllers rbac/bootstrap-roles
        scheduling/bootstrap-system-priority-classes priority-and-fairness-config-producer bootstrap-controller
        start-kubernetes-service-cidr-controller
    informers: aggregator-reload-proxy-client-cert start-kube-aggregator-informers
        apiservice-status-local-available-controller apiservice-status-remote-available-controller
        apiservice-registration-controller apiservice-discovery-controller kube-apiserver-autoregistration
        /autoregister-completion apiservice-openapi-controller apiservice-openapiv3-controller
"""
"""After a stage with a colon the hooks that are done with it; a slash marks a check that is no hook."""


def add_start_checks(
    health: Health,
    *,
    etcds: Sequence[Check],
    etcds_readiness: Sequence[Check],
    informers: Check,
    definitions: Check,
    first_writes: Check,
    shutdown: Check = always_well,
) -> None:
    """Let each page say what has been started."""
    stages = {"informers:": informers, "definitions:": definitions, "first_writes:": first_writes}
    health.add("log", always_well)
    for at, (etcd, readiness) in enumerate(zip(etcds, etcds_readiness, strict=True)):
        health.add(f"etcd-override-{at - 1}" if at else "etcd", etcd)
        health.add(f"etcd-override-readiness-{at - 1}" if at else "etcd-readiness", readiness, "readyz")
    health.add("informer-sync", informers, "readyz")
    check = informers
    for word in _HOOKS.split():
        if word in stages:
            check = stages[word]
        else:
            health.add(word.removeprefix("/") if word.startswith("/") else f"poststarthook/{word}", check)
    health.add("shutdown", shutdown, "readyz")


def etcd_check(check: Check, seconds: float) -> Check:
    """The check of storage, told in upstream's words, and not waited for longer than that."""

    async def checked() -> None:
        try:
            async with asyncio.timeout(seconds):
                await check()
        except TimeoutError:
            raise StorageUnavailable("error getting data from etcd: context deadline exceeded") from None
        except StorageUnavailable as error:
            raise StorageUnavailable(f"error getting data from etcd: {error}") from error

    return checked


def add_encryption_checks(health: Health, encryption: Encryption) -> None:
    """Let each page say whether the key management services are well."""
    if encryption.has_health:
        health.add("kms-providers", encryption.check)
    if encryption.reloads:
        health.add("poststarthook/start-encryption-provider-config-automatic-reload", always_well)
