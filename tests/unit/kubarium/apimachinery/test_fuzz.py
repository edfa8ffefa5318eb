"""Whatever bytes and texts arrive, the answer is a value or a refusal, never a crash."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from kubarium.apimachinery import codec, quantity
from kubarium.apimachinery.cel.compiler import CompileError, CostExceeded, EvaluationError, compile
from kubarium.apimachinery.cel.types import DYN
from kubarium.apimachinery.errors import StatusError
from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.patch import json_patch, merge_patch, strategic_merge_patch
from kubarium.apimachinery.protobuf import decoding
from kubarium.apimachinery.protobuf.table import MAGIC
from kubarium.apimachinery.schema.builtin import normalize_builtin

POD = GroupVersionKind("", "v1", "Pod")
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=10,
)


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_bodies(body):
    for decode in (codec.decode_json_strict, codec.decode_yaml_strict):
        with contextlib.suppress(StatusError):
            codec.encode_to_keep(decode(body)[0])


@given(st.binary(max_size=200))
def test_protobuf(body):
    for kind in ("Pod", "DeleteOptions", "Nothing"):
        with contextlib.suppress(StatusError):
            decoding.decode(MAGIC + body, "v1", kind)


@given(st.binary(max_size=60), st.integers(0, 3000))
def test_broken_protobuf_messages(noise, place):
    whole = bytes([0x0A, 0x05, 0x0A, 0x03]) + b"a\xff" + noise
    raw = b"\x12" + bytes([len(whole) & 0x7F]) + whole
    with contextlib.suppress(StatusError):
        decoding.decode(MAGIC + raw[: place % (len(raw) + 1)], "v1", "Pod")


@given(st.text(max_size=20))
def test_quantities(text):
    with contextlib.suppress(quantity.QuantityError):
        quantity.canonical(text)


KEYS = [
    "metadata",
    "spec",
    "containers",
    "name",
    "labels",
    "env",
    "value",
    "ports",
    "status",
    "conditions",
    "type",
]
pods = st.recursive(
    values,
    lambda children: (
        st.dictionaries(st.sampled_from(KEYS), children, max_size=4) | st.lists(children, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(KEYS), pods, max_size=4))
def test_objects_of_a_kind(schemas, obj):
    with contextlib.suppress(StatusError):
        normalize_builtin(obj, POD, schemas)


DIRECTIVES = ["$patch", "$retainKeys", "$setElementOrder/containers", "$deleteFromPrimitiveList/finalizers"]
patches = st.recursive(
    values | st.sampled_from(["replace", "delete", "merge"]),
    lambda children: (
        st.dictionaries(st.sampled_from(KEYS + DIRECTIVES), children, max_size=4)
        | st.lists(children, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(KEYS), pods, max_size=4), patches)
def test_patches(schemas, obj, patch):
    with contextlib.suppress(StatusError):
        merge_patch.apply(obj, patch)
    with contextlib.suppress(StatusError):
        strategic_merge_patch.apply(obj, patch, schemas.schema(POD))
    with contextlib.suppress(StatusError):
        json_patch.apply(obj, patch)


tokens = st.sampled_from(
    [
        "x", "l", "d", ".", "(", ")", "[", "]", "{", "}", ",", ":", "?", "+", "-", "*", "/", "%", "<", "==", "&&", "||",
        "!", "1", "2u", "1.5", "'a'", "b'a'", "in", "true", "null", "has", "all", "map", "exists", "size", "string",
        "quantity", "d.a", "l.map(i, i)", "x == 1", ".?", "[?", "optMap", "cel.bind(y, 1, y)", "r'\\d'", "matches",
        "Object", "timestamp('2024-01-01T00:00:00Z')", "duration('1h')", "\n", "//c", "`a-b`",
    ]
)  # fmt: skip


@given(st.lists(tokens, max_size=12).map(" ".join) | st.text(max_size=30))
def test_cel(source):
    bindings = {"x": 1, "l": [1, 2], "d": {"a": "b"}}
    with contextlib.suppress(CompileError, EvaluationError, CostExceeded):
        compile(source, dict.fromkeys(bindings, DYN)).evaluate(bindings)


def test_deep_nesting_is_refused():
    for source in (
        "(" * 1000 + "1" + ")" * 1000,
        "-" * 5000 + "x",
        "!" * 5000 + "x",
        "[" * 2000,
        "x" + ".a" * 3000,
    ):
        with contextlib.suppress(CompileError, EvaluationError, CostExceeded):
            compile(source, {"x": DYN}).evaluate({"x": {}})
    for body in (b"[" * 5000, b'{"a":' * 5000, b"{a: " * 3000):
        for decode in (codec.decode_json_strict, codec.decode_yaml_strict):
            with contextlib.suppress(StatusError):
                decode(body)
