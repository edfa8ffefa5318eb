import pytest

from kubarium.apimachinery.apply import merge
from kubarium.apimachinery.cel.compiler import CompileError, EvaluationError
from kubarium.apimachinery.cel.composition import Composition
from kubarium.apimachinery.cel.types import BOOL, DYN
from kubarium.apimachinery.group_version import GroupVersionKind


def test_variables_build_on_each_other_and_are_evaluated_when_used():
    composition = Composition(
        {"object": DYN},
        [("replicas", "object.spec.replicas"), ("doubled", "variables.replicas * 2"), ("broken", "object.nowhere")],
    )
    program = composition.compile("variables.doubled > 5 || variables.broken == 1", BOOL)
    assert program.evaluate(composition.bind({"object": {"spec": {"replicas": 3}}})) is True
    with pytest.raises(EvaluationError, match='composited variable "broken" fails to evaluate: no such key: nowhere'):
        program.evaluate(composition.bind({"object": {"spec": {"replicas": 1}}}))


def test_a_variable_may_not_use_a_later_one():
    with pytest.raises(CompileError, match="undefined field 'b'"):
        Composition({}, [("a", "variables.b"), ("b", "1")])


def test_an_apply_configuration_merges_into_the_object(schemas):
    composition = Composition({"object": DYN})
    program = composition.compile(
        'Object{metadata: Object.metadata{annotations: {"a": "b"}},'
        " spec: Object.spec{replicas: object.spec.replicas + 1,"
        ' template: Object.spec.template{spec: Object.spec.template.spec{containers:'
        ' [Object.spec.template.spec.containers{name: "side", image: "s"}]}}}}'
    )
    before = {
        "metadata": {"name": "d"},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "main", "image": "m"}]}}},
    }
    applied = program.evaluate(composition.bind({"object": before}))
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
