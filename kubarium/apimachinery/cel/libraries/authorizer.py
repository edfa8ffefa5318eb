"""The variable `authorizer` of admission policies: may somebody do something?

Source: https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-authorizer-library
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from kubarium.apimachinery.cel.functions import function, register_class


class Decision(NamedTuple):
    """What an authorizer says."""

    allowed: bool
    reason: str = ""
    error: str = ""


Ask = Callable[[Mapping[str, str]], Decision]
"""Answers a question given as attributes: user's verb, group, resource, subresource, namespace, name or path, and
`serviceAccount` as `namespace/name` when it is asked for somebody else."""


class Authorizer(NamedTuple):
    """The variable `authorizer`: a question that is being put together."""

    ask: Ask
    attributes: tuple[tuple[str, str], ...] = ()


for _kind in ("authorizer", "path_check", "group_check", "resource_check"):
    register_class(_kind, Authorizer)
register_class("decision", Decision)


def _with(authorizer: Authorizer, *more: tuple[str, str]) -> Authorizer:
    return authorizer._replace(attributes=(*authorizer.attributes, *more))


_STEPS = {
    "path": ("authorizer", "path_check"),
    "group": ("authorizer", "group_check"),
    "resource": ("group_check", "resource_check"),
    **dict.fromkeys(
        ("subresource", "namespace", "name", "fieldSelector", "labelSelector"),
        ("resource_check", "resource_check"),
    ),
}
"""What may be said of what, and what is made of it."""


def _register_steps() -> None:
    for name, (before, after) in _STEPS.items():
        function(f"{before}.{name} | string -> {after}")(
            lambda authorizer, text, name=name: _with(authorizer, (name, text))
        )


_register_steps()


@function("authorizer.serviceAccount | string, string -> authorizer")
def _service_account(authorizer: Authorizer, namespace: str, name: str) -> Authorizer:
    return _with(authorizer, ("serviceAccount", f"{namespace}/{name}"))


@function(
    "path_check.check | string -> decision",
    "resource_check.check | string -> decision",
    cost=lambda authorizer, verb: 350_000,
)
def _check(authorizer: Authorizer, verb: str) -> Decision:
    return authorizer.ask({**dict(authorizer.attributes), "verb": verb})


@function("decision.allowed | -> bool")
def _allowed(decision: Decision) -> bool:
    return decision.allowed


@function("decision.reason | -> string")
def _reason(decision: Decision) -> str:
    return decision.reason


@function("decision.errored | -> bool")
def _errored(decision: Decision) -> bool:
    return bool(decision.error)


@function("decision.error | -> string")
def _error(decision: Decision) -> str:
    return decision.error
