"""An allocation as it stands in the status of a claim."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

from kubarium.apimachinery.object import Object, spec_of
from scheduler.framework.devices import capacity
from scheduler.framework.devices.asks import ClaimAsk
from scheduler.framework.devices.search import Pick


def write(claim: ClaimAsk, picks: Sequence[Pick], node: str) -> Object:
    """The allocation that a pod on this node gets."""
    devices: Object = {"results": [_result(pick) for pick in picks]}
    config = list(_config(claim, picks))
    if config:
        devices["config"] = config
    allocation: Object = {"devices": devices}
    selector = _node_selector(picks, node)
    if selector is not None:
        allocation["nodeSelector"] = selector
    return allocation


def _result(pick: Pick) -> Object:
    device, ask, consumed = pick
    driver, pool, name = device.key
    result: Object = {"request": ask.name, "driver": driver, "pool": pool, "device": name}
    if ask.is_admin:
        result["adminAccess"] = True
    if ask.tolerations:
        result["tolerations"] = list(ask.tolerations)
    for conditions in ("bindingConditions", "bindingFailureConditions"):
        if device.spec.get(conditions):
            result[conditions] = device.spec[conditions]
    if consumed is not None:
        result["shareID"] = str(uuid.uuid4())
        result["consumedCapacity"] = capacity.texts(device, consumed)
    return result


def _config(claim: ClaimAsk, picks: Sequence[Pick]) -> Iterator[Object]:
    """What the classes say, for the alternatives that were chosen, then what the claim says."""
    chosen = {pick.ask.name: pick.ask for pick in picks}
    for ask in chosen.values():
        for entry in ask.class_config:
            yield {**entry, "source": "FromClass", "requests": [ask.name]}
    for entry in (spec_of(claim.claim).get("devices") or {}).get("config") or ():
        yield {**entry, "source": "FromClaim"}


def _node_selector(picks: Sequence[Pick], node: str) -> Object | None:
    """From where all devices can be used: one node, the nodes that all their selectors choose, or everywhere."""
    merged: dict[str, list[Object]] = {"matchExpressions": [], "matchFields": []}
    for device, _, _ in picks:
        if device.local or device.spec.get("bindsToNode"):
            field = {"key": "metadata.name", "operator": "In", "values": [node]}
            return {"nodeSelectorTerms": [{"matchFields": [field]}]}
        for part, requirements in merged.items():
            for requirement in (device.terms or [{}])[0].get(part) or ():
                if requirement not in requirements:
                    requirements.append(requirement)
    term = {part: requirements for part, requirements in merged.items() if requirements}
    return {"nodeSelectorTerms": [term]} if term else None
