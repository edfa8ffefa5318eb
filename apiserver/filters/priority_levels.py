"""Flow schemas sort requests into priority levels; each level has seats and fair queues.

    request ─▶ first flow schema that matches (by matchingPrecedence) ─▶ its priority level:
        exempt                                     in, at once
        a seat is free and nobody waits            in, at once
        Limited with queues                        into a queue of its flow, and in when a seat comes free
        Limited without, queue full, too long      429

The seats of a level are in `seats.py`; how levels lend each other seats, in `borrowing.py`.
Source: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from apiserver.filters import borrowing
from apiserver.filters.seats import Level
from apiserver.request import RequestContext, RequestInfo, User, first, is_true
from kubarium.api.flowcontrol import priority
from kubarium.apimachinery.object import Object, name_of, uid_of
from kubarium.client.informer import Informers
from kubarium.component_base.clock import Clock, RealClock

API_VERSION = "flowcontrol.apiserver.k8s.io/v1"
_MAX_REMEMBERED = 20_000  # classifications kept

Weigh = Callable[[RequestInfo], tuple[int, int]]
"""How many objects a list would look through, and how large one of them is in bytes."""

_BYTES_PER_SEAT = 100_000
_MAX_LIST_BYTES = 1_000_000  # what a list from the cache, sent in parts, holds in memory at a time
_MAX_LIST_SEATS = 10
_MAX_LIST_PART = 0.15  # of the nominal seats of a level


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request belongs: its flow schema, its priority level, its flow."""

    schema: str
    schema_uid: str
    level: Level
    distinguisher: str


class PriorityLevels:
    """All levels and schemas of the cluster, and into which a request falls."""

    def __init__(
        self, total_seats: int = 600, clock: Clock | None = None, weigh: Weigh = lambda info: (0, 0)
    ) -> None:
        self._total = total_seats
        self._clock = clock or RealClock()
        self._weigh = weigh
        self._schemas: dict[str, Object] = {}
        self._configurations: dict[str, Object] = {}
        self.levels: dict[str, Level] = {}
        self._ordered: list[Object] = []
        self._places: dict[tuple[object, ...], Place | None] = {}

    def follow(self, informers: Informers) -> None:
        """Keep up with the cluster's configuration."""
        informers.informer(API_VERSION, "flowschemas").follow(self.put_schema, self.remove_schema)
        levels = informers.informer(API_VERSION, "prioritylevelconfigurations")
        levels.follow(self.put_level, self.remove_level)

    async def run(self) -> None:
        """Share the seats out anew, again and again."""
        while True:
            await self._clock.sleep(borrowing.PERIOD)
            self.adjust()

    def put_schema(self, obj: Object) -> None:
        """Learn of a new or changed FlowSchema."""
        self._schemas[name_of(obj)] = obj
        self._schemas_changed()

    def remove_schema(self, obj: Object) -> None:
        """Forget a FlowSchema."""
        self._schemas.pop(name_of(obj), None)
        self._schemas_changed()

    def put_level(self, obj: Object) -> None:
        """Learn of a new or changed PriorityLevelConfiguration."""
        before = self._configurations.get(name_of(obj))
        self._configurations[name_of(obj)] = obj
        if before is None or before.get("spec") != obj.get("spec") or uid_of(before) != uid_of(obj):
            self._levels_changed()

    def remove_level(self, obj: Object) -> None:
        """Forget a PriorityLevelConfiguration; who sits there may finish."""
        self._configurations.pop(name_of(obj), None)
        self.levels.pop(name_of(obj), None)
        self._levels_changed()

    def place_of(self, user: User, info: RequestInfo) -> Place | None:
        """Schema, level and flow of a request; None while nothing is configured."""
        key = (user.name, user.groups, info.verb, info.group, info.resource, info.subresource, info.namespace,
               "" if info.is_resource else info.path)  # fmt: skip
        try:
            return self._places[key]
        except KeyError:
            pass
        found = self._find(user, info)
        if len(self._places) >= _MAX_REMEMBERED:
            self._places.clear()
        self._places[key] = found
        return found

    def seats_for(self, context: RequestContext, level: Level) -> int:
        """How much work a request is, in seats. Lists are more than one by what they hold in memory, and so are watches
        that begin with one.

        Source: staging/src/k8s.io/apiserver/pkg/util/flowcontrol/request/list_work_estimator.go
        """
        info = context.info
        lists = info.verb == "list" or (info.verb == "watch" and is_true(context.query, "sendInitialEvents"))
        if not lists or info.name or level.exempt:
            return 1
        objects, size = self._weigh(info)
        limit = first(context.query, "limit")
        if limit.isdecimal() and 0 < int(limit) < objects:
            objects = int(limit)
        most = max(1, min(_MAX_LIST_SEATS, math.floor(level.range.nominal * _MAX_LIST_PART + 0.5)))
        wanted = math.ceil(min(objects * size, _MAX_LIST_BYTES) / _BYTES_PER_SEAT)
        return min(max(wanted, 1), most)

    def adjust(self) -> None:
        """End a period: give each level the seats that it needs, within its bounds."""
        now = self._clock.monotonic()
        limited = []
        for level in self.levels.values():
            level.demand.close(now)
            if level.exempt:
                level.resize(max(level.range.least, round(level.demand.smoothed)))
            else:
                limited.append(level)
        shares = [borrowing.share_of(level.range, level.demand) for level in limited]
        for level, share in zip(limited, borrowing.allocate(self._total, shares), strict=True):
            level.resize(borrowing.seats_of(share))

    def _find(self, user: User, info: RequestInfo) -> Place | None:
        for schema in self._ordered:
            level = self.levels.get(priority.level_of(schema))
            if level is not None and matches(schema, user, info):
                flow = {"ByUser": user.name, "ByNamespace": info.namespace}.get(
                    priority.distinguisher_of(schema), ""
                )
                return Place(name_of(schema), uid_of(schema), level, flow)
        return None

    def _schemas_changed(self) -> None:
        self._ordered = sorted(self._schemas.values(), key=lambda s: (priority.precedence_of(s), name_of(s)))
        self._places.clear()

    def _levels_changed(self) -> None:
        shares = {name: priority.shares_of(obj) for name, obj in self._configurations.items()}
        total = sum(shares.values()) or 1
        for name, obj in self._configurations.items():
            level = self.levels.get(name)
            if level is None:
                level = self.levels[name] = Level(name, self._clock.monotonic)
            nominal = -(-self._total * shares[name] // total)
            lendable, borrowing_limit = priority.percentages_of(obj)
            level.configure(obj, borrowing.range_of(nominal, lendable, borrowing_limit, self._total))
        self._places.clear()


def matches(schema: Object, user: User, info: RequestInfo) -> bool:
    """Does a FlowSchema apply to a request?"""
    return any(_rule_matches(rule, user, info) for rule in priority.rules_of(schema))


def _rule_matches(rule: Object, user: User, info: RequestInfo) -> bool:
    if not any(
        priority.subject_matches(subject, user.name, user.groups) for subject in rule.get("subjects") or ()
    ):
        return False
    if not info.is_resource:
        asked: Iterable[Object] = rule.get("nonResourceRules") or ()
        return any(priority.path_rule_matches(one, info.verb, info.path) for one in asked)
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    return any(
        priority.resource_rule_matches(one, info.verb, info.group, resource, info.namespace)
        for one in rule.get("resourceRules") or ()
    )
