"""Who may do what."""

from __future__ import annotations

from collections.abc import Iterator

from kubarium.apimachinery.object import Object
from kubarium.kubectl.describers.page import Page, go_list
from kubarium.kubectl.session import Session


def _head(obj: Object, page: Page) -> None:
    page.write(0, "Name:", obj["metadata"]["name"])
    page.pairs(0, "Labels", obj["metadata"].get("labels"))
    page.annotations(0, obj["metadata"].get("annotations"))


async def role(session: Session, obj: Object, page: Page) -> None:
    """Rules, broken down to single things; what is said of the same thing is taken together."""
    _head(obj, page)
    merged: dict[Thing, list[str]] = {}
    for rule in obj.get("rules") or []:
        for thing in _things(rule):
            verbs = merged.setdefault(thing, [])
            verbs += [verb for verb in rule.get("verbs") or [] if verb not in verbs]
    page.write(0, "PolicyRule:")
    rows = [
        [_resource(group, resource), go_list(urls), go_list(names), go_list(verbs)]
        for (group, resource, names, urls), verbs in sorted(merged.items(), key=_as_go_prints)
    ]
    page.table(1, ["Resources", "Non-Resource URLs", "Resource Names", "Verbs"], rows)


Thing = tuple[str, str, tuple[str, ...], tuple[str, ...]]
"""Group, resource, names and paths: one of these at most in each."""


def _things(rule: Object) -> Iterator[Thing]:
    for url in rule.get("nonResourceURLs") or []:
        yield "", "", (), (url,)
    for group in rule.get("apiGroups") or []:
        for resource in rule.get("resources") or []:
            for name in rule.get("resourceNames") or [None]:
                yield group, resource, (name,) if name else (), ()


def _resource(group: str, resource: str) -> str:
    """`deployments.apps/scale`."""
    name, slash, below = resource.partition("/")
    return f"{name}.{group}{slash}{below}" if group else resource


def _as_go_prints(entry: tuple[Thing, list[str]]) -> str:
    """Upstream sorts rules by how Go prints them."""
    (group, resource, names, urls), verbs = entry
    groups, resources = ([], []) if urls else ([group], [resource])
    return (
        f"Verbs:{go_list(verbs)},APIGroups:{go_list(groups)},Resources:{go_list(resources)},"
        f"ResourceNames:{go_list(names)},NonResourceURLs:{go_list(urls)}"
    )


async def binding(session: Session, obj: Object, page: Page) -> None:
    """Which role, and whose."""
    _head(obj, page)
    page.write(0, "Role:")
    page.write(1, "Kind:", obj["roleRef"]["kind"])
    page.write(1, "Name:", obj["roleRef"]["name"])
    page.write(0, "Subjects:")
    rows = [[one["kind"], one["name"], one.get("namespace") or ""] for one in obj.get("subjects") or []]
    page.table(1, ["Kind", "Name", "Namespace"], rows)
