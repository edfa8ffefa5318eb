"""The OpenAPI documents of what is no resource: discovery, the version, the keys of service accounts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apiserver.endpoints.openapi_paths import ANSWERS, META, group_tag, group_title

_JSON = ("application/json",)
_KEYS = "openid/v1/jwks"
_ISSUER = ".well-known/openid-configuration"


def items_of(groups: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The path items by the names of their documents. `groups` are those of built-in resources."""
    about_versions = "get available API versions"
    found = {
        _ISSUER: _item("WellKnown", "getServiceAccountIssuerOpenIDConfiguration",
                       "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'",
                       "", _JSON),
        "api": _item("core", "getCoreAPIVersions", about_versions, META + "APIVersions", ANSWERS),
        "apis": _item("apis", "getAPIVersions", about_versions, META + "APIGroupList", ANSWERS),
        _KEYS: _item("openid", "getServiceAccountIssuerOpenIDKeyset",
                     "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)",
                     "", ("application/jwk-set+json",)),
        "version": _item("version", "getCodeVersion", "get the version information for this server",
                         "io.k8s.apimachinery.pkg.version.Info", _JSON),
    }  # fmt: skip
    for group in groups:
        operation_id = f"get{group_title(group)}APIGroup"
        about = "get information of a group"
        found[f"apis/{group}"] = _item(group_tag(group), operation_id, about, META + "APIGroup", ANSWERS)
    return found


def _item(tag: str, operation_id: str, about: str, schema: str, types: Iterable[str]) -> dict[str, Any]:
    shown = {"$ref": f"#/components/schemas/{schema}"} if schema else {"type": "string"}
    answer = {"description": "OK", "content": {media_type: {"schema": shown} for media_type in types}}
    return {
        "get": {
            "description": about,
            "operationId": operation_id,
            "tags": [tag],
            "responses": {"200": answer, "401": {"description": "Unauthorized"}},
        }
    }
