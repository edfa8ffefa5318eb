"""Finds devices for the claims of one pod on one node.

Claims, requests and devices are tried in order, and taken back where they lead nowhere: the first full solution
counts. Within a request devices are taken in the order of the pool, so that equal choices are tried once.
Source: https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/4381-dra-structured-parameters
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from kubarium.api.resource.device import attribute_of, keeps_away
from kubarium.api.resource.resource_claim import MOST_DEVICES
from kubarium.apimachinery.cel.functions import CostExceeded, EvaluationError
from scheduler.framework.devices import capacity
from scheduler.framework.devices.asks import Ask, AskError, ClaimAsk, Constraint, Request
from scheduler.framework.devices.inventory import Device, DeviceKey, Pool, PoolAtNode
from scheduler.framework.devices.ledger import Ledger

MOST_STEPS = 20_000
"""Upstream gives up on a node after ten seconds; so many tries are about half a second here."""

BEST_RANK = 8
"""The score of a first alternative (FirstAvailableDeviceRequestMaxSize)."""


class NodeProblem(Exception):
    """Why this node cannot be used, where it is more than that devices are missing."""


class Pick(NamedTuple):
    """A device for a request. `consumed`: what is taken of a shared device."""

    device: Device
    ask: Ask
    consumed: dict[str, int] | None


class Solution(NamedTuple):
    """Devices for each claim, and how well the first alternatives were met."""

    picks: list[list[Pick]]
    score: int


def solve(claims: Sequence[ClaimAsk], pools: Sequence[PoolAtNode], ledger: Ledger) -> Solution | None:
    """Devices for all claims from these pools, or None. Raises NodeProblem and AskError."""
    search = _Search(claims, pools, ledger)
    if search.claim(0):
        return Solution(search.picks, search.score)
    if any(part.pool.problem for part in pools):
        raise NodeProblem("invalid resource pools were encountered")
    return None


class _Search:
    def __init__(self, claims: Sequence[ClaimAsk], pools: Sequence[PoolAtNode], ledger: Ledger) -> None:
        self._claims, self._pools, self._ledger = claims, pools, ledger
        self.picks: list[list[Pick]] = [[] for _ in claims]
        self.score = 0
        self._used: set[DeviceKey] = set()
        self._consumed: dict[DeviceKey, dict[str, int]] = {}
        self._counters: dict[tuple[Pool, str, str], int] = {}
        self._values: list[dict[Constraint, list[Any]]] = [
            {constraint: [] for constraint in claim.constraints} for claim in claims
        ]
        self._candidates_of: dict[int, list[Device]] = {}
        self._steps = 0

    # ---- the order of trying

    def claim(self, number: int) -> bool:
        """Can this claim and all after it be fulfilled?"""
        return number == len(self._claims) or self._request(number, 0)

    def _request(self, claim: int, number: int) -> bool:
        requests = self._claims[claim].requests
        if number == len(requests):
            return self.claim(claim + 1)
        request = requests[number]
        return any(
            self._alternative(claim, number, request, rank, ask)
            for rank, ask in enumerate(request.alternatives)
        )

    def _alternative(self, claim: int, number: int, request: Request, rank: int, ask: Ask) -> bool:
        candidates = self._candidates(ask)
        count = ask.count or len(candidates)
        if not count or len(self.picks[claim]) + count > MOST_DEVICES:
            return False
        gain = BEST_RANK - rank if request.is_prioritized else 0
        self.score += gain
        if self._choose(claim, number, ask, candidates, 0, count):
            return True
        self.score -= gain
        return False

    def _choose(
        self, claim: int, number: int, ask: Ask, candidates: list[Device], first: int, left: int
    ) -> bool:
        if not left:
            return self._request(claim, number + 1)
        for place in range(first, len(candidates)):
            self._steps += 1
            if self._steps > MOST_STEPS:
                raise NodeProblem("timed out trying to allocate devices")
            device = candidates[place]
            if self._take(claim, ask, device):
                again = place if device.is_shared and ask.count else place + 1
                if self._choose(claim, number, ask, candidates, again, left - 1):
                    return True
                self._put_back(claim)
            if not ask.count:
                return False  # all of them, or none
        return False

    # ---- which devices come into question

    def _candidates(self, ask: Ask) -> list[Device]:
        """The devices that the ask selects, those that need no driver's word before binding first."""
        known = self._candidates_of.get(id(ask))
        if known is None:
            known = [
                device
                for pool, devices in self._pools
                if self._is_usable(pool, ask)
                for device in devices
                if self._is_selected(device, ask)
            ]
            if any(device.waits_for_binding for device in known):
                known.sort(key=lambda device: device.waits_for_binding)
            self._candidates_of[id(ask)] = known
        return known

    def _is_usable(self, pool: Pool, ask: Ask) -> bool:
        if pool.is_complete and not pool.problem:
            return True
        if ask.count:
            return False
        claim = next(
            c.claim["metadata"] for c in self._claims if any(ask in r.alternatives for r in c.requests)
        )
        state = "currently invalid" if pool.is_complete else "currently being updated"
        raise NodeProblem(
            f"claim {claim['namespace']}/{claim['name']}, request {ask.name}: asks for all devices, "
            f"but resource pool {pool.key.driver}/{pool.key.pool} is {state}"
        )

    def _is_selected(self, device: Device, ask: Ask) -> bool:
        taints = device.spec.get("taints")
        if taints and keeps_away(taints, ask.tolerations):
            return False
        if ask.capacity and not capacity.offers(device, ask):
            return False
        known = device.matches.get(ask.expressions)
        if known is None:
            known = device.matches[ask.expressions] = _matches(device, ask)
        return known

    # ---- taking and giving back

    def _take(self, claim: int, ask: Ask, device: Device) -> bool:
        consumed: dict[str, int] | None = None
        if not ask.is_admin:
            if device.is_shared:
                consumed = self._share(device, ask)
                if consumed is None:
                    return False
            elif device.key in self._used or device.key in self._ledger.holders:
                return False
            if not self._counters_suffice(device):
                return False
        if not self._constraints_allow(claim, ask, device):
            return False
        self.picks[claim].append(Pick(device, ask, consumed))
        self._count(claim, self.picks[claim][-1], 1)
        return True

    def _put_back(self, claim: int) -> None:
        self._count(claim, self.picks[claim].pop(), -1)

    def _count(self, claim: int, pick: Pick, sign: int) -> None:
        device, ask, consumed = pick
        for constraint, values in self._values[claim].items():
            if constraint.concerns(ask):
                if sign > 0:
                    values.append(attribute_of(device.spec, device.key.driver, constraint.attribute))
                else:
                    values.pop()
        if ask.is_admin:
            return
        if consumed is not None:
            sums = self._consumed.setdefault(device.key, {})
            for name, nano in consumed.items():
                sums[name] = sums.get(name, 0) + sign * nano
        elif sign > 0:
            self._used.add(device.key)
        else:
            self._used.discard(device.key)
        if device.consumes:
            self._count_counters(device, sign)

    def _share(self, device: Device, ask: Ask) -> dict[str, int] | None:
        """What would be taken of a shared device; None if it has not that much left."""
        wanted = capacity.consumption(device, ask)
        if wanted is None:
            return None
        here, before = self._consumed.get(device.key, {}), self._ledger.consumed.get(device.key, {})
        whole = device.view["capacity"]
        for name, nano in wanted.items():
            domain, _, identifier = name.rpartition("/")
            most = whole[domain or device.key.driver][identifier].nano
            if nano + here.get(name, 0) + before.get(name, 0) > most:
                return None
        return wanted

    def _constraints_allow(self, claim: int, ask: Ask, device: Device) -> bool:
        for constraint, values in self._values[claim].items():
            if not constraint.concerns(ask):
                continue
            value = attribute_of(device.spec, device.key.driver, constraint.attribute)
            if value is None:
                return False
            if value in values if constraint.is_distinct else values and values[0] != value:
                return False
        return True

    # ---- counters, of which several devices of a pool are cut

    def _counters_suffice(self, device: Device) -> bool:
        if not device.consumes:
            return True
        pool = self._pool_of(device)
        return all(
            nano <= self._counter(pool, group, name)
            for group, amounts in device.consumes.items()
            for name, nano in amounts.items()
        )

    def _counter(self, pool: Pool, group: str, name: str) -> int:
        """What is left of a counter."""
        key = (pool, group, name)
        known = self._counters.get(key)
        if known is None:
            taken = (pool.devices.get(one.device) for one in self._ledger.in_pool.get(pool.key, ()))
            known = pool.counters.get(group, {}).get(name, 0)
            known -= sum(one.consumes.get(group, {}).get(name, 0) for one in taken if one is not None)
            self._counters[key] = known
        return known

    def _count_counters(self, device: Device, sign: int) -> None:
        pool = self._pool_of(device)
        for group, amounts in device.consumes.items():
            for name, nano in amounts.items():
                self._counters[pool, group, name] = self._counter(pool, group, name) - sign * nano

    def _pool_of(self, device: Device) -> Pool:
        key = (device.key.driver, device.key.pool)
        return next(part.pool for part in self._pools if part.pool.key == key)


def _matches(device: Device, ask: Ask) -> bool:
    for selector in ask.selectors:
        try:
            if not selector.program.evaluate({"device": device.view}):
                return False
        except (EvaluationError, CostExceeded) as error:
            raise AskError(f"{selector.source}: CEL runtime error: {error}") from None
    return True
