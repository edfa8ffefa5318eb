"""The CEL expressions of webhooks and policies: what they may speak of, and whether they compile.

Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#validation-expression
"""

from __future__ import annotations

from collections.abc import Mapping

from kubarium.apimachinery.cel import compiler, structs, types
from kubarium.apimachinery.cel.functions import compatible
from kubarium.apimachinery.cel.nodes import CompileError
from kubarium.apimachinery.cel.types import (
    BOOL,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    Type,
    list_of,
    map_of,
    object_of,
)
from kubarium.apimachinery.field_path import FieldError, FieldPath, invalid, required

_AUTHORIZER = types.named("authorizer")
_TEXTS, _TEXT_MAP = list_of(STRING), map_of(STRING, STRING)

_KIND = object_of(dict.fromkeys(("group", "version", "kind"), STRING), "kubernetes.GroupVersionKind")
_PLACE = object_of(dict.fromkeys(("group", "version", "resource"), STRING), "kubernetes.GroupVersionResource")
_USER = object_of(
    {"username": STRING, "uid": STRING, "groups": _TEXTS, "extra": map_of(STRING, _TEXTS)},
    "kubernetes.UserInfo",
)
REQUEST = object_of(
    {
        "kind": _KIND, "resource": _PLACE, "subResource": STRING, "requestKind": _KIND, "requestResource": _PLACE,
        "requestSubResource": STRING, "name": STRING, "namespace": STRING, "operation": STRING, "userInfo": _USER,
        "dryRun": BOOL, "options": DYN,
    },
    "kubernetes.AdmissionRequest",
)  # fmt: skip
NAMESPACE = object_of(
    {
        "metadata": object_of(
            {
                "name": STRING, "generateName": STRING, "namespace": STRING, "labels": _TEXT_MAP,
                "annotations": _TEXT_MAP, "UID": STRING, "creationTimestamp": TIMESTAMP,
                "deletionGracePeriodSeconds": INT, "deletionTimestamp": TIMESTAMP, "generation": INT,
                "resourceVersion": STRING, "finalizers": _TEXTS,
            },
            "kubernetes.NamespaceMetadata",
        ),
        "spec": object_of({"finalizers": _TEXTS}, "kubernetes.NamespaceSpec"),
        "status": object_of({"phase": STRING}, "kubernetes.NamespaceStatus"),
    },
    "kubernetes.Namespace",
)  # fmt: skip

VARIABLES: Mapping[str, Type] = {
    "object": DYN,
    "oldObject": DYN,
    "request": REQUEST,
    "namespaceObject": NAMESPACE,
    "authorizer": _AUTHORIZER,
    "authorizer.requestResource": types.named("resource_check"),
}
"""What every expression may speak of."""
EVERYTHING: Mapping[str, Type] = {**VARIABLES, "params": DYN, "variables": DYN}
"""With what only policies have."""


def compile(text: str, result: Type = DYN, variables: Mapping[str, Type] = EVERYTHING) -> compiler.Program:
    """Compile an expression over the variables of admission. Raises CompileError."""
    return compiler.compile(text, variables, result)


def problems(
    text: str | None, path: FieldPath, result: Type = DYN, variables: Mapping[str, Type] = VARIABLES
) -> list[FieldError]:
    """What is wrong with an expression that must be there."""
    if not (text or "").strip():
        return [required(path)]
    try:
        found = compile(text or "", DYN, variables).result_type
    except CompileError as error:
        return [invalid(path, text, f"compilation failed: {error}")]
    if not compatible(found, result):
        return [invalid(path, text, f"must evaluate to {result} but got {found}")]
    return []


def mutation_problems(
    text: str | None, path: FieldPath, result: str, variables: Mapping[str, Type] = VARIABLES
) -> list[FieldError]:
    """The same for an expression that must make `Object` or `list(JSONPatch)`."""
    if found := problems(text, path, DYN, variables):
        return found
    problem = structs.result_problem(compile(text or "", DYN, variables).result_type, result)
    return [invalid(path, text, problem)] if problem else []
