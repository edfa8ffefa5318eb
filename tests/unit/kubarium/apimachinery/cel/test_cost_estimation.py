"""Estimates of costs: the figures are those of upstream's API server for the same schemas and rules."""

from __future__ import annotations

from typing import Any

import pytest

from kubarium.apimachinery.cel.compiler import compile
from kubarium.apimachinery.schema.structural import from_openapi

FORMATS = {
    "duration": {"type": "string", "format": "duration"},
    "date": {"type": "string", "format": "date"},
    "date-time": {"type": "string", "format": "date-time"},
    "int-or-string": {"x-kubernetes-int-or-string": True},
}
OBJECT = {
    "type": "object",
    "properties": {"required": {"type": "string"}, "optional": {"type": "string"}},
    "required": ["required"],
}


def scalar(kind: str) -> dict[str, Any]:
    return FORMATS.get(kind, {"type": kind})


def array(items: dict[str, Any], most: int | None = None) -> dict[str, Any]:
    return {"type": "array", "items": items, **({} if most is None else {"maxItems": most})}


def mapping(values: dict[str, Any], most: int | None = None) -> dict[str, Any]:
    limit = {} if most is None else {"maxProperties": most}
    return {"type": "object", "additionalProperties": values, **limit}


def text(most: int | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "string", **more, **({} if most is None else {"maxLength": most})}


def cost(schema: dict[str, Any], rule: str) -> int:
    return compile(rule, {"self": from_openapi(schema)}, estimate=True).estimated_cost


ALL = "self.all(x, true)"


@pytest.mark.parametrize(
    ("items", "rule", "unlimited", "most", "limited"),
    [
        (scalar("number"), ALL, 4718591, 10, 32),
        (scalar("string"), ALL, 3145727, 20, 62),
        (scalar("boolean"), ALL, 1887437, 5, 17),
        (array(scalar("number")), ALL, 3145727, 100, 302),
        (OBJECT, ALL, 555128, 50, 152),
        (scalar("number"), "self[1] == 0.0", 2, 5000, 2),
        (scalar("string"), "self[1] == self[1]", 314577, 8, 314577),
        (scalar("number"), "self.all(x, x == 0.0)", 6291454, 3 * 1024 * 2048, 25165826),
        (scalar("int-or-string"), ALL, 4718591, 10, 32),
        (scalar("int-or-string"), "self[0] == 5", 3, 10, 3),
        (scalar("boolean"), "self[0] == false", 2, 25, 2),
        (OBJECT, "self[0] == null", 2, 422, 2),
        (array(scalar("number")), "self[0][0] == -1.0", 3, 51, 3),
        (mapping(scalar("number")), "self.all(x, x.y == 25.2)", 6291452, 12, 74),
        (mapping(scalar("number")), "self[0].x > 2.0", 4, 3000, 4),
        (scalar("duration"), ALL, 2359295, 5, 17),
        (scalar("duration"), "self[0].getHours() == 2", 4, 525, 4),
        (scalar("date"), ALL, 725936, 15, 47),
        (scalar("date-time"), ALL, 428963, 25, 77),
        (scalar("date-time"), "self[2].getMinutes() == 45", 4, 99, 4),
    ],
)
def test_lists(items: dict[str, Any], rule: str, unlimited: int, most: int, limited: int) -> None:
    assert (cost(array(items), rule), cost(array(items, most), rule)) == (unlimited, limited)


@pytest.mark.parametrize(
    ("values", "rule", "unlimited", "most", "limited"),
    [
        (scalar("number"), ALL, 1348169, 10, 32),
        (scalar("string"), ALL, 1179647, 3, 11),
        (scalar("boolean"), ALL, 943718, 100, 302),
        (scalar("number"), 'self["x"] == 0.0', 2, 0, 2),
        (scalar("int-or-string"), ALL, 1348169, 15, 47),
        (mapping(scalar("number")), ALL, 1179647, 10, 32),
        (scalar("duration"), ALL, 1048577, 5, 17),
        (scalar("date"), ALL, 524288, 10, 32),
        (scalar("date-time"), ALL, 349526, 25, 77),
    ],
)
def test_maps(values: dict[str, Any], rule: str, unlimited: int, most: int, limited: int) -> None:
    assert (cost(mapping(values), rule), cost(mapping(values, most), rule)) == (unlimited, limited)


@pytest.mark.parametrize(
    ("rule", "unlimited", "most", "limited"),
    [
        ("self.contains('test')", 314574, 10, 5),
        ("self.startsWith('test')", 2, 15, 2),
        ('size(self + "hello") > size("hello")', 314578, 4, 7),
        ('self.matches("x")', 314574, 50, 22),
        ('"".matches("(((((((((())))))))))[0-9]")', 7, 10, 7),
        ('self.matches("")', 1, 100, 1),
        ('self == "x"', 2, 0, 1),
        ("self.find('[0-9]+') == ''", 629147, 10, 11),
    ],
)
def test_texts(rule: str, unlimited: int, most: int, limited: int) -> None:
    assert (cost(text(), rule), cost(text(most), rule)) == (unlimited, limited)


def test_loops_in_loops_and_libraries() -> None:
    numbers = array(scalar("number"), 10)
    assert cost(numbers, "self.all(x, self.all(y, true))") == 352
    assert cost(numbers, "self.all(x, self.all(y, self.all(z, true)))") == 3552
    assert cost(array(scalar("number")), "self.all(x, self.all(y, true))") > 10_000_000
    assert cost(array(text()), "self.join(' ') == 'aa bb'") == 329853068905
    assert cost(array(text(10), 10), "self.join(' ') == 'aa bb'") == 43
    assert cost(array(text()), "self.isSorted() == true") == 329854432052
    assert cost(mapping(text()), "self.all(x, x.contains(self[x]))") == 2752507


def test_what_is_equal_is_not_charged_twice() -> None:
    assert cost(text(0, format="byte"), 'self == b"x"') == 1
    assert cost({"type": "object", "properties": {"x": {"type": "string"}}}, "has(self.x)") == 1


def test_rules_of_the_gateway_api_stay_within_the_limit() -> None:
    """They were written to fit just so."""
    listener = {
        "type": "object",
        "properties": {
            "name": text(253),
            "hostname": text(253),
            "protocol": text(255),
            "port": {"type": "integer"},
        },
    }
    unique = (
        "self.all(l1, self.exists_one(l2, l1.port == l2.port && l1.protocol == l2.protocol && (has(l1.hostname) && "
        "has(l2.hostname) ? l1.hostname == l2.hostname : !has(l1.hostname) && !has(l2.hostname))))"
    )
    assert 500_000 < cost(array(listener, 64), unique) < 10_000_000
    pattern = r'''self.matches(r"""^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$""")'''
    assert 5_000_000 < cost(text(1024), pattern) * 16 * 64 < 10_000_000
