import pytest

from kubarium.apimachinery.apply import merge
from kubarium.apimachinery.cel.compiler import CompileError, CostExceeded, EvaluationError, compile
from kubarium.apimachinery.cel.libraries.authorizer import Authorizer, Decision
from kubarium.apimachinery.cel.types import BOOL, DYN, INT, STRING, list_of, named, object_of
from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.schema.structural import from_openapi

VARIABLES = {"x": 3, "d": {"a": {"b": [1, 2, 3]}, "s": "text", "k-l": True}, "l": [5, 1, 9]}


def value(source, **variables):
    given = {**VARIABLES, **variables}
    return compile(source, dict.fromkeys(given, DYN)).evaluate(given)


CORE = [
    ("1 + 2 * 3 - 4 / 2 % 3", 5),
    ("-7 / 2", -3),
    ("-7 % 3", -1),
    ("(1 + 2) * 3", 9),
    ("x > 2 ? 'big' : 'small'", "big"),
    ("!true || !false", True),
    ("'a' + \"b\" + r'\\n'", "ab\\n"),
    ("'\\u00e9\\n\\x41'", "é\nA"),
    ("'''a'b'''", "a'b"),
    ("b'ab' + b'\\xff'", b"ab\xff"),
    ("1.5 + 2.5", 4.0),
    ("0x1F", 31),
    ("[1, 2] + [3]", [1, 2, 3]),
    ("{'a': 1}['a'] + {'b': 2}.b", 3),
    ("2 in [1, 2]", True),
    ("'a' in {'a': null}", True),
    ("d.a.b[1]", 2),
    ("has(d.a) && !has(d.zzz)", True),
    ("l.all(i, i > 0)", True),
    ("l.exists(i, i > 8)", True),
    ("l.exists_one(i, i > 4)", False),
    ("l.map(i, i * 2)", [10, 2, 18]),
    ("l.filter(i, i > 2)", [5, 9]),
    ("l.map(i, i > 2, i * 2)", [10, 18]),
    ("d.a.b.map(i, l.map(j, i * j))[2][0]", 15),
    ("{'a': 1, 'b': 2}.all(k, k in ['a', 'b'])", True),
    ("size('hé') + size([1]) + size({}) + 'abc'.size()", 6),
    ("'hello'.startsWith('he') && 'hello'.endsWith('lo') && 'hello'.contains('ell')", True),
    ("'abc123'.matches('^[a-c]+\\\\d+$')", True),
    ("int('42') + int(2.9)", 44),
    ("string(1) + string(true) + string(1.5)", "1true1.5"),
    ("double('1.5')", 1.5),
    ("timestamp('2024-02-29T12:30:00Z').getDate()", 29),
    ("timestamp('2024-02-29T12:30:00Z') - timestamp('2024-02-28T12:30:00Z') == duration('24h')", True),
    ("duration('1h30m').getMinutes()", 90),
    ("string(timestamp('2024-01-02T03:04:05.1Z') + duration('1ns'))", "2024-01-02T03:04:05.100000001Z"),
    (
        "string(timestamp('2024-01-02T03:04:05.123456789Z') - timestamp('2024-01-02T03:04:05Z'))",
        "0.123456789s",
    ),
    ("duration('1.5us') > duration('1499ns')", True),
    ("false && 1 / 0 == 1", False),
    ("1 / 0 == 1 || true", True),
    ("[1, 0, 2].exists(i, 4 / i == 2)", True),
    ("dyn(1) == 1.0 && dyn(1) != true", True),
    ("null == null", True),
    ("type(1) == int && type('') == string", True),
]


@pytest.mark.parametrize(("source", "expected"), CORE)
def test_core_language(source, expected):
    found = value(source)
    assert found == expected
    assert type(found) is type(expected)


NOT_ELSEWHERE = ("timestamp", "string(true)", "size({})", "4 / i")
"""What the other implementation does not have."""


@pytest.mark.parametrize(
    ("source", "expected"), [pair for pair in CORE if not any(word in pair[0] for word in NOT_ELSEWHERE)]
)
def test_another_implementation_agrees(source, expected):
    cel = pytest.importorskip("cel")
    assert cel.evaluate(source, VARIABLES) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("'a,b,c'.split(',', 2)", ["a", "b,c"]),
        ("['a', 'b'].join('-')", "a-b"),
        ("'Hello'.lowerAscii() + 'x'.upperAscii()", "helloX"),
        ("'hello'.replace('l', 'L', 1).substring(1, 4)", "eLl"),
        ("'hello'.indexOf('l') + 'hello'.lastIndexOf('l')", 5),
        ("' a '.trim() + 'abc'.charAt(1)", "ab"),
        ("'%s=%d %.2f %x'.format([dyn('a'), dyn(3), 1.5, dyn(255)])", "a=3 1.50 ff"),
        ("'a1b22'.findAll('[0-9]+')", ["1", "22"]),
        ("'a1b22'.find('[0-9]+')", "1"),
        ("[1, 2, 2].isSorted() && [1, 2].sum() == 3 && [3, 1].min() == 1 && [3, 1].max() == 3", True),
        ("[1, 2, 1].indexOf(1) + [1, 2, 1].lastIndexOf(1)", 2),
        ("sets.contains([1, 2], [2]) && sets.intersects([1], [1, 3]) && !sets.equivalent([1], [2])", True),
        ("url('https://u@h.io:8080/p/q?a=1&a=2').getHostname()", "h.io"),
        ("url('https://h.io/p?a=1&a=2').getQuery()", {"a": ["1", "2"]}),
        ("isURL('/abs/path') && !isURL('not a url')", True),
        ("ip('10.0.0.1').family() == 4 && isIP('::1') && !isIP('1.2.3')", True),
        ("cidr('10.0.0.0/8').containsIP('10.9.8.7') && !cidr('10.0.0.0/8').containsCIDR('11.0.0.0/9')", True),
        ("string(cidr('10.1.2.3/8').masked())", "10.0.0.0/8"),
        ("quantity('1.5Gi').isGreaterThan(quantity('1500Mi')) && quantity('1Ki') == quantity('1024')", True),
        ("quantity('50k').add(20).asInteger()", 50020),
        ("isQuantity('1Gi') && !isQuantity('x')", True),
        ("semver('1.2.3').isGreaterThan(semver('1.2.3-rc.1')) && semver('v1.2', true).minor() == 2", True),
        ("format.dns1123Label().validate('a').hasValue()", False),
        ("format.named('dns1123Label').value().validate('A_').hasValue()", True),
        ("d.?zzz.orValue('none') + d.?s.orValue('')", "nonetext"),
        ("l[?7].hasValue() || optional.of(1).optMap(v, v + 1).value() == 2", True),
        ("[?d.?zzz, ?d.?s]", ["text"]),
        ("[1, 2].all(i, v, v == i + 1) && {'a': 1}.exists(k, v, v == 1)", True),
        ("[4, 5].transformMap(i, v, v * 2)", {0: 8, 1: 10}),
        ("Object{spec: Object.spec{replicas: 3}}", {"spec": {"replicas": 3}}),
        ("[3, 1, 2].sort() + [[1], [2, 3]].flatten() + [1, 1].distinct()", [1, 2, 3, 1, 2, 3, 1]),
        ("[[[1], [2]], [[3]]].flatten(2) + lists.range(2) + [1, 2].reverse()", [1, 2, 3, 0, 1, 2, 1]),
        ("['aaa', 'b'].sortBy(word, size(word)) + ['x', 'y', 'z'].slice(1, 2)", ["b", "aaa", "y"]),
        (
            "[1, 2].first().value() + [1, 2].last().value() + (l.filter(i, false).first().hasValue() ? 1 : 0)",
            3,
        ),
        ("[optional.of(1), optional.none()].unwrapOpt() + optional.unwrap([optional.of(2)])", [1, 2]),
        (
            "sign(quantity('-1')) + int(duration('1s')) + timestamp('2024-01-02T00:00:00Z').getHours('')",
            10**9 - 1,
        ),
        ("'%s %d %.2f'.format([['a'], 1, 1.5])", '["a"] 1 1.50'),
        ("'abc'.indexOf('c', 9) + duration('-30m').getHours()", -1),
        ("optional.of(1).orValue(1 / 0)", 1),
        ("[JSONPatch{op: 'add', path: '/a/' + jsonpatch.escapeKey('b/c')}][0].path", "/a/b~1c"),
    ],
)
def test_the_libraries(source, expected):
    assert value(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("string(timestamp('1999-12-31T23:59:59.120+01:00'))", "1999-12-31T23:59:59.12+01:00"),
        ("string(timestamp('1999-12-31T23:59:59-00:00'))", "1999-12-31T23:59:59Z"),
        ("string(timestamp('1999-12-31T23:59:59+01:00') + duration('1s'))", "2000-01-01T00:00:00+01:00"),
        ("timestamp('2000-01-01T00:30:00+01:00').getHours()", 23),
        ("timestamp('2000-01-01T00:30:00+01:00') == timestamp('1999-12-31T23:30:00Z')", True),
    ],
)
def test_a_time_keeps_its_zone_and_is_told_in_utc(source, expected):
    assert value(source) == expected


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", "division by zero"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("d.zzz", "no such key: zzz"),
        ("l[7]", "index out of bounds: 7"),
        ("d.s + 1", "no such overload"),
        ("d.s && true", "no such overload"),
        ("quantity('x')", "quantities must match"),
        ("d.s.all(a, true)", "got 'types.String', expected iterable type"),
        ("dyn(1).all(a, b, true)", "unsupported comprehension range type: types.Int"),
        ("duration(d.s)", "type conversion error from 'string' to 'google.protobuf.Duration'"),
        ("timestamp(d.s)", "type conversion error from 'string' to 'google.protobuf.Timestamp'"),
        ("optional.none().value()", "optional.none() dereference"),
    ],
)
def test_errors_while_running(source, message):
    with pytest.raises(EvaluationError) as failed:
        value(source)
    assert message in str(failed.value)


SCHEMA = from_openapi(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "min": {"type": "integer"},
                    "max": {"type": "integer"},
                    "when": {"type": "string", "format": "date-time"},
                    "wait": {"type": "string", "format": "duration"},
                    "port": {"x-kubernetes-int-or-string": True},
                    "foo-bar": {"type": "string"},
                    "share": {"type": "number"},
                    "tags": {"type": "object", "additionalProperties": {"type": "string"}},
                    "items": {
                        "type": "array",
                        "items": {"type": "object", "properties": {"n": {"type": "string"}}},
                    },
                },
            }
        },
    }
)
OBJECT = {
    "metadata": {"name": "a"},
    "spec": {
        "min": 1, "max": 3, "when": "2024-01-01T00:00:00Z", "wait": "90s", "port": "http", "foo-bar": "x", "share": 1,
        "tags": {"a": "b"}, "items": [{"n": "p"}],
    },
}  # fmt: skip


@pytest.mark.parametrize(
    "source",
    [
        "self.spec.min <= self.spec.max",
        "self.spec.when > timestamp('2023-01-01T00:00:00Z')",
        "self.spec.wait == duration('1m30s')",
        "self.spec.port == 'http'",
        "self.spec.foo__dash__bar == 'x' && self.spec.`min` == 1",
        "self.spec.share == 1.0",
        "self.spec.tags.all(k, self.spec.tags[k] == 'b')",
        "self.spec.items.exists(i, i.n == 'p')",
        "self.metadata.name == 'a'",
        "!has(self.spec.tags.zzz)",
    ],
)
def test_rules_over_a_schema(source):
    assert compile(source, {"self": SCHEMA}, BOOL).evaluate({"self": OBJECT}) is True


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("self.spec.zzz", "ERROR: <input>:1:10: undefined field 'zzz'\n | self.spec.zzz\n | .........^"),
        (
            "self.spec.min == 'a'",
            "ERROR: <input>:1:15: found no matching overload for '_==_' applied to '(int, string)'\n"
            " | self.spec.min == 'a'\n | ..............^",
        ),
        ("nobody", "ERROR: <input>:1:1: undeclared reference to 'nobody' (in container '')\n | nobody\n | ^"),
        ("self.spec.min", "must evaluate to bool"),
        ("self.metadata.labels", "undefined field 'labels'"),
        ("1 +", "Syntax error: mismatched input '<EOF>'"),
        ("a b", "extraneous input 'b' expecting <EOF>"),
        ("has(self)", "invalid argument to has() macro"),
        ("[1].all(1 + 1, true)", "argument must be a simple name"),
    ],
)
def test_errors_while_compiling(source, message):
    with pytest.raises(CompileError) as wrong:
        compile(source, {"self": SCHEMA}, BOOL)
    assert message in str(wrong.value)


def test_what_takes_too_long_is_ended():
    program = compile("l.all(a, l.all(b, l.all(c, a + b + c >= 0)))", {"l": DYN})
    with pytest.raises(CostExceeded, match="actual cost limit exceeded"):
        program.evaluate({"l": list(range(120))})
    assert program.evaluate({"l": [1, 2]}) is True


def test_a_variable_without_a_value_is_an_error_only_where_it_is_used():
    program = compile("x == 1 || oldSelf == 2", {"x": INT, "oldSelf": INT})
    assert program.evaluate({"x": 1}) is True
    with pytest.raises(EvaluationError, match=r"no such attribute\(s\): oldSelf"):
        program.evaluate({"x": 2})


def test_the_authorizer_asks():
    questions = []

    def ask(attributes):
        questions.append(attributes)
        return Decision(attributes["verb"] == "get", "because")

    variables = {"authorizer": named("authorizer"), "request": object_of({"namespace": STRING})}
    source = (
        "authorizer.group('apps').resource('deployments').namespace(request.namespace).check('get').allowed()"
    )
    bindings = {"authorizer": Authorizer(ask), "request": {"namespace": "n"}}
    assert compile(source, variables, BOOL).evaluate(bindings) is True
    assert questions == [{"group": "apps", "resource": "deployments", "namespace": "n", "verb": "get"}]


def test_an_apply_configuration_merges_into_the_object(schemas):
    program = compile(
        'Object{metadata: Object.metadata{annotations: {"a": "b"}},'
        " spec: Object.spec{replicas: object.spec.replicas + 1,"
        " template: Object.spec.template{spec: Object.spec.template.spec{containers:"
        ' [Object.spec.template.spec.containers{name: "side", image: "s"}]}}}}',
        {"object": DYN},
    )
    before = {
        "metadata": {"name": "d"},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "main", "image": "m"}]}}},
    }
    applied = program.evaluate({"object": before})
    schema = schemas.schema(GroupVersionKind("apps", "v1", "Deployment"))
    assert merge.merge(before, applied, schema) == {
        "metadata": {"name": "d", "annotations": {"a": "b"}},
        "spec": {
            "replicas": 2,
            "template": {
                "spec": {"containers": [{"name": "main", "image": "m"}, {"name": "side", "image": "s"}]}
            },
        },
    }


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("[1, 'a']", "<input>:1:5: expected type 'int' but found 'string'"),
        ("[dyn(1), 'a']", "expected type 'dyn' but found 'string'"),
        ("1e400", "invalid double literal"),
        ("duration('100000000h')", "invalid duration argument"),
        ("int('a') == 1", "type conversion error from 'string' to 'int'"),
        ("{'a': 1, 'b': 'c'}", "expected type 'int' but found 'string'"),
        ("{1: 1, 'b': 1}", "expected type 'int' but found 'string'"),
        ("duration('1 hour') < duration('1h')", "<input>:1:10: invalid duration argument"),
        ("timestamp('today') == null", "invalid timestamp argument"),
        ("'a'.matches('[')", "invalid matches argument"),
    ],
)
def test_literals_are_checked_at_once(source, message):
    with pytest.raises(CompileError) as wrong:
        value(source)
    assert message in str(wrong.value)
    assert value("[dyn(1), dyn('a'), dyn(null)]") == [1, "a", None]
    assert value("'%d %s'.format([1, 'a'])") == "1 a"


COSTS = from_openapi(
    {"type": "object", "properties": {"x": {"type": "integer"}, "nothing": {"type": "integer"}}}
)


@pytest.mark.parametrize(
    ("source", "cost"),
    [
        ("self.x == 1", 3), ("1 + 2", 1), ("has(self.x)", 1), ("has(self.nothing)", 1),
        # what is not computed is not paid
        ("true || self.x == 1", 0), ("false || self.x == 1", 3), ("true ? 1 : self.x + 3", 0),
        # text: a tenth of a unit for each character, rounded up
        ("'' == ''", 0), ("'abc' == 'abcdefghijklmnopq'", 1), ("text < text + 'b'", 2 + 3 + 3),
        ("text.contains(text)", 2 + 9), ("text.startsWith('ab')", 2), ("text.matches('a.c.e')", 1 + 3 * 2),
        ("text.lowerAscii()", 1 + 3), ("text.split('a')", 1 + 6), ("text.replace('a', 'b')", 1 + 6),
        ("['aa', 'bb'].join(' ')", 1), ("quantity('10Mi')", 1), ("ip.isCanonical('127.0.0.1')", 2),
        # lists that stand in the text are made once
        ("self.x in [1, 2, 3]", 2), ("self.x in l", 2 + 1 + 2), ("[self.x]", 12), ("{'a': self.x}", 32),
        ("[[1], [2]]", 0), ("{'a': 1}", 0), ("int('5') + 1", 1), ("type(1) == int", 1),
        # lists that are made of lists
        ("l.reverse()", 1 + 2 + 11), ("l.sort()", 1 + 8 + 11), ("['b', 'a'].sort()", 8 + 11), ("lists.range(3)", 14),
        ("l.slice(0, 1)", 1 + 1 + 11), ("[l].flatten()", 11 + 1 + 11),
        # what libraries do
        ("format.dns1123Label().validate('abc').hasValue()", 1 + 8 + 1), ("bytes('abc') == b'abc'", 1),
        ("cidr('10.0.0.0/8').containsIP('10.0.0.1')", 1 + 2), ("sets.contains(l, [1])", 1 + 3),
        ("sets.equivalent(l, [1])", 1 + 5),
        # loops
        ("l.all(i, true)", 1 + 2 * 3 + 1), ("l.exists(i, i > 5)", 1 + 2 * (4 + 2) + 1),
        ("l.exists_one(i, i > 1)", 1 + 2 * (1 + 2) + 1 + 1), ("l.filter(i, i > 1)", 1 + 2 * 2 + 13 + 1),
        ("l.map(i, i)", 1 + 2 * (12 + 1) + 1), ("l.map(i, i > 1, i)", 1 + 2 * 2 + 13 + 1),
            ("l.map(i, 1)", 1 + 2 * 2 + 1), ("l.exists(i, i > 0)", 1 + 2 + 4 + 3 + 1),
            ("l.transformMap(i, v, v > 1, v)", 1 + 2 * 2 + 4 + 1),
            ("l.transformMapEntry(i, v, {i: v})", 1 + 2 * (32 + 2) + 1),
            # attributes, and the keys and branches of attributes
            ("self.x > 0 ? self.x : 0", 3 + 1), ("l[l[0]]", 1 + 1 + 1), ("l.sort()[0]", 20 + 2), ("l[?7]", 1),
        ("l.sum() == 3", 1 + 2 + 1), ("l == l", 2 + 1),
    ],
)  # fmt: skip
def test_what_running_costs(source, cost):
    """As cel-go's cost tracker and upstream's library count it."""
    program = compile(source, {"self": COSTS, "text": STRING, "l": list_of(INT)})
    bindings = {"self": {"x": 1}, "text": "abcdefghijklmnopqrstuvwxyz", "l": [1, 2]}
    assert program.evaluate_with_cost(bindings)[1] == cost


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("ip('x')", 'IP Address "x" parse error during conversion from string: ParseAddr("x"): unable to parse IP'),
        ("ip('1.2.3')", 'ParseAddr("1.2.3"): IPv4 address too short'),
        ("ip('1.2.3.4.5')", 'ParseAddr("1.2.3.4.5"): IPv4 address too long'),
        ("ip('256.1.1.1')", "IPv4 field has value >255"),
        ("ip('1.2.03.4')", "IPv4 field has octet with leading zero"),
        ("ip('1..2.3')", 'IPv4 field must have at least one digit (at ".2.3")'),
        ("ip('1:2')", 'ParseAddr("1:2"): address string too short'),
        ("ip('1::2::3')", 'multiple :: in address (at ":3")'),
        ("ip('g::')", 'each colon-separated field must have at least one digit (at "g::")'),
        ("ip('12345::')", 'each group must have 4 or less digits (at "12345::")'),
        ("ip('%e')", "missing IPv6 address"),
        ("ip('fe80::1%e')", 'IP address "fe80::1%e" with zone value is not allowed'),
        ("ip('::ffff:1.2.3.4')", 'IPv4-mapped IPv6 address "::ffff:1.2.3.4" is not allowed'),
        ("cidr('x')", "conversion from string: network address parse error during conversion from string: "
                      "netip.ParsePrefix(\"x\"): no '/'"),
        ("cidr('10.0.0.0/08')", 'netip.ParsePrefix("10.0.0.0/08"): bad bits after slash: "08"'),
        ("cidr('10.0.0.0/33')", 'netip.ParsePrefix("10.0.0.0/33"): prefix length out of range'),
        ("cidr('x/8')", 'netip.ParsePrefix("x/8"): ParseAddr("x"): unable to parse IP'),
        ("cidr('fe80::1%e/64')", "IPv6 zones cannot be present in a prefix"),
        ("cidr('::ffff:1.2.3.4/96')", 'IPv4-mapped IPv6 address "::ffff:1.2.3.4/96" is not allowed'),
        ("semver('')", "Version string empty"),
        ("semver('1.2')", "No Major.Minor.Patch elements found"),
        ("semver('01.2.3')", 'Major number must not contain leading zeroes "01"'),
        ("semver('1.x.3')", 'Invalid character(s) found in minor number "x"'),
        ("semver('1.2.3-01')", 'Numeric PreRelease version must not contain leading zeroes "01"'),
        ("semver('1.2.3-')", "Prerelease is empty"),
        ("semver('1.2.3+')", "Build meta data is empty"),
        ("semver('1.2.3+_')", 'Invalid character(s) found in build meta data "_"'),
        ("quantity('10.0.0.1')", "quantities must match the regular expression"),
        ("timestamp(x * 9223372036854775)", "timestamp overflow"),
    ],
)  # fmt: skip
def test_what_a_text_is_not_is_told_in_the_words_of_upstreams_libraries(source, message):
    with pytest.raises(EvaluationError) as failed:
        value(source)
    assert message in str(failed.value)
    if source.startswith(("ip", "cidr", "semver")):
        kind = source.partition("(")[0]
        name = {"ip": "isIP", "cidr": "isCIDR", "semver": "isSemver"}[kind]
        assert value(name + source.removeprefix(kind)) is False
