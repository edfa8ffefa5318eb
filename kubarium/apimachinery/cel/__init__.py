"""CEL, the expression language of validation rules and admission policies, with the functions that Kubernetes adds.

    text ── parser.py ──▶ syntax tree ── checker.py ──▶ types ── compiler.py ──▶ closures over plain dicts ──▶ value

    compiler.compile(expression, variables: Mapping[str, Type | Structural]) -> Program
        raises CompileError with upstream-like texts
    Program.evaluate(bindings: Mapping[str, Any], cost_limit: int = ...) -> Any
        raises EvaluationError, CostExceeded
    Program.result_type
    types.of_schema(Structural) -> Type, types.DYN, types.BOOL, types.STRING, ...
"""
