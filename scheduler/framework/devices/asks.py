"""What claims ask for, read once per pod: requests with their alternatives, selectors, constraints.

Asks of the same shape get the same answer from the same devices: `shape` is the key under which answers are kept.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubarium.api.resource import device_selector
from kubarium.api.resource.device import qualified
from kubarium.api.resource.resource_claim import MOST_DEVICES
from kubarium.apimachinery import quantity
from kubarium.apimachinery.cel.nodes import CompileError
from kubarium.apimachinery.cel.program import Program
from kubarium.apimachinery.codec import encode_to_keep
from kubarium.apimachinery.object import Object, name_of, namespace_of, spec_of

ClassOf = Callable[[str], Object | None]


class AskError(Exception):
    """The claim or its class is wrong: no node can help. The text is upstream's."""


class UnknownClass(AskError):
    """A class does not exist (yet)."""


@dataclass(frozen=True)
class Selector:
    """One expression, and how errors name it."""

    source: str
    program: Program


@dataclass(frozen=True)
class Ask:
    """One way to fulfil a request."""

    name: str  # `request` or `request/subrequest`
    request: str
    class_config: tuple[Object, ...]
    selectors: tuple[Selector, ...]
    count: int  # 0: all
    is_admin: bool
    tolerations: tuple[Object, ...]
    capacity: dict[str, int] = field(default_factory=dict)  # nano, by name as it was written

    @functools.cached_property
    def expressions(self) -> tuple[str, ...]:
        """What its answers about a device hang on."""
        return tuple(selector.program.source for selector in self.selectors)

    @property
    def shape(self) -> tuple[Any, ...]:
        """Everything on which its answers hang, as JSON may hold it."""
        amounts = [(name, str(nano)) for name, nano in self.capacity.items()]
        return (self.name, self.expressions, self.count, self.is_admin, self.tolerations, amounts)

    def wanted(self, name: str, driver: str) -> int | None:
        """The requested amount of a capacity of the driver's device."""
        full = qualified(name, driver)
        return next((nano for key, nano in self.capacity.items() if qualified(key, driver) == full), None)


@dataclass(frozen=True)
class Request:
    """One request: alternatives, the best first. Without `firstAvailable` there is one."""

    name: str
    alternatives: tuple[Ask, ...]
    is_prioritized: bool = False


@dataclass(frozen=True)
class Constraint:
    """All devices of these requests (none named: of all) have the same, or each another, value of an attribute."""

    requests: frozenset[str]
    attribute: str
    is_distinct: bool

    def concerns(self, ask: Ask) -> bool:
        """Does it speak of devices for this ask?"""
        return not self.requests or ask.name in self.requests or ask.request in self.requests


@dataclass(frozen=True)
class ClaimAsk:
    """A claim without devices."""

    claim: Object
    requests: tuple[Request, ...]
    constraints: tuple[Constraint, ...]

    @property
    def shape(self) -> bytes:
        """Everything on which the choice of devices hangs."""
        wanted = [(one.name, [ask.shape for ask in one.alternatives]) for one in self.requests]
        limits = [(sorted(c.requests), c.attribute, c.is_distinct) for c in self.constraints]
        return encode_to_keep((wanted, limits))


def read(claim: Object, class_of: ClassOf) -> ClaimAsk:
    """The asks of a claim. Raises AskError."""
    devices = spec_of(claim).get("devices") or {}
    name = f"{namespace_of(claim)}/{name_of(claim)}"
    requests = tuple(_request(entry, name, class_of) for entry in devices.get("requests") or ())
    fewest = sum(min(ask.count for ask in request.alternatives) for request in requests)
    if fewest > MOST_DEVICES:
        raise AskError(
            f"claim {name}: number of requested devices {fewest} exceeds the claim limit of {MOST_DEVICES}"
        )
    return ClaimAsk(claim, requests, tuple(_constraints(devices.get("constraints") or (), name)))


def shape_of(claims: Sequence[ClaimAsk]) -> bytes:
    """The shape of all claims of a pod."""
    return b"".join(claim.shape for claim in claims)


def _request(entry: Object, claim: str, class_of: ClassOf) -> Request:
    if entry.get("firstAvailable"):
        found = tuple(
            _ask(sub, entry["name"], claim, class_of, sub["name"]) for sub in entry["firstAvailable"]
        )
        return Request(entry["name"], found, is_prioritized=True)
    return Request(entry["name"], (_ask(entry.get("exactly") or {}, entry["name"], claim, class_of),))


def _ask(entry: Object, request: str, claim: str, class_of: ClassOf, sub: str = "") -> Ask:
    name = f"{request}/{sub}" if sub else request
    class_name = entry.get("deviceClassName") or ""
    if not class_name:
        raise AskError(f"request {name}: unsupported request type")
    device_class = class_of(class_name)
    if device_class is None:
        raise UnknownClass(f"request {name}: device class {class_name} does not exist")
    mode = entry.get("allocationMode") or "ExactCount"
    if mode not in ("ExactCount", "All"):
        raise AskError(f"claim {claim}, request {name}: unsupported count mode {mode}")
    selectors = [
        *_selectors(spec_of(device_class), f"class {class_name}"),
        *_selectors(entry, f"claim {claim}"),
    ]
    wanted = (entry.get("capacity") or {}).get("requests") or {}
    return Ask(
        name=name,
        request=request,
        class_config=tuple(spec_of(device_class).get("config") or ()),
        selectors=tuple(selectors),
        count=0 if mode == "All" else int(entry.get("count") or 1),
        is_admin=bool(entry.get("adminAccess")),
        tolerations=tuple(entry.get("tolerations") or ()),
        capacity={key: quantity.parse(text).nano for key, text in wanted.items()},
    )


def _selectors(holder: Object, owner: str) -> Iterator[Selector]:
    for number, entry in enumerate(holder.get("selectors") or ()):
        source = f"{owner}: selector #{number}"
        expression = (entry.get("cel") or {}).get("expression")
        if expression is None:
            raise AskError(f"{source}: CEL expression empty (unsupported selector type?)")
        try:
            yield Selector(source, device_selector.compiled(expression))
        except CompileError as error:
            raise AskError(f"{source}: CEL compile error: {error}") from None


def _constraints(entries: Sequence[Object], claim: str) -> Iterator[Constraint]:
    for number, entry in enumerate(entries):
        requests = frozenset(entry.get("requests") or ())
        if entry.get("matchAttribute"):
            yield Constraint(requests, entry["matchAttribute"], is_distinct=False)
        elif entry.get("distinctAttribute"):
            yield Constraint(requests, entry["distinctAttribute"], is_distinct=True)
        else:
            raise AskError(
                f"claim {claim}, constraint #{number}: empty constraint (unsupported constraint type?)"
            )
