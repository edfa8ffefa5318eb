"""Flow schemas sort requests into priority levels; each level has seats and fair queues.

    request ─▶ first flow schema that matches (by matchingPrecedence) ─▶ its priority level:
        exempt                                     in, at once
        a seat is free and nobody waits            in, at once
        Limited with queues                        into a queue of its flow, and in when a seat comes free
        Limited without, queue full, too long      429

Queues are chosen by shuffle sharding: each flow has a hand of a few queues and takes the shortest; a freed seat goes
to the queues in turn. Source: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from apiserver.request import RequestInfo, User
from kubarium.api.flowcontrol import priority
from kubarium.apimachinery.object import Object, name_of, uid_of
from kubarium.client.informer import Informers

API_VERSION = "flowcontrol.apiserver.k8s.io/v1"
MAX_WAIT = 15.0  # seconds in a queue; upstream allows a quarter of the request timeout
_MAX_REMEMBERED = 20_000  # classifications kept


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request belongs: its flow schema, its priority level, its flow."""

    schema_uid: str
    level: Level
    flow: str


@dataclass(slots=True)
class _Queue:
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class Level:
    """One priority level: seats in use, requests that wait."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.uid = ""
        self.exempt = False
        self.seats = 1
        self.in_use = 0
        self.queues: list[_Queue] = []
        self.hand_size = 1
        self.queue_length = 0
        self._turn = 0
        self.waiting = 0

    def configure(self, obj: Object, seats: int) -> None:
        """Take over a configuration; those who wait stay in their queues."""
        self.uid = uid_of(obj)
        self.exempt = priority.is_exempt(obj)
        self.seats = max(seats, 1)
        queuing = priority.queuing_of(obj)
        count = queuing.queues if queuing else 0
        while len(self.queues) > count and not self.queues[-1].waiting:
            self.queues.pop()
        self.queues += [_Queue() for _ in range(count - len(self.queues))]
        self.hand_size = queuing.hand_size if queuing else 0
        self.queue_length = queuing.queue_length_limit if queuing else 0

    async def enter(self, flow: str) -> bool:
        """Take a seat, waiting for it if need be; False if there is no room."""
        if self.in_use < self.seats and not self.waiting:
            self.in_use += 1
            return True
        queue = self._queue_of(flow)
        if queue is None or len(queue.waiting) >= self.queue_length:
            return False
        seat: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.waiting.append(seat)
        self.waiting += 1
        try:
            async with asyncio.timeout(MAX_WAIT):
                await seat
        except BaseException as error:
            if seat.done() and not seat.cancelled():
                self.leave()  # the seat came while we were being cancelled
            else:
                queue.waiting.remove(seat)
                self.waiting -= 1
            if isinstance(error, TimeoutError):
                return False
            raise
        return True

    def leave(self) -> None:
        """Give the seat back: to whoever is next, if anyone waits."""
        self.in_use -= 1
        if self.waiting and self.in_use < self.seats:
            for _ in range(len(self.queues)):
                queue = self.queues[self._turn % len(self.queues)]
                self._turn += 1
                if queue.waiting:
                    self.in_use += 1
                    self.waiting -= 1
                    queue.waiting.popleft().set_result(None)
                    return

    def _queue_of(self, flow: str) -> _Queue | None:
        if not self.queues:
            return None
        hand = deal(flow, len(self.queues), self.hand_size)
        return min((self.queues[index] for index in hand), key=lambda queue: len(queue.waiting))


def deal(flow: str, queues: int, hand_size: int) -> list[int]:
    """The hand of a flow: some different queues, always the same for the same flow."""
    number = int.from_bytes(hashlib.blake2b(flow.encode(), digest_size=16).digest(), "big")
    left = list(range(queues))
    hand = []
    for _ in range(min(hand_size, queues)):
        number, index = divmod(number, len(left))
        hand.append(left.pop(index))
    return hand


class PriorityLevels:
    """All levels and schemas of the cluster, and into which a request falls."""

    def __init__(self, total_seats: int = 600) -> None:
        self._total = total_seats
        self._schemas: dict[str, Object] = {}
        self._configurations: dict[str, Object] = {}
        self.levels: dict[str, Level] = {}
        self._ordered: list[Object] = []
        self._places: dict[tuple[object, ...], Place | None] = {}

    def follow(self, informers: Informers) -> None:
        """Keep up with the cluster's configuration."""
        informers.informer(API_VERSION, "flowschemas").add_handler(
            lambda obj, initial: self.put_schema(obj),
            lambda old, new: self.put_schema(new),
            lambda obj: self.remove_schema(obj),
        )
        informers.informer(API_VERSION, "prioritylevelconfigurations").add_handler(
            lambda obj, initial: self.put_level(obj),
            lambda old, new: self.put_level(new),
            lambda obj: self.remove_level(obj),
        )

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
        self._configurations[name_of(obj)] = obj
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

    def _find(self, user: User, info: RequestInfo) -> Place | None:
        for schema in self._ordered:
            level = self.levels.get(priority.level_of(schema))
            if level is not None and matches(schema, user, info):
                flow = {"ByUser": user.name, "ByNamespace": info.namespace}.get(
                    priority.distinguisher_of(schema), ""
                )
                return Place(uid_of(schema), level, f"{name_of(schema)}/{flow}")
        return None

    def _schemas_changed(self) -> None:
        self._ordered = sorted(self._schemas.values(), key=lambda s: (priority.precedence_of(s), name_of(s)))
        self._places.clear()

    def _levels_changed(self) -> None:
        shares = {name: priority.shares_of(obj) for name, obj in self._configurations.items()}
        total = sum(shares.values()) or 1
        for name, obj in self._configurations.items():
            level = self.levels.setdefault(name, Level(name))
            level.configure(obj, -(-self._total * shares[name] // total))
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
