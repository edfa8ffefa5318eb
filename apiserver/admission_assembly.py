"""What admission plugins are told by the rest of the server, and the chain of them.

It stands above `admission/`, whose plugins know neither authorizers nor the catalog: what they may ask are the small
functions that are made here.
"""

from __future__ import annotations

from collections.abc import Mapping

from apiserver.admission import chain, configuration
from apiserver.admission.expressions import Decide
from apiserver.admission.plugin import Admission
from apiserver.admission.plugins.mutating_policies import SchemaOf
from apiserver.admission.policy_matching import PluralOf
from apiserver.admission.webhook_client import Convert, Versions, WebhookClient
from apiserver.authorization.authorizer import Authorizers
from apiserver.authorization.escalation import EscalationCheck
from apiserver.authorization.rbac import RBAC
from apiserver.options import Options
from apiserver.registry.resource import Catalog
from apiserver.request import RequestInfo, User
from kubarium.apimachinery.cel.libraries import authorizer as cel_authorizer
from kubarium.apimachinery.group_version import GroupVersionKind, GroupVersionResource, split
from kubarium.apimachinery.object import Object, copy
from kubarium.apimachinery.schema import catalog as schema_catalog
from kubarium.apimachinery.schema.structural import Structural
from kubarium.client import kubeconfig
from kubarium.client.informer import Informers
from kubarium.client.kubeconfig import ClientConfig
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock


def assemble(
    options: Options,
    client: Client,
    informers: Informers,
    clock: Clock,
    authorizer: Authorizers,
    rbac: RBAC | None,
    catalog: Catalog,
    schemas: schema_catalog.Catalog,
) -> Admission:
    """The chain that the flags and the configuration file ask for. Raises ConfigurationError."""
    configured = configuration.load(options.admission_control_config_file)
    surroundings = chain.Surroundings(
        client,
        informers,
        clock,
        _may(authorizer),
        _decide(authorizer),
        EscalationCheck(rbac, authorizer) if rbac is not None else None,
        WebhookClient(client, _versions_of(catalog), _convert(catalog), _webhook_credentials(configured)),
        _plural_of(catalog),
        _schema_of(catalog, schemas),
        configured,
        (options.default_not_ready_toleration_seconds, options.default_unreachable_toleration_seconds),
    )
    return chain.build(surroundings, options.enable_admission_plugins, options.disable_admission_plugins)


def _may(authorizer: Authorizers) -> chain.May:
    async def may(user: User, info: RequestInfo) -> bool:
        return (await authorizer.decide(user, info)).allowed

    return may


def _decide(authorizer: Authorizers) -> Decide:
    """For expressions, at once: authorizers that are asked over the network have no say in them."""

    def decide(user: User, info: RequestInfo) -> cel_authorizer.Decision:
        verdict = authorizer.authorize(user, info)
        return cel_authorizer.Decision(verdict.allowed, verdict.reason)

    return decide


def _versions_of(catalog: Catalog) -> Versions:
    def versions_of(resource: GroupVersionResource) -> list[str]:
        wanted = (resource.group, resource.resource)
        return [row.version for row in catalog.rows.values() if (row.group, row.plural) == wanted]

    return versions_of


def _convert(catalog: Catalog) -> Convert:
    async def convert(obj: Object, api_version: str) -> Object:
        obj = copy(obj)
        source = catalog.find_kind(GroupVersionKind(*split(obj["apiVersion"]), obj["kind"]))
        if source is not None and source.custom is not None and source.custom.conversion is not None:
            converted: list[Object] = await source.custom.conversion.convert([obj], api_version)
            return converted[0]
        target = catalog.find_kind(GroupVersionKind(*split(api_version), obj["kind"]))
        stored = source.to_storage(obj) if source is not None and source.to_storage is not None else obj
        shown = (
            target.from_storage(stored) if target is not None and target.from_storage is not None else stored
        )
        return {**shown, "apiVersion": api_version}

    return convert


def _plural_of(catalog: Catalog) -> PluralOf:
    def plural_of(api_version: str, kind: str) -> tuple[str, bool] | None:
        row = catalog.find_kind(GroupVersionKind(*split(api_version), kind))
        return (row.plural, row.namespaced) if row is not None else None

    return plural_of


def _schema_of(catalog: Catalog, schemas: schema_catalog.Catalog) -> SchemaOf:
    def schema_of(kind: GroupVersionKind) -> Structural | None:
        row = catalog.find_kind(kind)
        return row.custom.schema if row is not None and row.custom is not None else schemas.schema(kind)

    return schema_of


def _webhook_credentials(configured: Mapping[str, Object]) -> dict[str, ClientConfig]:
    """What the API server shows to webhooks, by their hosts."""
    files = {
        configured[plugin].get("kubeConfigFile") or ""
        for plugin in ("MutatingAdmissionWebhook", "ValidatingAdmissionWebhook")
        if plugin in configured
    }
    return {name: config for file in sorted(files) if file for name, config in kubeconfig.users(file).items()}
