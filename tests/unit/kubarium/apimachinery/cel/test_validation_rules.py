from kubarium.apimachinery.cel.validation_rules import KEYWORD, Rules
from kubarium.apimachinery.schema.structural import from_openapi

SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "x-kubernetes-validations": [
                {"rule": "self.min <= self.max", "message": "min may not exceed max", "fieldPath": ".min"},
                {"rule": "self.max < 100", "messageExpression": "self.max == 200 ? 'max is 200' : 'max'"},
                {"rule": "!has(self.zzz) || self.zzz", "reason": "FieldValueForbidden"},
            ],
            "properties": {
                "min": {"type": "integer"},
                "max": {"type": "integer"},
                "zzz": {"type": "boolean"},
                "name": {
                    "type": "string",
                    "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "fixed"}],
                },
                "items": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["id"],
                    "items": {
                        "type": "object",
                        "required": ["id"],
                        "properties": {
                            "id": {"type": "string"},
                            "n": {
                                "type": "integer",
                                "x-kubernetes-validations": [{"rule": "self >= oldSelf", "message": "may only grow"}],
                            },
                        },
                    },
                },
            },
        }
    },
}  # fmt: skip


def test_rules_are_asked_where_they_stand():
    rules = Rules(from_openapi(SCHEMA))
    assert rules.errors == []
    assert rules.evaluate({"spec": {"min": 1, "max": 2, "name": "a"}}) == []
    found = [str(error) for error in rules.evaluate({"spec": {"min": 300, "max": 200, "zzz": False}})]
    assert found == [
        "spec.min: Invalid value: min may not exceed max",
        "spec: Invalid value: max is 200",
        "spec: Forbidden: failed rule: !has(self.zzz) || self.zzz",
    ]


def test_an_error_in_a_rule_is_an_error_of_the_object():
    rules = Rules(from_openapi(SCHEMA))
    (error,) = rules.evaluate({"spec": {"max": 2}})
    assert (
        str(error)
        == 'spec: Invalid value: "object": no such key: min evaluating rule: min may not exceed max'
    )


def test_transitions_compare_with_the_older_object():
    rules = Rules(from_openapi(SCHEMA))
    old = {"spec": {"min": 1, "max": 2, "name": "a", "items": [{"id": "x", "n": 5}, {"id": "y", "n": 1}]}}
    new = {"spec": {"min": 1, "max": 2, "name": "b", "items": [{"id": "y", "n": 0}, {"id": "z", "n": 0}]}}
    assert [str(error) for error in rules.evaluate(new, old)] == [
        'spec.name: Invalid value: "b": fixed',
        "spec.items[0].n: Invalid value: 0: may only grow",
    ]
    assert rules.evaluate(new) == []


def test_what_has_not_changed_is_tolerated():
    rules = Rules(from_openapi(SCHEMA))
    broken = {"spec": {"min": 3, "max": 2}}
    assert [error.tolerated for error in rules.evaluate(broken, broken)] == [True]
    assert [error.tolerated for error in rules.evaluate(broken, {"spec": {"min": 3, "max": 1}})] == [False]


def test_an_unknown_item_is_tolerated_with_its_list():
    item = {"type": "integer", KEYWORD: [{"rule": "self < 5"}]}
    rules = Rules(from_openapi({"type": "array", "items": item}))
    assert [error.tolerated for error in rules.evaluate([7], [7])] == [True]
    assert [error.tolerated for error in rules.evaluate([7, 1], [7])] == [False]


def test_rules_about_a_change_are_never_let_off():
    rules = Rules(from_openapi({"type": "integer", KEYWORD: [{"rule": "self > oldSelf"}]}))
    assert [error.tolerated for error in rules.evaluate(3, 3)] == [False]
    assert rules.evaluate(3) == []


def test_wrong_rules_are_named():
    schema = {"type": "object", "x-kubernetes-validations": [{"rule": "self.nothing == 1"}]}
    (error,) = Rules(from_openapi(schema)).errors
    assert str(error.path) == "x-kubernetes-validations[0].rule"
    assert "compilation failed: ERROR: <input>:1:5: undefined field 'nothing'" in error.body


def test_a_schema_without_rules_has_none():
    assert not Rules(from_openapi({"type": "object", "properties": {"a": {"type": "string"}}}))


def test_the_budget_ends_the_questions():
    rules = Rules(from_openapi(SCHEMA))
    assert rules.evaluate({"spec": {"min": 1, "max": 2}}, cost_limit=10) == []  # 5 + 3 + 2
    (error,) = rules.evaluate({"spec": {"min": 1, "max": 2}}, cost_limit=7)
    assert str(error) == (
        'spec: Invalid value: "object": validation failed due to running out of cost budget, no further validation '
        "rules will be run"
    )


def test_a_call_that_costs_too_much_ends_them_too():
    rules = ["self.all(a, self.all(b, self.all(c, a + b + c >= 0)))", "false"]
    schema = {"type": "array", "items": {"type": "integer"},
              "x-kubernetes-validations": [{"rule": rule} for rule in rules]}  # fmt: skip
    (error,) = Rules(from_openapi(schema)).evaluate(list(range(120)))
    assert error.body == (
        "Invalid value: \"array\": 'operation cancelled: actual cost limit exceeded': no further validation rules will "
        f"be run due to call cost exceeds limit for rule: {rules[0]}"
    )


def test_values_that_no_function_takes_are_told_in_upstreams_words():
    schema = {"x-kubernetes-int-or-string": True, "x-kubernetes-validations": [{"rule": "self < 5"}]}
    (error,) = Rules(from_openapi(schema)).evaluate("much")
    assert error.body.endswith(
        "'no such overload': call arguments did not match a supported operator, function or macro signature for "
        "rule: self < 5"
    )


def _nested(limit):
    text = {"type": "string", **({"maxLength": limit} if limit else {})}
    items = {"type": "array", "items": text, **({"maxItems": limit} if limit else {})}
    rule = "self.a.all(x, self.b.all(y, x != y))"
    return {
        "type": "object",
        "properties": {"a": items, "b": items},
        "x-kubernetes-validations": [{"rule": rule}],
    }


def test_a_rule_that_may_cost_far_too_much_is_refused():
    error = Rules(from_openapi(_nested(None))).errors[0]
    assert str(error).startswith(
        "x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x"
    )
    assert Rules(from_openapi(_nested(50))).errors == []
    rules = [{"rule": "self.all(x, x != '')"}]
    simple = {"type": "array", "items": {"type": "string"}, "x-kubernetes-validations": rules}
    assert Rules(from_openapi(simple)).errors == []


def test_costs_are_refused_in_upstreams_words():
    def errors(items, rule):
        schema = {
            "type": "object",
            "properties": {"list": {"type": "array", **items, "x-kubernetes-validations": [{"rule": rule}]}},
        }
        return [str(error) for error in Rules(from_openapi(schema)).errors]

    numbers = {"items": {"type": "integer"}}
    where = "properties[list].x-kubernetes-validations[0].rule: Forbidden: "
    hint = (
        "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings "
        "are declared)"
    )
    assert errors(numbers, "self.all(x, x > 1)") == []
    twice = "self.all(x, x > 1) && self.all(x, x > 2)"
    assert errors(numbers, twice) == [f"{where}estimated rule cost exceeds budget by factor of 1.6x {hint}"]
    squared = errors(numbers, "self.all(x, self.all(y, x == y))")
    assert squared[0] == f"{where}estimated rule cost exceeds budget by factor of more than 100x {hint}"
    assert squared[1] == (
        f"{where}contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
    )
    assert "x-kubernetes-validations estimated rule cost total for entire" in squared[2]
    inner = {"items": {"type": "string", "x-kubernetes-validations": [{"rule": "self.contains('a')"}]}}
    assert "properties[list].items.x-kubernetes-validations[0].rule" in errors(inner, "true")[0]
    assert errors({**inner, "maxItems": 10}, "true") == []
    assert errors(numbers, "self.filter(x, x > 1).map(x, x + 1).all(x, x < 5)") != []
    parts = {"items": {"type": "string", "maxLength": 50}, "maxItems": 20}
    assert errors(parts, "self.all(x, x.split('/').all(y, y.matches('^[a-z]+$')))") == []
    assert errors(parts, "self[?0].orValue('').matches('^[a-z]+$')") == []
