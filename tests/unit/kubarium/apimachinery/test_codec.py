import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubarium.apimachinery import codec
from kubarium.apimachinery.errors import BadRequest


def test_duplicate_fields_are_named_with_their_path():
    body = b'{"spec":{"replicas":1,"replicas":2,"list":[{"a":1,"a" :2}]}}'
    obj, problems = codec.decode_json_strict(body)
    assert obj["spec"]["replicas"] == 2
    assert problems == ['duplicate field "spec.replicas"', 'duplicate field "spec.list[0].a"']


texts = st.text(max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(texts, json_values, max_size=4), st.booleans())
def test_objects_without_duplicates_have_no_problems(obj, indent):
    body = orjson.dumps(obj, option=orjson.OPT_INDENT_2 if indent else 0)
    assert codec.decode_json_strict(body) == (obj, [])


def test_yaml_is_read_as_upstream_reads_it():
    body = b"a: 8080:80\nb: 2020-01-01\nc: 1e3\nd: 0777\ne: yes\n1: x\nf: ~\ng: 1.0\nh: '1'\ni: {<<: {q: 1}, r: 2}\n"
    assert codec.decode_yaml_strict(body)[0] == {
        "a": "8080:80", "b": "2020-01-01", "c": 1000, "d": 511, "e": True, "1": "x", "f": None, "g": 1, "h": "1",
        "i": {"q": 1, "r": 2},
    }  # fmt: skip


def test_a_key_that_stands_twice_in_yaml_is_named_with_its_line():
    _, problems = codec.decode_yaml_strict(b"metadata:\n  name: a\nfoo: 1\nfoo: 2\n")
    assert problems == ['line 4: key "foo" already set in map']


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "unexpected end of JSON input (<empty>)"),
        (b'{"a":}', "invalid character '}' looking for beginning of value ({\"a\":})"),
        (b"[1]", "json: cannot unmarshal array into Go value of type struct"),
        (b'{"a":1} x', "invalid character 'x' after top-level value"),
    ],
)
def test_malformed_bodies(body, message):
    with pytest.raises(BadRequest) as refused:
        codec.decode_json(body, "Pod")
    assert message in refused.value.message
    assert refused.value.message.startswith(
        "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: "
    )


def test_malformed_yaml():
    with pytest.raises(BadRequest, match="did not find expected"):
        codec.decode_yaml_strict(b"a: [1")[0]


def test_aliases_are_copies_and_floods_are_refused():
    obj = codec.decode_yaml_strict(b"a: &x {b: 1}\nc: *x\n")[0]
    assert obj == {"a": {"b": 1}, "c": {"b": 1}}
    assert obj["a"] is not obj["c"]
    flood = b"a0: &a0 [x, x]\n" + b"".join(
        b"a%d: &a%d [*a%d, *a%d, *a%d]\n" % (n, n, n - 1, n - 1, n - 1) for n in range(1, 30)
    )
    with pytest.raises(BadRequest, match="excessive aliasing"):
        codec.decode_yaml_strict(flood)[0]
    with pytest.raises(BadRequest, match="recursive"):
        codec.decode_yaml_strict(b"a: &x [*x]")[0]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"a: " + b"[a: " * 100_000,
        b"- " * 100_000,
        b"a:\r" + b"? " * 100_000,
        ("- " * 100_000).encode("utf-16"),
        b"".join(b" " * n + b"a:\n" + b" " * n + b"-\n" for n in range(700)),
    ],
)
def test_yaml_that_is_nested_without_end_does_not_end_the_process(body: bytes):
    with pytest.raises(BadRequest, match="exceeded max depth of 1000"):
        codec.decode_yaml_strict(body)


def test_what_is_nested_deeper_than_it_could_be_kept_is_refused():
    nested = b"[" * 500 + b"]" * 500
    with pytest.raises(BadRequest, match="exceeded max depth"):
        codec.decode_json_strict(b'{"a": %b}' % nested)
    with pytest.raises(BadRequest, match="recursion"):
        codec.decode_yaml_strict(b"a: %b" % nested)
    kept, problems = codec.decode_yaml_strict(b"a: %b" % (b"[" * 200 + b"]" * 200))
    assert kept["a"] and not problems


def test_yaml_that_json_cannot_say():
    assert codec.decode_yaml_strict(b"a: 123456789012345678901234567890\n")[0]["a"] == pytest.approx(
        1.2345678901234568e29
    )
    with pytest.raises(BadRequest):
        codec.decode_yaml_strict(b'a: "\\ud800"\n')[0]
