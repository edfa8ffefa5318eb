"""Services: IP families, addresses and node ports are given here."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from apiserver.registry.core import service_addresses as pool
from apiserver.registry.core import service_families as families
from apiserver.registry.core.service_addresses import ServiceAddresses
from apiserver.registry.store import Registry
from apiserver.registry.strategy import Strategy, Undo, offers_of
from apiserver.request import RequestContext
from kubarium.api.core import service as noun
from kubarium.api.core import service_validation, service_warnings
from kubarium.apimachinery import errors, names
from kubarium.apimachinery.field_path import SPEC, FieldError, FieldPath, internal, invalid
from kubarium.apimachinery.fields import FieldGetter
from kubarium.apimachinery.object import Object, name_of, spec_of

SELECTABLE: Mapping[str, FieldGetter] = {
    "spec.clusterIP": lambda service: spec_of(service).get("clusterIP") or "",
    "spec.type": lambda service: spec_of(service).get("type") or "",
}


@dataclass(frozen=True)
class ServiceStrategy(Strategy):
    """What a service needs is taken before it is kept, and given back when it goes."""

    has_transactions: bool = True
    returns_deleted: bool = True
    allow_create_on_update: bool = True
    selectable_fields: Mapping[str, FieldGetter] = field(default_factory=lambda: SELECTABLE)

    def prepare_for_create(self, context: RequestContext, obj: Object) -> None:
        obj["status"] = {"loadBalancer": {}}
        _normalize_addresses(spec_of(obj), {})

    def prepare_for_update(self, context: RequestContext, new: Object, old: Object) -> None:
        super().prepare_for_update(context, new, old)
        _patch_allocated(spec_of(new), spec_of(old))
        _drop_dependents_of_type(new, old)
        _normalize_addresses(spec_of(new), spec_of(old))
        if not noun.needs_health_check_port(new):
            spec_of(new).pop("healthCheckNodePort", None)

    async def begin_create(self, registry: Registry, context: RequestContext, obj: Object) -> Undo | None:
        return await _Allocation(registry, context, obj).complete({})

    async def begin_update(
        self, registry: Registry, context: RequestContext, new: Object, old: Object
    ) -> Undo | None:
        allocation = _Allocation(registry, context, new)
        undo = await allocation.complete(old)
        await allocation.release_unused(old)
        return undo

    async def after_delete(self, registry: Registry, context: RequestContext, obj: Object) -> None:
        if registry.addresses is not None and not context.dry_run:
            await registry.addresses.release(pool.addresses_of(obj))
            await registry.addresses.release_ports(pool.node_ports_of(obj))


STRATEGY = ServiceStrategy(
    name_errors=names.dns_label_errors, **offers_of(noun, service_validation, service_warnings)
)


def _patch_allocated(new: Object, old: Object) -> None:
    """An update that leaves out what the server gave keeps it (PUT from clients that never read)."""
    if new.get("type") == noun.EXTERNAL_NAME or old.get("type") == noun.EXTERNAL_NAME:
        return
    if not new.get("clusterIP") and not new.get("clusterIPs") and old.get("clusterIP"):
        new["clusterIP"], new["clusterIPs"] = (
            old["clusterIP"],
            list(old.get("clusterIPs") or [old["clusterIP"]]),
        )
    if new.get("type") in (noun.NODE_PORT, noun.LOAD_BALANCER):
        _patch_ports(new, old)
    if old.get("healthCheckNodePort") and not new.get("healthCheckNodePort"):
        new["healthCheckNodePort"] = old["healthCheckNodePort"]


def _drop_dependents_of_type(new: Object, old: Object) -> None:
    """What only the old type allowed goes with it, unless the client changed it: then validation speaks."""
    for name in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
        if noun.type_of(new) != noun.LOAD_BALANCER and noun.type_of(old) == noun.LOAD_BALANCER:
            _drop_unchanged(spec_of(new), spec_of(old), name)
    if not noun.is_externally_accessible(new) and noun.is_externally_accessible(old):
        _drop_unchanged(spec_of(new), spec_of(old), "externalTrafficPolicy")


def _drop_unchanged(new: Object, old: Object, name: str) -> None:
    if name in new and new.get(name) == old.get(name):
        del new[name]


def _patch_ports(new: Object, old: Object) -> None:
    """Ports without a node port keep the one they had."""
    before = {port.get("name"): port.get("nodePort") for port in old.get("ports") or ()}
    taken = {port.get("nodePort") for port in new.get("ports") or ()}
    for port in new.get("ports") or ():
        number = before.get(port.get("name"))
        if not port.get("nodePort") and number and number not in taken:
            port["nodePort"] = number


def _normalize_addresses(spec: Object, old: Object) -> None:
    """`clusterIP` and the first of `clusterIPs` say the same; only the newer field alone is too little."""
    if spec.get("type") == noun.EXTERNAL_NAME:
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            spec.pop(name, None)
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)
        return
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    elif (
        old
        and spec.get("clusterIP") != old.get("clusterIP")
        and spec.get("clusterIPs") == old.get("clusterIPs")
    ):
        # A client that does not know the newer field.
        spec["clusterIPs"] = [spec["clusterIP"]] if spec.get("clusterIP") else []
    families.fill_policy(spec, old)
    families.give_up_second(spec, old)
    if not noun.needs_node_ports({"spec": spec}) and old.get("type") in (noun.NODE_PORT, noun.LOAD_BALANCER):
        before = {port.get("nodePort") for port in old.get("ports") or ()}
        for port in spec.get("ports") or ():
            if port.get("nodePort") in before:
                port.pop("nodePort", None)


class _Allocation:
    """Takes for one service what it still lacks; knows how to give it back."""

    def __init__(self, registry: Registry, context: RequestContext, service: Object) -> None:
        self._pool: ServiceAddresses | None = registry.addresses
        self._dry = context.dry_run
        self._service = service
        self._addresses: list[str] = []
        self._ports: list[int] = []

    async def complete(self, old: Object) -> Undo | None:
        """Families, addresses and ports. Raises Invalid when something asked for cannot be had."""
        if self._pool is None:
            return None
        try:
            spec = spec_of(self._service)
            kept = bool(old) and families.stays_as_it_is(spec, spec_of(old))
            if noun.type_of(self._service) != noun.EXTERNAL_NAME and not kept:
                self._choose_families(self._pool)
                await self._complete_addresses(self._pool, set(pool.addresses_of(old)) if old else set())
            await self._complete_ports(self._pool, pool.node_ports_of(old) if old else set())
        except BaseException:
            await self._give_back()
            raise
        return self._give_back

    async def release_unused(self, old: Object) -> None:
        """What the old state had and the new one has not."""
        if self._pool is not None and not self._dry:
            kept = set(pool.addresses_of(self._service))
            await self._pool.release([text for text in pool.addresses_of(old) if text not in kept])
            await self._pool.release_ports(pool.node_ports_of(old) - pool.node_ports_of(self._service))

    async def _give_back(self) -> None:
        if self._pool is not None:
            await self._pool.release(self._addresses)
            await self._pool.release_ports(self._ports)

    def _choose_families(self, addresses: ServiceAddresses) -> None:
        found = families.choose(spec_of(self._service), addresses.families)
        if found:
            raise errors.Invalid.of("", "Service", name_of(self._service), found)

    async def _complete_addresses(self, addresses: ServiceAddresses, held: set[str]) -> None:
        spec = spec_of(self._service)
        if spec.get("clusterIP") == noun.NONE:
            return
        wanted = list(spec.get("clusterIPs") or ())
        for index, name in enumerate(spec["ipFamilies"]):
            if index < len(wanted) and wanted[index]:
                if wanted[index] not in held:
                    await self._claim(addresses, wanted[index], index)
                continue
            try:
                chosen = "" if self._dry else await addresses.allocate(name, self._service)
            except pool.Full as error:
                text = f"failed to allocate a serviceIP: {error}"
                raise errors.InternalError.because(text) from None
            wanted[index:] = [chosen] if chosen else []
            self._addresses += [chosen] if chosen else []
        if wanted:
            spec["clusterIPs"], spec["clusterIP"] = wanted, wanted[0]

    async def _claim(self, addresses: ServiceAddresses, address: str, index: int) -> None:
        if self._dry:
            return
        path = SPEC / "clusterIPs"
        try:
            await addresses.claim(address, self._service)
        except (pool.Taken, pool.OutOfRange) as error:
            text = f"failed to allocate IP {address}: {error}"
            raise self._invalid(invalid(path, spec_of(self._service).get("clusterIPs"), text)) from None
        self._addresses.append(str(ipaddress.ip_address(address)))

    async def _complete_ports(self, addresses: ServiceAddresses, held: set[int]) -> None:
        spec = spec_of(self._service)
        given: dict[int, set[str]] = {}  # a number may serve TCP and UDP of one service
        for index, port in enumerate(spec.get("ports") or ()):
            number = port.get("nodePort")
            path = SPEC / "ports" % index / "nodePort"
            if number and number not in held and number not in given:
                await self._claim_port(addresses, number, path)
            elif not number and noun.needs_node_ports(self._service):
                number = port["nodePort"] = await self._any_port(addresses, path)
            if number:
                given.setdefault(number, set()).add(port.get("protocol") or "TCP")
        if noun.needs_health_check_port(self._service):
            number, path = spec.get("healthCheckNodePort"), SPEC / "healthCheckNodePort"
            if number and number not in held:
                await self._claim_port(addresses, number, path)
            elif not number:
                spec["healthCheckNodePort"] = await self._any_port(addresses, path)

    async def _claim_port(self, addresses: ServiceAddresses, number: int, path: FieldPath) -> None:
        if self._dry:
            return
        try:
            await addresses.claim_port(number)
        except (pool.Taken, pool.OutOfRange) as error:
            raise self._invalid(invalid(path, number, str(error))) from None
        self._ports.append(number)

    async def _any_port(self, addresses: ServiceAddresses, path: FieldPath) -> int:
        if self._dry:
            return addresses.first_port
        try:
            number = await addresses.allocate_port()
        except pool.Full as error:
            raise self._invalid(internal(path, f"failed to allocate a nodePort: {error}")) from None
        self._ports.append(number)
        return number

    def _invalid(self, error: FieldError) -> errors.Invalid:
        return errors.Invalid.of("", "Service", name_of(self._service), [error])
