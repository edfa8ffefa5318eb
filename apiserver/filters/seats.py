"""One priority level: seats in use, requests that wait in fair queues.

Queues are chosen by shuffle sharding: each flow has a hand of a few queues and takes the shortest; freed seats go to
the queues in turn. A request may be so much work that it takes several seats.
Source: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from apiserver.filters.borrowing import Demand, Range
from apiserver.request import RequestContext
from kubarium.api.flowcontrol import priority
from kubarium.apimachinery.object import Object, uid_of

MAX_WAIT = 15.0  # seconds in a queue; upstream allows a quarter of the request timeout
Monotonic = Callable[[], float]


class Ticket:
    """One request at a level: what it is, how many seats it needs, since when it is there."""

    __slots__ = ("arrived", "context", "distinguisher", "flow", "queue", "schema", "seat", "seats", "started")

    def __init__(self, context: RequestContext, schema: str, distinguisher: str, seats: int = 1) -> None:
        self.context = context
        self.schema = schema
        self.distinguisher = distinguisher
        self.flow = f"{schema}/{distinguisher}"
        self.seats = seats
        self.arrived = time.time()  # shown in dumps, nothing is decided by it
        self.started = 0.0
        self.queue = -1
        self.seat: asyncio.Future[None] | None = None


@dataclass(slots=True)
class Queue:
    """Those who wait in line."""

    waiting: deque[Ticket] = field(default_factory=deque)
    running: int = 0
    seats: int = 0  # in use by requests that came from here


@dataclass(slots=True)
class Tally:
    """What became of the requests of a level."""

    dispatched: int = 0
    rejected: int = 0
    timed_out: int = 0
    cancelled: int = 0


class Level:
    """One priority level. `seats` is what it has at the moment, by lending and borrowing."""

    def __init__(self, name: str, monotonic: Monotonic = time.monotonic) -> None:
        self.name = name
        self.uid = ""
        self.exempt = False
        self.quiescing = False
        self.range = Range(1, 1, 1)
        self.seats = 1
        self.in_use = 0
        self.waiting = 0
        self.queues: list[Queue] = []
        self.hand_size = 1
        self.queue_length = 0
        self.running: dict[Ticket, None] = {}
        self.tally = Tally()
        self.demand = Demand(monotonic())
        self._monotonic = monotonic
        self._seats_waiting = 0
        self._turn = 0

    def configure(self, obj: Object, seats: Range) -> None:
        """Take over a configuration; those who wait stay in their queues."""
        self.uid = uid_of(obj)
        self.exempt = priority.is_exempt(obj)
        self.range = seats
        self.seats = max(seats.nominal, 1)
        queuing = priority.queuing_of(obj)
        count = queuing.queues if queuing else 0
        while len(self.queues) > count and not self.queues[-1].waiting:
            self.queues.pop()
        self.queues += [Queue() for _ in range(count - len(self.queues))]
        self.hand_size = queuing.hand_size if queuing else 0
        self.queue_length = queuing.queue_length_limit if queuing else 0
        self._dispatch()

    def resize(self, seats: int) -> None:
        """More or fewer seats, because others lend or want theirs back."""
        self.seats = max(seats, 1)
        self._dispatch()

    async def enter(self, ticket: Ticket) -> str:
        """Take seats, waiting for them if need be. Empty, or why there is no room."""
        if self.exempt or (not self.waiting and self._has_room(ticket)):
            self._seat(ticket)
            return ""
        if not self.queues:
            self.tally.rejected += 1
            return "concurrency-limit"
        ticket.queue = self._queue_of(ticket.flow)
        queue = self.queues[ticket.queue]
        if len(queue.waiting) >= self.queue_length:
            self.tally.rejected += 1
            return "queue-full"
        return await self._wait(queue, ticket)

    async def _wait(self, queue: Queue, ticket: Ticket) -> str:
        seat = ticket.seat = asyncio.get_running_loop().create_future()
        queue.waiting.append(ticket)
        self.waiting += 1
        self._seats_waiting += ticket.seats
        self._note()
        try:
            async with asyncio.timeout(MAX_WAIT):
                await seat
        except BaseException as error:
            if seat.done() and not seat.cancelled():
                self.leave(ticket)  # the seat came while we were being cancelled
            else:
                queue.waiting.remove(ticket)
                self._no_longer_waiting(ticket)
                self._note()
            if isinstance(error, TimeoutError):
                self.tally.timed_out += 1
                return "time-out"
            self.tally.cancelled += 1
            raise
        return ""

    def leave(self, ticket: Ticket) -> None:
        """Give the seats back: to whoever is next, if anyone waits."""
        del self.running[ticket]
        self.in_use -= ticket.seats
        if 0 <= ticket.queue < len(self.queues):
            queue = self.queues[ticket.queue]
            queue.running -= 1
            queue.seats -= ticket.seats
        self._note()
        if self.waiting:
            self._dispatch()

    def _has_room(self, ticket: Ticket) -> bool:
        """A request that needs more seats than there are may run alone."""
        return self.in_use + ticket.seats <= self.seats or not self.in_use

    def _seat(self, ticket: Ticket) -> None:
        ticket.started = time.time()
        self.running[ticket] = None
        self.in_use += ticket.seats
        self.tally.dispatched += 1
        self._note()

    def _no_longer_waiting(self, ticket: Ticket) -> None:
        self.waiting -= 1
        self._seats_waiting -= ticket.seats

    def _dispatch(self) -> None:
        """Seat those who are next, queue after queue, as long as there is room."""
        empty = 0
        while self.waiting and empty < len(self.queues):
            queue = self.queues[self._turn % len(self.queues)]
            if queue.waiting and not self._has_room(queue.waiting[0]):
                return
            self._turn += 1
            if not queue.waiting:
                empty += 1
                continue
            empty = 0
            ticket = queue.waiting.popleft()
            self._no_longer_waiting(ticket)
            if ticket.seat is None or ticket.seat.done():
                continue
            queue.running += 1
            queue.seats += ticket.seats
            self._seat(ticket)
            ticket.seat.set_result(None)

    def _note(self) -> None:
        self.demand.note(self.in_use + self._seats_waiting, self._monotonic())

    def _queue_of(self, flow: str) -> int:
        hand = deal(flow, len(self.queues), self.hand_size)
        return min(hand, key=lambda index: len(self.queues[index].waiting))


def deal(flow: str, queues: int, hand_size: int) -> list[int]:
    """The hand of a flow: some different queues, always the same for the same flow."""
    number = int.from_bytes(hashlib.blake2b(flow.encode(), digest_size=16).digest(), "big")
    left = list(range(queues))
    hand = []
    for _ in range(min(hand_size, queues)):
        number, index = divmod(number, len(left))
        hand.append(left.pop(index))
    return hand
