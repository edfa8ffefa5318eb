"""JSONPath templates."""

from __future__ import annotations

from typing import Any

import pytest

from kubarium.kubectl.jsonpath import find, render

PODS: Any = {
    "items": [
        {"metadata": {"name": "a", "labels": {"app.io/x": "1"}}, "status": {"n": 1, "on": True}},
        {"metadata": {"name": "b"}, "status": {"n": 2, "on": False}},
    ]
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{.items[*].metadata.name}", "a b"),
        ("{.items[0].metadata.name}", "a"),
        ("{.items[-1:].metadata.name}", "b"),
        ("{.items[0,1].status.n}", "1 2"),
        ("{.items[?(@.status.n>1)].metadata.name}", "b"),
        ('{.items[?(@.metadata.name=="a")].status.on}', "true"),
        (r"{.items[0].metadata.labels.app\.io/x}", "1"),
        ("{.items[0].metadata.labels['app.io/x']}", "1"),
        ('{range .items[*]}{.metadata.name}={.status.n}{"\\n"}{end}', "a=1\nb=2\n"),
        ("{range .nothing[*]}x{end}done", "done"),
        ("{..name}", "a b"),
        (".items[1].status", '{"n":2,"on":false}'),
        ("name: {.items[0].metadata.name}!", "name: a!"),
        ("{.missing}", ""),
    ],
)
def test_templates(template: str, expected: str) -> None:
    assert render(template, PODS) == expected


def test_filters_without_comparison_ask_for_presence() -> None:
    assert find(".items[?(@.metadata.labels)].metadata.name", PODS) == ["a"]
