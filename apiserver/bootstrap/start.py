"""Makes everything that a fresh cluster needs, until it has worked; then keeps the `kubernetes` Service alive."""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from apiserver.bootstrap import defaults, roles
from apiserver.bootstrap.kubernetes_service import RENEW_SECONDS, KubernetesService
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.client.resource import ResourceClient
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

RETRY_SECONDS = 1.0
_DEFAULTS_EVERY = 6  # renewals: whoever deletes a default namespace or level gets it back within a minute
_AT_ONCE = 16  # objects made at the same time


@dataclass(frozen=True)
class Facts:
    """What bootstrapping must know about this API server."""

    advertise_address: str
    secure_port: int
    service_cidrs: tuple[str, ...] = ("10.96.0.0/12",)
    hostname: str = "localhost"
    service_node_port: int = 0  # of the Service `kubernetes`; 0: it has none
    client_ca: str = ""  # PEM
    request_header_ca: str = ""  # PEM
    request_header_allowed_names: tuple[str, ...] = ("front-proxy-client",)
    request_header_settings: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {
            "requestheader-username-headers": ("X-Remote-User",),
            "requestheader-uid-headers": ("X-Remote-Uid",),
            "requestheader-group-headers": ("X-Remote-Group",),
            "requestheader-extra-headers-prefix": ("X-Remote-Extra-",),
        }
    )

    @property
    def cluster_ip(self) -> str:
        """The address of the Service `kubernetes`: the first of the service range."""
        return str(ipaddress.ip_network(self.service_cidrs[0])[1])


class Bootstrap:
    """The first writes of an API server, through its own front door."""

    def __init__(self, client: Client, facts: Facts, clock: Clock) -> None:
        self._client = client
        self._facts = facts
        self._clock = clock
        self._service = KubernetesService(
            client,
            clock,
            facts.advertise_address,
            facts.secure_port,
            facts.cluster_ip,
            facts.hostname,
            node_port=facts.service_node_port,
        )
        self.done = asyncio.Event()

    async def run(self) -> None:
        """Make what is missing, then renew for ever; on cancellation withdraw our address."""
        for step in (self._make_defaults, self._make_roles, self._make_config_maps):
            await self._until_it_works(step)
        await self._until_it_works(self._service.renew)
        self.done.set()
        log.info("the cluster has its roles, namespaces and priority levels")
        try:
            for turn in itertools.count(1):
                await self._clock.sleep(RENEW_SECONDS)
                await self._until_it_works(self._service.renew)
                if turn % _DEFAULTS_EVERY == 0:
                    await self._until_it_works(self._make_defaults)
        except asyncio.CancelledError:
            await self._retire()
            raise

    async def check(self) -> None:
        """For `/readyz`: raises until everything is there."""
        if not self.done.is_set():
            raise RuntimeError("not finished")

    async def _until_it_works(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
                return
            except Exception as error:  # the edge of the loop: storage may not be there yet
                name, surprising = getattr(step, "__name__", step), errors.is_surprising(error)
                log.warning("bootstrap step %s: %s", name, error, exc_info=surprising)
                await self._clock.sleep(RETRY_SECONDS)

    async def _retire(self) -> None:
        try:
            async with asyncio.timeout(3.0):
                await self._service.retire()
        except (errors.StatusError, ConnectionError, TimeoutError) as error:
            log.warning("could not withdraw our address: %s", error)

    async def _make_defaults(self) -> None:
        data = defaults.load()
        await self._ensure("v1", "namespaces", defaults.namespaces(data))
        await self._ensure("scheduling.k8s.io/v1", "priorityclasses", defaults.priority_classes(data))
        levels = defaults.priority_levels(data)
        await self._ensure(defaults.FLOW_CONTROL, "prioritylevelconfigurations", levels)
        await self._ensure(defaults.FLOW_CONTROL, "flowschemas", defaults.flow_schemas(data))
        await self._ensure("networking.k8s.io/v1", "servicecidrs", [self._service_cidr()])

    async def _make_roles(self) -> None:
        data = roles.load()
        for plural, wanted in (
            ("clusterroles", roles.cluster_roles(data)),
            ("clusterrolebindings", roles.cluster_role_bindings(data)),
            ("roles", roles.namespaced_roles(data)),
            ("rolebindings", roles.namespaced_bindings(data)),
        ):
            await self._complete(plural, wanted)

    async def _make_config_maps(self) -> None:
        today = self._clock.now().strftime("%Y-%m-%d")
        tracking = _config_map("kube-apiserver-legacy-service-account-token-tracking", {"since": today})
        await self._ensure("v1", "configmaps", [tracking])
        wanted = _config_map("extension-apiserver-authentication", self._authentication_facts())
        config_maps = self._client.resource("v1", "configmaps")
        found = await self._ensure("v1", "configmaps", [wanted])
        if found:
            there = found[0].get("data") or {}
            data = wanted["data"] | {
                key: joined_bundles(there.get(key) or "", wanted["data"][key])
                for key in _BUNDLES
                if key in wanted["data"]
            }
            if there != data:
                await config_maps.patch(name_of(wanted), {"data": data}, "kube-system")

    def _authentication_facts(self) -> dict[str, str]:
        """What extension API servers need to recognise clients and this server's proxy."""
        facts = self._facts
        data = {"client-ca-file": facts.client_ca} if facts.client_ca else {}
        if facts.request_header_ca:
            data["requestheader-client-ca-file"] = facts.request_header_ca
            data["requestheader-allowed-names"] = json.dumps(list(facts.request_header_allowed_names))
            for key, values in facts.request_header_settings.items():
                data[key] = json.dumps(list(values))
        return data

    def _service_cidr(self) -> Object:
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "ServiceCIDR",
            "metadata": {"name": "kubernetes"},
            "spec": {"cidrs": list(self._facts.service_cidrs)},
        }

    async def _ensure(self, api_version: str, plural: str, wanted: Sequence[Object]) -> list[Object]:
        """Create what is missing; returns those that were there already."""
        resource = self._client.resource(api_version, plural)
        kept = await self._kept(resource, wanted)
        missing = [obj for obj in wanted if _place(obj) not in kept]
        await self._each(missing, lambda obj: _create(resource, obj))
        return [kept[_place(obj)] for obj in wanted if _place(obj) in kept]

    async def _complete(self, plural: str, wanted: Sequence[Object]) -> None:
        """Create missing roles or bindings, and complete those that lack something."""
        resource = self._client.resource(roles.API_VERSION, plural)
        kept = await self._kept(resource, wanted)

        async def one(default: Object) -> None:
            found = kept.get(_place(default))
            if found is None:
                await _create(resource, default)
            elif roles.leads_elsewhere(found, default):
                await resource.delete(name_of(default), namespace_of(default))
                await _create(resource, default)
            elif (completed := roles.completed(found, default)) is not None:
                await resource.update(completed)

        await self._each(wanted, one)

    async def _kept(
        self, resource: ResourceClient, wanted: Sequence[Object]
    ) -> dict[tuple[str, str], Object]:
        if len(wanted) > 2:
            return {_place(obj): obj for obj in (await resource.list())["items"]}
        found: dict[tuple[str, str], Object] = {}
        for obj in wanted:
            try:
                found[_place(obj)] = await resource.get(name_of(obj), namespace_of(obj))
            except errors.NotFound:
                continue
        return found

    @staticmethod
    async def _each(objects: Sequence[Object], work: Callable[[Object], Awaitable[None]]) -> None:
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(obj: Object) -> None:
            async with room:
                await work(obj)

        async with asyncio.TaskGroup() as group:
            for obj in objects:
                group.create_task(one(obj))


async def _create(resource: ResourceClient, obj: Object) -> None:
    try:
        await resource.create(obj)
    except errors.AlreadyExists:
        log.debug("%s was made by somebody else meanwhile", name_of(obj))


def _place(obj: Object) -> tuple[str, str]:
    return namespace_of(obj), name_of(obj)


def _config_map(name: str, data: dict[str, str]) -> Object:
    metadata = {"name": name, "namespace": "kube-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


_BUNDLES = ("client-ca-file", "requestheader-client-ca-file")
_END = "-----END CERTIFICATE-----"


def joined_bundles(known: str, own: str) -> str:
    """Two bundles of certificates as one, each once: API servers of a cluster may each trust other authorities."""
    certificates = [part.strip() for bundle in (known, own) for part in bundle.split(_END)]
    return "".join(f"{certificate}\n{_END}\n" for certificate in dict.fromkeys(certificates) if certificate)
