"""Initializers of objects stand where the names of their types say."""

from __future__ import annotations

import pytest

from kubarium.apimachinery.cel import structs
from kubarium.apimachinery.cel.compiler import compile


def test_what_fits_becomes_plain() -> None:
    text = "Object{spec: Object.spec{list: [Object.spec.list{a: 1}], map: {'k': Object.spec.map{b: [2]}}}}"
    made = structs.plain(compile(text, {}).evaluate({}))
    assert made == {"spec": {"list": [{"a": 1}], "map": {"k": {"b": [2]}}}}
    assert type(made) is type(made["spec"]) is type(made["spec"]["list"][0]) is dict


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ("Object{spec: Object.status{}}", "Object.status", "Object.spec"),
        ("Object{spec: Object.spec{l: [Object.spec.wrong{}]}}", "Object.spec.wrong", "Object.spec.l"),
        ("Object{spec: Object{}}", "Object", "Object.spec"),
    ],
)
def test_what_does_not_fit_is_named(text: str, given: str, expected: str) -> None:
    with pytest.raises(structs.Mismatch) as wrong:
        structs.plain(compile(text, {}).evaluate({}))
    assert str(wrong.value) == (
        f'unexpected type name "{given}", expected "{expected}", which matches field name path from root Object type'
    )
