"""One priority level: seats in use, requests that wait in fair queues.

Queues are chosen by shuffle sharding: each flow has a hand of a few queues and takes the one with least in it. A freed
seat goes to the queue whose next request would end first if all queues were served at once, bit by bit: the clock of
that is virtual time, in which a busy queue gets a second of seats for each second. How long a request takes is not
known before it ends; until then it counts as a short one. A request may be so much work that it takes several seats.
Source: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/,
keps/sig-api-machinery/1040-priority-and-fairness ("Fair Queuing for Server Requests")
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from apiserver.filters.borrowing import Demand, Range
from apiserver.request import RequestContext
from kubarium.api.flowcontrol import priority
from kubarium.apimachinery.object import Object, uid_of

ESTIMATE = 0.003  # seconds that a request is taken to last until it has ended; upstream's figure
MAX_WAIT = 15.0  # seconds in a queue; upstream allows a quarter of the request timeout
Monotonic = Callable[[], float]


class Ticket:
    """One request at a level: what it is, how many seats it needs, since when it is there."""

    __slots__ = (
        "arrived", "began", "context", "distinguisher", "flow", "queue", "schema", "seat", "seats", "started",
    )  # fmt: skip

    def __init__(self, context: RequestContext, schema: str, distinguisher: str, seats: int = 1) -> None:
        self.context = context
        self.schema = schema
        self.distinguisher = distinguisher
        self.flow = f"{schema}/{distinguisher}"
        self.seats = seats
        self.arrived = time.time()  # shown in dumps, nothing is decided by it
        self.started = 0.0
        self.began = 0.0  # the same by a clock that only goes forward
        self.queue = -1
        self.seat: asyncio.Future[None] | None = None


@dataclass(slots=True)
class Queue:
    """Those who wait in line."""

    waiting: deque[Ticket] = field(default_factory=deque)
    running: int = 0
    seats: int = 0  # in use by requests that came from here
    wanted: int = 0  # seats for which those in line wait
    next_start: float = 0.0  # when the next request would begin, in virtual time

    @property
    def is_idle(self) -> bool:
        """Has it nothing to do?"""
        return not self.waiting and not self.running

    @property
    def next_end(self) -> float:
        """When the first who waits would be done, in virtual time."""
        return self.next_start + self.waiting[0].seats * ESTIMATE


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
        self._virtual = 0.0  # the time that a queue would have had which was always busy
        self._virtual_at = monotonic()
        self._busy = 0  # queues that are not idle

    def configure(self, obj: Object, seats: Range) -> None:
        """Take over a configuration; those who wait stay in their queues."""
        self.uid = uid_of(obj)
        self.exempt = priority.is_exempt(obj)
        self.range = seats
        self.seats = max(seats.nominal, 1)
        queuing = priority.queuing_of(obj)
        count = queuing.queues if queuing else 0
        while len(self.queues) > count and self.queues[-1].is_idle:
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
        at_once = not self.waiting and self._has_room(ticket)
        if self.exempt or (not self.queues and at_once):
            self._seat(ticket)
            return ""
        if not self.queues:
            self.tally.rejected += 1
            return "concurrency-limit"
        self._go_on()
        ticket.queue = self._queue_of(ticket.flow)
        queue = self.queues[ticket.queue]
        if at_once:
            self._greet(queue)
            self._seat_from(queue, ticket)
            return ""
        if len(queue.waiting) >= self.queue_length:
            self.tally.rejected += 1
            return "queue-full"
        self._greet(queue)
        return await self._wait(queue, ticket)

    def _go_on(self) -> None:
        """Let virtual time pass: busy queues share the seats, or what they want of them."""
        now = self._monotonic()
        if self._busy:
            wanted = min(self.in_use + self._seats_waiting, self.seats)
            self._virtual += (now - self._virtual_at) * wanted / self._busy
        self._virtual_at = now

    def _greet(self, queue: Queue) -> None:
        """One that had nothing to do begins now: for idle time nothing is owed."""
        if queue.is_idle:
            queue.next_start = self._virtual
            self._busy += 1

    async def _wait(self, queue: Queue, ticket: Ticket) -> str:
        seat = ticket.seat = asyncio.get_running_loop().create_future()
        queue.waiting.append(ticket)
        queue.wanted += ticket.seats
        self.waiting += 1
        self._seats_waiting += ticket.seats
        self._note()
        try:
            async with asyncio.timeout(MAX_WAIT):
                await seat
        except BaseException as error:
            if seat.done() and not seat.cancelled():
                self.leave(ticket)  # the seat came while we were being cancelled
            elif ticket in queue.waiting:
                self._go_on()
                queue.waiting.remove(ticket)
                self._no_longer_waiting(queue, ticket)
                self._busy -= queue.is_idle
                self._note()
            if isinstance(error, TimeoutError):
                self.tally.timed_out += 1
                return "time-out"
            self.tally.cancelled += 1
            raise
        return ""

    def leave(self, ticket: Ticket) -> None:
        """Give the seats back: to whoever is next, if anyone waits."""
        if 0 <= ticket.queue < len(self.queues):
            self._go_on()
            queue = self.queues[ticket.queue]
            queue.running -= 1
            queue.seats -= ticket.seats
            queue.next_start += (self._virtual_at - ticket.began - ESTIMATE) * ticket.seats
            self._busy -= queue.is_idle
        del self.running[ticket]
        self.in_use -= ticket.seats
        self._note()
        if self.waiting:
            self._dispatch()

    def _has_room(self, ticket: Ticket) -> bool:
        """A request that needs more seats than there are may run alone."""
        return self.in_use + ticket.seats <= self.seats or not self.in_use

    def _seat(self, ticket: Ticket) -> None:
        ticket.started, ticket.began = time.time(), self._monotonic()
        self.running[ticket] = None
        self.in_use += ticket.seats
        self.tally.dispatched += 1
        self._note()

    def _seat_from(self, queue: Queue, ticket: Ticket) -> None:
        queue.running += 1
        queue.seats += ticket.seats
        queue.next_start += ticket.seats * ESTIMATE
        self._seat(ticket)

    def _no_longer_waiting(self, queue: Queue, ticket: Ticket) -> None:
        queue.wanted -= ticket.seats
        self.waiting -= 1
        self._seats_waiting -= ticket.seats

    def _dispatch(self) -> None:
        """Seat those who are next as long as there is room."""
        self._go_on()
        while self.waiting:
            queue = self._next_queue()
            if not self._has_room(queue.waiting[0]):
                return
            ticket = queue.waiting.popleft()
            self._no_longer_waiting(queue, ticket)
            if ticket.seat is None or ticket.seat.done():
                self._busy -= queue.is_idle
                continue
            self._seat_from(queue, ticket)
            ticket.seat.set_result(None)

    def _next_queue(self) -> Queue:
        """The one whose first request would end first; of equal ones each has its turn."""
        count = len(self.queues)
        order = [index for step in range(count) if self.queues[index := (self._turn + step) % count].waiting]
        chosen = min(order, key=lambda index: self.queues[index].next_end)
        self._turn = chosen + 1
        return self.queues[chosen]

    def _note(self) -> None:
        self.demand.note(self.in_use + self._seats_waiting, self._monotonic())

    def _queue_of(self, flow: str) -> int:
        hand = deal(flow, len(self.queues), self.hand_size)
        least, chosen = math.inf, hand[0]
        for index in hand:
            queue = self.queues[index]
            load = queue.seats + queue.wanted
            if not load:
                return index
            if load < least:
                least, chosen = load, index
        return chosen


@lru_cache(maxsize=20_000)
def deal(flow: str, queues: int, hand_size: int) -> tuple[int, ...]:
    """The hand of a flow: some different queues, always the same for the same flow."""
    number = int.from_bytes(hashlib.blake2b(flow.encode(), digest_size=16).digest(), "big")
    left = list(range(queues))
    hand = []
    for _ in range(min(hand_size, queues)):
        number, index = divmod(number, len(left))
        hand.append(left.pop(index))
    return tuple(hand)
