"""The authorizers of `--authorization-config`, or of the older flags.

Source: https://kubernetes.io/docs/reference/config-api/apiserver-config.v1/#AuthorizationConfiguration
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apiserver import configuration
from apiserver.authorization.webhook import Settings, compile_condition
from apiserver.configuration import ConfigurationError
from apiserver.options import Options
from kubarium.apimachinery import names
from kubarium.apimachinery.cel.compiler import CompileError, Program
from kubarium.apimachinery.field_path import (
    ROOT,
    FieldError,
    FieldPath,
    duplicate,
    invalid,
    not_supported,
    required,
    too_many,
)
from kubarium.apimachinery.object import Object

KIND = "AuthorizationConfiguration"
VERSIONS = tuple(f"{configuration.GROUP}/{version}" for version in ("v1", "v1beta1", "v1alpha1"))
MODES = ("ABAC", "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook")
ABAC = "ABAC"
WEBHOOK, IN_CLUSTER, KUBECONFIG = "Webhook", "InClusterConfig", "KubeConfigFile"
MAX_CONDITIONS = 64
MAX_SECONDS = 30.0

_SHAPE = {
    "authorizers": [
        {
            "type": None,
            "name": None,
            "webhook": {
                **dict.fromkeys(
                    ("authorizedTTL", "cacheAuthorizedRequests", "unauthorizedTTL", "cacheUnauthorizedRequests",
                     "timeout", "subjectAccessReviewVersion", "matchConditionSubjectAccessReviewVersion",
                     "failurePolicy")
                ),
                "connectionInfo": {"type": None, "kubeConfigFile": None},
                "matchConditions": [{"expression": None}],
            },
        }
    ]
}  # fmt: skip


@dataclass(frozen=True)
class Authorizer:
    """One authorizer: its type, and how a webhook is asked."""

    type: str
    name: str = ""
    kubeconfig: str = ""
    settings: Settings = field(default_factory=Settings)


def of_flags(options: Options) -> list[Authorizer]:
    """The authorizers of `--authorization-mode`. Raises ConfigurationError."""
    found = []
    for mode in options.authorization_mode:
        if mode not in MODES:
            raise ConfigurationError(f'authorization-mode "{mode}" is not a valid mode')
        if options.authorization_mode.count(mode) > 1:
            raise ConfigurationError(
                f"authorization-mode {list(options.authorization_mode)} has mode specified more than once"
            )
        if mode == WEBHOOK and not options.authorization_webhook_config_file:
            raise ConfigurationError("authorization-mode Webhook's authorization config file not passed")
        if mode == ABAC and not options.authorization_policy_file:
            raise ConfigurationError("authorization-mode ABAC's authorization policy file not passed")
        settings = Settings(
            options.authorization_webhook_version,
            authorized_seconds=options.authorization_webhook_cache_authorized_ttl,
            unauthorized_seconds=options.authorization_webhook_cache_unauthorized_ttl,
        )
        found.append(Authorizer(mode, mode.lower(), options.authorization_webhook_config_file, settings))
    for mode, path, name in (
        (ABAC, options.authorization_policy_file, "policy"),
        (WEBHOOK, options.authorization_webhook_config_file, "webhook-config"),
    ):
        if path and mode not in options.authorization_mode:
            raise ConfigurationError(f"cannot specify --authorization-{name}-file without mode {mode}")
    return found


def load(path: str) -> list[Authorizer]:
    """The authorizers of a file. Raises ConfigurationError."""
    document = configuration.load(path, KIND, VERSIONS, _SHAPE)
    reading = _Reading()
    found = reading.authorizers(document.get("authorizers") or [])
    configuration.refuse(reading.problems)
    return found


class _Reading:
    """Reads a list of authorizers and collects what is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[FieldError] = []

    def authorizers(self, given: Sequence[Object]) -> list[Authorizer]:
        """The authorizers; to be used only if there are no problems."""
        path = ROOT / "authorizers"
        if not given:
            self.problems.append(required(path, "at least one authorization mode must be defined"))
        found: list[Authorizer] = []
        for index, one in enumerate(given):
            sort = one.get("type") or ""
            if self._is_usable(sort, [before.type for before in found], path % index / "type"):
                self._name(one.get("name") or "", [before.name for before in found], path % index / "name")
                found.append(self._authorizer(one, path % index))
        return found

    def _is_usable(self, sort: str, before: Sequence[str], path: FieldPath) -> bool:
        if not sort:
            self.problems.append(required(path))
        elif sort not in MODES:
            self.problems.append(not_supported(path, sort, MODES))
        elif sort in before and sort != WEBHOOK:
            self.problems.append(duplicate(path, sort))
        else:
            return True
        return False

    def _name(self, name: str, before: Sequence[str], path: FieldPath) -> None:
        if not name:
            self.problems.append(required(path))
        elif name in before:
            self.problems.append(duplicate(path, name))
        elif problems := names.dns_subdomain_errors(name):
            self.problems.append(invalid(path, name, f"authorizer name is invalid: {', '.join(problems)}"))

    def _authorizer(self, one: Object, path: FieldPath) -> Authorizer:
        sort, name, webhook = one["type"], one.get("name") or "", one.get("webhook")
        if sort != WEBHOOK:
            if webhook is not None:
                text = "may only be specified when type=Webhook"
                self.problems.append(invalid(path / "webhook", "non-null", text))
            return Authorizer(sort, name)
        if webhook is None:
            self.problems.append(required(path / "webhook", "required when type=Webhook"))
            return Authorizer(sort, name)
        return Authorizer(
            sort,
            name,
            self._kubeconfig(webhook.get("connectionInfo") or {}, path),
            self._settings(webhook, path),
        )

    def _settings(self, webhook: Object, path: FieldPath) -> Settings:
        version, policy = webhook.get("subjectAccessReviewVersion") or "", webhook.get("failurePolicy") or ""
        self._choice(version, ("v1", "v1beta1"), path / "subjectAccessReviewVersion")
        self._choice(policy, ("NoOpinion", "Deny"), path / "failurePolicy")
        conditions = webhook.get("matchConditions") or []
        wanted = webhook.get("matchConditionSubjectAccessReviewVersion") or ""
        at = path / "matchConditionSubjectAccessReviewVersion"
        if wanted:
            self._choice(wanted, ("v1",), at)
        elif conditions:
            self.problems.append(required(at, "required if match conditions are specified"))
        allowed = self._seconds(webhook.get("authorizedTTL", "5m"), path / "authorizedTTL")
        refused = self._seconds(webhook.get("unauthorizedTTL", "30s"), path / "unauthorizedTTL")
        return Settings(
            version,
            self._seconds(webhook.get("timeout"), path / "timeout", MAX_SECONDS),
            allowed if webhook.get("cacheAuthorizedRequests", True) else 0.0,
            refused if webhook.get("cacheUnauthorizedRequests", True) else 0.0,
            policy == "Deny",
            self._conditions(conditions, path / "matchConditions"),
        )

    def _choice(self, value: str, allowed: Sequence[str], path: FieldPath) -> None:
        if not value:
            self.problems.append(required(path))
        elif value not in allowed:
            self.problems.append(not_supported(path, value, allowed))

    def _seconds(self, text: Any, path: FieldPath, most: float | None = None) -> float:
        try:
            found = configuration.seconds(text, 0.0)
        except ConfigurationError as error:
            self.problems.append(invalid(path, text, str(error)))
            return 0.0
        if not found:
            self.problems.append(required(path))
        elif found < 0 or (most is not None and found > most):
            self.problems.append(invalid(path, text, "must be > 0s and <= 30s" if most else "must be > 0s"))
        return found

    def _kubeconfig(self, info: Object, path: FieldPath) -> str:
        sort, file = info.get("type") or "", info.get("kubeConfigFile") or ""
        at = path / "connectionInfo" / "kubeConfigFile"
        if sort == IN_CLUSTER:  # the API server of the cluster would ask itself, for ever
            where = path / "connectionInfo" / "type"
            self.problems.append(invalid(where, sort, "this mode is not allowed for kube-apiserver"))
            return ""
        self._choice(sort, (IN_CLUSTER, KUBECONFIG), path / "connectionInfo" / "type")
        if sort != KUBECONFIG:
            return ""
        if not file:
            self.problems.append(required(at))
        elif not Path(file).is_absolute():
            self.problems.append(invalid(at, file, "must be an absolute path"))
        elif not Path(file).exists():
            text = f"error loading file: stat {file}: no such file or directory"
            self.problems.append(invalid(at, file, text))
        elif not Path(file).is_file():
            self.problems.append(invalid(at, file, "must be a regular file"))
        return file

    def _conditions(self, conditions: Sequence[Object], path: FieldPath) -> tuple[Program, ...]:
        if len(conditions) > MAX_CONDITIONS:
            self.problems.append(too_many(path, len(conditions), MAX_CONDITIONS))
            return ()
        found: list[Program] = []
        for index, condition in enumerate(conditions):
            at, expression = path % index / "expression", condition.get("expression") or ""
            if not expression.strip():
                self.problems.append(required(at))
            elif expression in [program.source for program in found]:
                self.problems.append(duplicate(at, expression))
            else:
                try:
                    found.append(compile_condition(expression))
                except CompileError as error:
                    self.problems.append(invalid(at, expression, f"compilation failed: {error}"))
        return tuple(found)
