"""JSONPath templates."""

from __future__ import annotations

from typing import Any

import pytest

from kubarium.kubectl.go_template.lexer import TemplateError
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
        ("{.items[1].status}", '{"n":2,"on":false}'),
        (".items[1].status", ".items[1].status"),
        ("{.items[*]['metadata.name', 'status.n']}", "a b 1 2"),
        (r"{.items[0].metadata.labels['app\.io/x']}", "1"),
        ('{"a \\"b\\""}{\'c\'}{1}', 'a "b"c1'),
        ("{range .items[*]}{.metadata.name}", "ab"),
        ("{.items[0].metadata}", '{"labels":{"app.io/x":"1"},"name":"a"}'),
        ("name: {.items[0].metadata.name}!", "name: a!"),
        ("{.missing}", ""),
    ],
)
def test_templates(template: str, expected: str) -> None:
    assert render(template, PODS) == expected


def test_filters_without_comparison_ask_for_presence() -> None:
    assert find(".items[?(@.metadata.labels)].metadata.name", PODS) == ["a"]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{.metadata.name", "error parsing jsonpath {.metadata.name, unclosed action"),
        ("{.items[abc]}", "error parsing jsonpath {.items[abc]}, invalid array index abc"),
        ("{.items[", "error parsing jsonpath {.items[, unterminated array"),
        ("{.items[9].x}", "Error executing template: array index out of bounds: index 9, length 2. Printing"),
        ("{items}", "Error executing template: unrecognized identifier items. Printing more"),
        ("{end}", "Error executing template: not in range, nothing to end. Printing more"),
        ("{.items[?(@.n==1 && @.n==2)]}", "unrecognized character in action: U+0026 '&'"),
    ],
)
def test_what_is_wrong_with_a_template(template: str, words: str) -> None:
    """Upstream's words, as kubectl 1.36.4 says them."""
    with pytest.raises(TemplateError) as error:
        render(template, PODS)
    assert words in str(error.value)
