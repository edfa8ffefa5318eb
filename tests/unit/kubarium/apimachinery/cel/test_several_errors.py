"""What the compiler says about expressions that are wrong in more than one place.

The texts are upstream's: each case was compared with its libraries.
"""

from __future__ import annotations

import re

import pytest

from kubarium.apimachinery.cel.compiler import CompileError, compile
from kubarium.apimachinery.schema.structural import from_openapi

SCHEMA = from_openapi(
    {
        "type": "object",
        "properties": {
            "s": {"type": "string", "maxLength": 20},
            "any": {"type": "string"},
            "i": {"type": "integer"},
            "b": {"type": "boolean"},
            "none": {"type": "string", "nullable": True},
            "m": {"type": "object", "additionalProperties": {"type": "integer"}},
            "l": {"type": "array", "maxItems": 10, "items": {"type": "integer"}},
            "when": {"type": "string", "format": "date-time"},
        },
    }
)


def errors_of(source: str) -> list[str]:
    """Place and text of each error."""
    with pytest.raises(CompileError) as wrong:
        compile(source, {"self": SCHEMA}, mutations=False)
    return re.findall(r"ERROR: <input>:(.*)", str(wrong.value))


def undeclared(place: str, name: str) -> str:
    return f"{place}: undeclared reference to '{name}' (in container '')"


@pytest.mark.parametrize(
    "source, told",
    [
        ("self.no && self.gone", ["1:5: undefined field 'no'", "1:16: undefined field 'gone'"]),
        ("self.i && self.s", ["1:5: expected type 'bool' but found 'int'",
                              "1:15: expected type 'bool' but found 'string'"]),
        ("foo(bar)", [undeclared("1:4", "foo"), undeclared("1:5", "bar")]),
        # of what is wrong already no more is said
        ("self.gone == 'a' || self.gone.more", ["1:5: undefined field 'gone'", "1:25: undefined field 'gone'"]),
        ("[1, self.gone, 'a']", ["1:9: undefined field 'gone'"]),
        ("{1: 2, 'a': 'b'}", ["1:8: expected type 'int' but found 'string'",
                              "1:13: expected type 'int' but found 'string'"]),
        ("self.gone.contains('a') + 1", ["1:5: undefined field 'gone'",
            "1:25: found no matching overload for '_+_' applied to '(bool, int)'"]),
        ("1 in ['a']", ["1:3: found no matching overload for '@in' applied to '(int, list(string))'"]),
        ("url('a').getHost() + quantity('1')",
            ["1:20: found no matching overload for '_+_' applied to '(string, kubernetes.Quantity)'"]),
        ("quantity('1').sign()",
            ["1:19: found no matching overload for 'sign' applied to 'kubernetes.Quantity.()'"]),
        ("self.s.all(x, true)",
            ["1:5: expression of type 'string' cannot be range of a comprehension (must be list, map, or dynamic)"]),
        ("self.l.filter(x, 1)",
            ["1:14: found no matching overload for '_?_:_' applied to '(int, list(int), list(int))'"]),
        ("[?self.i]", ["1:7: expected type 'optional_type(int)' but found 'int'"]),
        ("self.l[?'a']", ["1:7: found no matching overload for '_[?_]' applied to '(list(int), string)'"]),
        ("has(self.s, 1)", [undeclared("1:4", "has")]),
        ("has(self.gone)", ["1:4: undefined field 'gone'"]),
        ("'x'.sortBy(x, x)", [
            "1:1: sortBy can only be applied to a list, identifier, comprehension, call or select expression"]),
        # what other environments have
        ("cel.bind(x, 1, x > 0)", [undeclared("1:1", "cel"), undeclared("1:9", "bind"), undeclared("1:10", "x"),
                                   undeclared("1:16", "x")]),
        ("Object{a: 1}", [undeclared("1:7", "Object")]),
        ("jsonpatch.escapeKey('x')", [undeclared("1:1", "jsonpatch"), undeclared("1:20", "escapeKey")]),
        ("isImage('x')", [undeclared("1:8", "isImage")]),
    ],
)  # fmt: skip
def test_all_mistakes_are_told(source: str, told: list[str]) -> None:
    assert errors_of(source) == told


BEGINNING = "'.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"


@pytest.mark.parametrize(
    "source, told",
    [
        ("(self.i", ["1:8: Syntax error: missing ')' at '<EOF>'"]),
        ("self.i) > 1 + 2", ["1:7: Syntax error: mismatched input ')' expecting <EOF>"]),
        ("self.i > 1)", ["1:11: Syntax error: extraneous input ')' expecting <EOF>"]),
        ("size(self.s 1)", ["1:13: Syntax error: extraneous input '1' expecting ')'"]),
        ("[self.i", ["1:8: Syntax error: mismatched input '<EOF>' expecting {']', ','}"]),
        ("&& self.b", ["1:1: Syntax error: extraneous input '&&' expecting {'[', '{', '(', " + BEGINNING]),
        (
            "self.b &&",
            ["1:10: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', " + BEGINNING],
        ),
        (
            "size(",
            ["1:6: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', ')', " + BEGINNING],
        ),
        (
            "self.s == 'x",
            [
                "1:11: Syntax error: token recognition error at: ''x'",
                "1:13: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', " + BEGINNING,
            ],
        ),
        ("self.i @> 1", ["1:8: Syntax error: token recognition error at: '@'"]),
        (
            'self.s == "\\z"',
            [
                "1:11: Syntax error: token recognition error at: '\"\\z'",
                "1:14: Syntax error: token recognition error at: '\"'",
                "1:15: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', " + BEGINNING,
            ],
        ),
    ],
)
def test_texts_that_are_no_expressions(source: str, told: list[str]) -> None:
    assert errors_of(source) == told


def test_the_place_is_shown_in_its_line() -> None:
    with pytest.raises(CompileError) as wrong:
        compile("self.b &&\n\tself.gone == 'äö' + 1", {"self": SCHEMA})
    assert str(wrong.value).splitlines()[1:3] == [" |  self.gone == 'äö' + 1", " | .....^"]
    with pytest.raises(CompileError) as wrong:
        compile("'äö' + 1", {"self": SCHEMA})
    assert str(wrong.value).splitlines()[-1] == " | .\uff0e\uff0e..^"


def test_a_variable_is_bound_where_there_is_the_macro() -> None:
    assert (
        compile("cel.bind(x, 2, x + self.i)", {"self": SCHEMA}, bindings=True).evaluate({"self": {"i": 1}})
        == 3
    )


def test_null_is_as_good_as_nothing() -> None:
    given = {"self": {"none": None, "m": {"a": None}}}
    assert compile("has(self.none) || self.?none.hasValue()", {"self": SCHEMA}).evaluate(given) is False


@pytest.mark.parametrize(
    "source, most",
    [
        ("isQuantity(self.s)", 10), ("isQuantity(self.any)", 314575), ("semver(self.s).major()", 11),
        ("cidr('10.0.0.0/8').containsIP('10.0.0.1')", 6), ("format.dns1123Label().validate(self.s)", 259),
        ("self.l.sort()", 213), ("self.l.reverse()", 23), ("self.l.distinct()", 213), ("self.l.slice(0, 1)", 14),
        ("self.l.sortBy(x, -x)", 376), ("lists.range(3)", 14), ("self.l.map(x, [x]).flatten()", 264),
        ("lists.range(self.i)", 2**64 - 1), ("self.when == self.when", 8), ("self.?s.optMap(x, x)", 28),
        ("self.s.split(',').exists(x, x.contains('abc'))", 419), ("[b'a'].min() == b'a'", 1844674407370955276),
        ("self.l.transformMapEntry(k, x, {k: 1})", 363),
    ],
)  # fmt: skip
def test_what_calls_may_cost(source: str, most: int) -> None:
    assert compile(source, {"self": SCHEMA}, estimate=True).estimated_cost == most


_BEGINNING = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', "
    "NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)


def mismatched(word: str, wanted: str = _BEGINNING) -> str:
    return f"mismatched input '{word}' expecting {wanted}"


def extraneous(word: str, wanted: str = _BEGINNING) -> str:
    return f"extraneous input '{word}' expecting {wanted}"


@pytest.mark.parametrize(
    "source, told",
    [
        ("self.i = 1", {"1:8": "token recognition error at: '= '", "1:10": extraneous("1", "<EOF>")}),
        ("self.b and self.b", {"1:8": mismatched("and", "<EOF>")}),
        ("self.l.all(x, x > 1", {"1:20": "missing ')' at '<EOF>'"}),
        ("self.l.all(x, x > 1))", {"1:21": extraneous(")", "<EOF>")}),
        ("self.l.all(x: x > 1)", {"1:13": mismatched(":", "')'"), "1:20": extraneous(")", "<EOF>")}),
        ("self.l.all(x => x > 1)", {"1:14": "token recognition error at: '=>'",
                                    "1:17": mismatched("x", "')'"), "1:22": extraneous(")", "<EOF>")}),
        ("self.", {"1:6": "no viable alternative at input '.'"}),
        ("self.s.in('a')", {"1:8": "no viable alternative at input '.in'"}),
        ("self.in", {"1:6": "no viable alternative at input '.in'", "1:8": mismatched("<EOF>")}),
        ("self.l[0", {"1:9": "missing ']' at '<EOF>'"}),
        ("['a',, 'b']", {"1:6": mismatched(",", "']'")}),
        ("{'a' 1}", {"1:6": "missing ':' at '1'"}),
        ("{'a': 1 'b': 2}", {"1:9": mismatched("'b'", "{'}', ','}")}),
        ("self.s.startsWith('a',)", {"1:23": mismatched(")")}),
        ("self.i ?? 1", {"1:9": extraneous("?"), "1:12": mismatched("<EOF>", "':'")}),
        ("if self.b then 1", {"1:4": mismatched("self", "<EOF>")}),
        ("-", {"1:2": "no viable alternative at input '-'"}),
        ("!", {"1:2": extraneous("<EOF>")}),
        ("self.?", {"1:7": mismatched("<EOF>", "{IDENTIFIER, ESC_IDENTIFIER}")}),
        ("a.b{", {"1:5": mismatched("<EOF>", "{'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}")}),
        ("self.s == r'\\d", {"1:12": "token recognition error at: ''\\d'", "1:11": ""}),
    ],
)  # fmt: skip
def test_after_a_mistyped_word_the_parser_reads_on(source: str, told: dict[str, str]):
    """As ANTLR's default strategy does: words left out, words missing, rules given up."""
    found = errors_of(source)
    for place, text in told.items():
        assert not text or f"{place}: Syntax error: {text}" in found, found
    assert len(found) >= len([text for text in told.values() if text])


def test_a_word_at_which_two_rules_fail_is_told_twice_and_reserved_ones_are_told_too():
    assert errors_of("-")[1:] == [f"1:2: Syntax error: {mismatched('<EOF>')}"]
    assert errors_of("return self.s")[0] == "1:1: reserved identifier: return"
    assert errors_of("self.?") == [
        f"1:7: Syntax error: {mismatched('<EOF>', '{IDENTIFIER, ESC_IDENTIFIER}')}",
        "1:7: unsupported ident kind",
    ]
    assert errors_of("1 " * 5)[0] == f"1:3: Syntax error: {mismatched('1', '<EOF>')}"
    assert "error recovery attempt limit exceeded: 30" in errors_of("* " * 80)[-1]
    assert len(errors_of("(" * 200)) == 1
