"""Go templates: each text beside what Go 1.27 makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from kubarium.kubectl.go_template.evaluate import render
from kubarium.kubectl.go_template.lexer import TemplateError

DATA: Any = {
    "a": {
        "b": "text",
        "n": 3,
        "f": 1.5,
        "big": 12345678,
        "t": True,
        "z": 0,
        "e": "",
        "nul": None,
        "d": "aGk=",
    },
    "l": [1, 2, "x"],
    "m": {"k": "v", "j": {"q": 1}},
    "items": [{"name": "x"}, {"name": "y", "l": [{"i": "1"}, {"i": "2"}]}],
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{.a.b}} {{.a.n}} {{.a.f}} {{.a.big}} {{.a.t}}", "text 3 1.5 1.2345678e+07 true"),
        (
            "{{.l}} {{.m}} {{.x}} {{.x.y}} {{.a.nul}}",
            "[1 2 x] map[j:map[q:1] k:v] <no value> <no value> <no value>",
        ),
        ('{{range .items}}{{.name}}{{"\\n"}}{{end}}', "x\ny\n"),
        ("{{range $i, $e := .items}}{{if $i}},{{end}}{{$e.name}}{{end}}", "x,y"),
        ("{{range $k, $v := .m}}{{$k}}:{{$v}} {{end}}", "j:map[q:1] k:v "),
        ("{{range .items}}{{.name}}{{range .l}}[{{.i}}]{{end}}{{$.a.b}}{{end}}", "xtexty[1][2]text"),
        ("{{range .nope}}x{{else}}empty{{end}}{{range 3}}{{.}}{{end}}", "empty012"),
        ('{{range .items}}{{if eq .name "y"}}{{break}}{{end}}{{.name}}{{end}}', "x"),
        ('{{range .items}}{{if eq .name "x"}}{{continue}}{{end}}{{.name}}{{end}}', "y"),
        ("{{$x := 1}}{{range .items}}{{$x = 5}}{{end}}{{$x}}", "5"),
        ("{{if .a.e}}1{{else if .a.t}}2{{else}}3{{end}}", "2"),
        ("{{with .nope}}a{{else with .a}}{{.b}}{{end}}{{with $y := .a.b}}{{$y}}{{end}}", "texttext"),
        ('{{and true .a.b}} {{or "" .a.b}} {{not .a.e}} {{and .a.z "x"}}', "text text true 0"),
        (
            '{{eq .a.b "text"}} {{ne .a.b "x"}} {{eq .a.b "x" "text"}} {{eq .nope "x"}}',
            "true true true false",
        ),
        ('{{lt 1 2}} {{ge 1 2}} {{lt "a" "b"}} {{gt .a.n 2.5}}', "true false true true"),
        ('{{len .items}} {{index .items 0 "name"}} {{(index .items 1).name}}', "2 x y"),
        (
            '{{printf "%s|%5s|%-3s|%05d|%.2f|%q|%v%%" .a.b "ab" "c" 42 .a.f "q" .l}}',
            'text|   ab|c  |00042|1.50|"q"|[1 2 x]%',
        ),
        (
            '{{printf "%d" .a.n}}{{printf "%s %s" "a"}}{{printf "a" "b"}}',
            "%!d(float64=3)a %!s(MISSING)a%!(EXTRA string=b)",
        ),
        ('{{.a.d | base64decode | printf "%q"}} {{exists . "a" "b"}}', '"hi" true'),
        (
            '{{print "a" 1 2 "b"}} {{html "<a&\\"\'>"}} {{urlquery "a b&c"}}',
            "a1 2b &lt;a&amp;&#34;&#39;&gt; a+b%26c",
        ),
        ("a {{- .a.b -}} b{{/* no */}}{{- /* no */ -}}  c", "atextbc"),
        ('{{define "T"}}<{{.}}>{{end}}{{template "T" .a.b}}{{block "B" .a.b}}({{.}}){{end}}', "<text>(text)"),
        ("{{slice .a.b 1 3}} {{0x10}} {{1e3}} {{'x'}} {{`r\\n`}}", "ex 16 1000 120 r\\n"),
    ],
)
def test_what_a_template_makes(template: str, expected: str) -> None:
    assert render(template, DATA) == expected


PLACE = 'template: output:1:{}: executing "output" at <{}>: {}'


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{.a.nul.x}}", PLACE.format(4, ".a.nul.x", "nil pointer evaluating interface {}.x")),
        ("{{.a.b.c}}", PLACE.format(4, ".a.b.c", "can't evaluate field c in type interface {}")),
        ("{{len 3}}", PLACE.format(2, "len 3", "error calling len: len of type int")),
        (
            "{{index .items 9}}",
            PLACE.format(2, "index .items 9", "error calling index: index out of range: 9"),
        ),
        (
            "{{eq .a.n 3}}",
            PLACE.format(
                2, "eq .a.n 3", "error calling eq: incompatible types for comparison: float64 and int"
            ),
        ),
        ("{{range .a.b}}x{{end}}", PLACE.format(10, ".a.b", "range can't iterate over text")),
        ("{{not}}", PLACE.format(2, "not", "wrong number of args for not: want 1 got 0")),
        (
            "{{.a.n | base64decode}}",
            PLACE.format(9, "base64decode", "wrong type for value; expected string; got float64"),
        ),
        ("{{.a.b", "template: output:1: unclosed action"),
        ("{{nofunc}}", 'template: output:1: function "nofunc" not defined'),
        ("{{$y}}", 'template: output:1: undefined variable "$y"'),
        ("{{if .a}}x", "template: output:1: unexpected EOF"),
        ("{{end}}", "template: output:1: unexpected {{end}}"),
        ("{{}}", "template: output:1: missing value for command"),
        ('{{"abc}}', "template: output:1: unterminated quoted string"),
        ("{{break}}", "template: output:1: {{break}} outside {{range}}"),
        ("{{.a}", "template: output:1: bad character U+007D '}'"),
    ],
)
def test_what_is_wrong_with_a_template(template: str, expected: str) -> None:
    with pytest.raises(TemplateError) as error:
        render(template, DATA)
    assert str(error.value).endswith(expected)
