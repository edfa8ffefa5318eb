"""Single values against keywords; what is said was read from upstream's server."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from kubarium.apimachinery.schema import formats
from kubarium.apimachinery.schema.formats import FORMATS
from kubarium.apimachinery.schema.structural import from_openapi
from kubarium.apimachinery.schema.validation import validate

INTEGER = {"type": "integer"}
EITHER = {"x-kubernetes-int-or-string": True}


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (INTEGER, 1.0, []),
        (INTEGER, 2**63, ['v: Invalid value: "number": v in body must be of type integer: "number"',
                          '<nil>: Invalid value: "": Checked value must be of type integer (default format) in v']),
        ({**INTEGER, "format": "int32"}, 2**40,
         ['<nil>: Invalid value: "": Checked value must be of type integer with format int32 in v']),
        ({**INTEGER, "format": "int32"}, True,
         ['v: Invalid value: "": v in body must be of type int32: ""']),
        ({"type": "string", "enum": ["a"]}, 5,
         ['v: Invalid value: "integer": v in body must be of type string: "integer"',
          'v: Unsupported value: 5: supported values: "a"']),
        ({"type": "string", "enum": ["a"], "nullable": True}, None,
         ['v: Unsupported value: null: supported values: "a"']),
        ({**INTEGER, "enum": [1]}, 1.0, []),
        ({"type": "number", "exclusiveMaximum": True, "maximum": 1000000}, 1000000.0,
         ["v: Invalid value: 1e+06: v in body should be less than 1e+06"]),
        ({"type": "number", "multipleOf": 0.1}, 0.35,
         ["v: Invalid value: 0.35: v in body should be a multiple of 0.1"]),
        ({"type": "string", "pattern": "^[a-z]+$", "minLength": 3}, "A",
         ['v: Invalid value: "A": v in body should be at least 3 chars long']),
        ({"type": "string", "format": "nosuch"}, "x", []),
        ({"type": "string", "format": "date"}, [], []),
        ({**INTEGER, "allOf": [{"minimum": 3}, {"maximum": 5}]}, 7,
         ["v: Invalid value: 7: v in body should be less than or equal to 5",
          '<nil>: Invalid value: "": "v" must validate all the schemas (allOf)']),
        ({**EITHER, "anyOf": [{"type": "integer"}, {"type": "string"}]}, True,
         ['v: Invalid value: "boolean": v in body must be of type integer,string: "boolean"',
          '<nil>: Invalid value: "": "v" must validate at least one schema (anyOf)',
          'v: Invalid value: "boolean": v in body must be of type integer: "boolean"']),
        ({"type": "array", "items": INTEGER, "minItems": 2}, ["x"],
         ['v[0]: Invalid value: "string": v[0] in body must be of type integer: "string"',
          "v: Invalid value: 1: v in body should have at least 2 items"]),
    ],
)  # fmt: skip
def test_values(schema: dict[str, Any], value: Any, expected: list[str]) -> None:
    whole = from_openapi({"type": "object", "properties": {"v": schema}})
    assert [str(error) for error in validate({"v": value}, whole)] == expected


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("ipv4", ["1.2.3.4", "01.2.3.4", "::ffff:1.2.3.4"], ["1.2.3", "::1", "256.1.1.1"]),
        ("ipv6", ["::1", "::ffff:1.2.3.4"], ["fe80::1%eth0", "1.2.3.4"]),
        ("cidr", ["1.2.3.4/24", "01.2.3.0/24", "::/0"], ["1.2.3.4", "1.2.3.4/33"]),
        ("mac", ["aa:bb:cc:dd:ee:ff", "aabb.ccdd.eeff"], ["aa:bb-cc:dd:ee:ff", "aa:bb"]),
        ("uri", ["http://a/b", "/a", "a:b", "http://", "mailto:x@y"], ["a", "http:// x", "http://%zz", "?x"]),
        ("email", ["a@b", "A <a@b>", '"a b"@c'], ["a", "@b", "a b@c", "a..b@c"]),
        ("hostname", ["a", "a.bc", "ä.de"], ["a_b", "-a", "a.b", "1.2.3.4", "xn--a"]),
        ("date-time", ["2020-01-01T00:00:00Z", "2020-01-01t00:00:00z"],
         ["2020-01-01T00:00:00", "2020-01-01 00:00:00Z"]),
        ("duration", ["1h30m", "1 day", "3 hours 2 minutes", "-1s"], ["5", "x"]),
        ("byte", ["YQ=="], ["YQ", "@@"]),
        ("creditcard", ["4111-1111-1111-1111"], ["4111111111111112"]),
        ("isbn10", ["0-321-75104-3", "080442957X"], ["0321751044"]),
        ("isbn13", ["978-0321751041"], ["9780321751042"]),
        ("ssn", ["123-45-6789"], ["123456789"]),
        ("rgbcolor", ["rgb( 1 , 2 , 3 )"], ["rgb(256,0,0)"]),
    ],
)  # fmt: skip
def test_formats(name: str, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not FORMATS[name](text)] == []
    assert [text for text in bad if FORMATS[name](text)] == []


def test_the_small_pattern_for_hosts_says_what_the_large_one_says() -> None:
    parts = (
        "a",
        "b1",
        "1",
        "-",
        "_",
        "$",
        "+",
        "<",
        "=",
        ">",
        "^",
        "`",
        "|",
        "~",
        "!",
        ".",
        ".com",
        "\n",
        "x" * 63,
    )
    for text in ("".join(choice) for size in range(4) for choice in itertools.product(parts, repeat=size)):
        assert formats._is_ascii_host(text) == formats._is_host(text), text
