"""CEL, the expression language of validation rules and admission policies, with the functions that Kubernetes adds.

    text ── tokens.py ──▶ words ── parser.py ──▶ syntax tree (nodes.py) ── compiler.py ──┐
                            └── syntax_errors.py: what is wrong with them, by grammar.py  │
    value ◀── closures over plain dicts (program.py runs them), types (types.py) ◀────────┤
                                                                                          │
        access.py    variables, fields, items  ◀──────────────────────────────────────────┤
        dispatch.py  calls of functions  ◀────────────────────────────────────────────────┤
        aggregates.py  lists, maps, structs  ◀────────────────────────────────────────────┤
        macros.py    has, cel.bind; loops.py: all, exists, map, ...  ◀────────────────────┘

    functions.py, the table ──▶ standard.py, conversions.py (CEL's own), libraries/ (Kubernetes')
                                values.py: numbers, equality; times.py; literals.py: what stands in the text;
                                call_costs.py: what a call costs, function_costs.py: what it may cost

    compiler.compile(expression, variables: Mapping[str, Type | Structural], result: Type | None = None) -> Program
        a variable that is a Structural is the root of an object; CompileError has upstream-like texts
    Program.evaluate(bindings: Mapping[str, Any], cost_limit: int = COST_LIMIT) -> Any
        raises EvaluationError, CostExceeded; a variable without a binding is an error only where it is used
    Program.evaluate_with_cost(...) -> (value, cost); Program.result_type
    validation_rules.Rules(schema: Structural, path): the x-kubernetes-validations of a whole CRD schema;
        .errors (of the rules themselves), .evaluate(obj, old) -> list[FieldError]
    types.of_schema(Structural, root=False), types.object_of({"name": Type}), types.DYN, types.BOOL, types.STRING, ...
    types.named("authorizer") is the type of the variable `authorizer`, libraries.authorizer.Authorizer(ask) its value

`Object{...}` and `JSONPatch{...}` of mutating policies evaluate to dicts that `structs.plain` checks and makes plain:
merge the first with `apply.merge`, give the second to `patch.json_patch.apply`.
"""
