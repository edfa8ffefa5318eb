"""The CEL expressions of webhooks and policies: what they may speak of, and whether they compile."""

from __future__ import annotations

import re

from kubarium.apimachinery.cel import compiler, types
from kubarium.apimachinery.cel.parser import CompileError
from kubarium.apimachinery.field_path import FieldError, FieldPath, invalid, required

_AUTHORIZER = types.named("authorizer")
VARIABLES = {
    **dict.fromkeys(("object", "oldObject", "request", "params", "namespaceObject", "variables"), types.DYN),
    "authorizer": _AUTHORIZER,
    "authorizerRequestResource": _AUTHORIZER,
}
_REQUEST_RESOURCE = re.compile(r"\bauthorizer\.requestResource\b")  # a variable whose name has a dot


def compile(text: str, result: types.Type = types.DYN) -> compiler.Program:
    """Compile an expression over the variables of admission. Raises CompileError."""
    return compiler.compile(_REQUEST_RESOURCE.sub("authorizerRequestResource", text), VARIABLES, result)


def problems(text: str | None, path: FieldPath, result: types.Type = types.DYN) -> list[FieldError]:
    """What is wrong with an expression that must be there."""
    if not (text or "").strip():
        return [required(path)]
    try:
        compile(text or "", result)
    except CompileError as error:
        return [invalid(path, text, f"compilation failed: {error}")]
    return []
