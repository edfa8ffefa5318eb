"""Ask a remote SubjectAccessReview: `--authorization-webhook-config-file`, or a webhook of `--authorization-config`.

Source: https://kubernetes.io/docs/reference/access-authn-authz/webhook/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apiserver.authorization.authorizer import NO_OPINION, Decision, Verdict
from apiserver.request import RequestInfo, User
from kubarium.apimachinery import errors, fields, labels
from kubarium.apimachinery.cel import compiler, types
from kubarium.apimachinery.cel.compiler import CostExceeded, EvaluationError, Program
from kubarium.apimachinery.object import Object
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

_MAX_ANSWERS = 10_000

_TEXTS = types.list_of(types.STRING)
_SELECTOR = types.object_of(
    {
        "rawSelector": types.STRING,
        "requirements": types.list_of(
            types.object_of({"key": types.STRING, "operator": types.STRING, "values": _TEXTS}, "requirement")
        ),
    },
    "kubernetes.SelectorAttributes",
)
_RESOURCE = types.object_of(
    {
        **dict.fromkeys(
            ("namespace", "verb", "group", "version", "resource", "subresource", "name"), types.STRING
        ),
        "fieldSelector": _SELECTOR,
        "labelSelector": _SELECTOR,
    },
    "kubernetes.ResourceAttributes",
)
_REQUEST = types.object_of(
    {
        "user": types.STRING,
        "uid": types.STRING,
        "groups": _TEXTS,
        "extra": types.map_of(types.STRING, _TEXTS),
        "resourceAttributes": _RESOURCE,
        "nonResourceAttributes": types.object_of(
            {"path": types.STRING, "verb": types.STRING}, "kubernetes.NonResourceAttributes"
        ),
    },
    "kubernetes.SubjectAccessReviewSpec",
)


def compile_condition(expression: str) -> Program:
    """A match condition, over the `spec` of the review as `request`. Raises CompileError."""
    return compiler.compile(expression, {"request": _REQUEST}, types.BOOL)


@dataclass(frozen=True)
class Settings:
    """How a webhook is asked."""

    version: str = "v1"
    seconds: float = 30.0
    authorized_seconds: float = 300.0  # 0: consent is not remembered
    unauthorized_seconds: float = 30.0
    deny_on_failure: bool = False
    conditions: Sequence[Program] = ()


class AuthorizationWebhook:
    """Asks, and remembers answers for a while."""

    def __init__(
        self, client: Client, clock: Clock, path: str = "/", settings: Settings | None = None
    ) -> None:
        self._client = client
        self._clock = clock
        self._path = path or "/"
        self._settings = settings or Settings()
        self._known: dict[tuple[object, ...], tuple[Verdict, float]] = {}

    async def decide(self, user: User, info: RequestInfo) -> Verdict:
        """What the webhook says; if it fails, what the settings say of that."""
        key = (user.name, user.uid, user.groups, tuple(sorted(user.extra.items())), info)
        known = self._known.get(key)
        if known is not None and known[1] > self._clock.monotonic():
            return known[0]
        question = question_of(user, info)
        try:
            if not self._concerns(question):
                return NO_OPINION
            verdict = await self._ask(question)
        except (errors.StatusError, ConnectionError, TimeoutError, EvaluationError, CostExceeded) as error:
            log.warning("the authorization webhook has no answer: %s", error)
            decision = Decision.DENY if self._settings.deny_on_failure else Decision.NO_OPINION
            return Verdict(decision, error=str(error) or type(error).__name__)
        self._remember(key, verdict)
        return verdict

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.close()

    def _concerns(self, question: Object) -> bool:
        """Do all match conditions hold? A false one settles it, an error counts if none is false."""
        failed: EvaluationError | CostExceeded | None = None
        for condition in self._settings.conditions:
            try:
                if condition.evaluate({"request": question}) is not True:
                    return False
            except (EvaluationError, CostExceeded) as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return True

    async def _ask(self, question: Object) -> Verdict:
        version = self._settings.version
        if version == "v1beta1" and "groups" in question:
            question = {**question, "group": question["groups"]}
            del question["groups"]
        review = {
            "kind": "SubjectAccessReview",
            "apiVersion": f"authorization.k8s.io/{version}",
            "metadata": {"creationTimestamp": None},
            "spec": question,
            "status": {"allowed": False},
        }
        answer = await self._client.request("POST", self._path, body=review, timeout=self._settings.seconds)
        if not isinstance(answer, dict):
            raise ConnectionError("the authorization webhook answers no SubjectAccessReview")
        return _verdict(answer.get("status") or {})

    def _remember(self, key: tuple[object, ...], verdict: Verdict) -> None:
        seconds = (
            self._settings.authorized_seconds if verdict.allowed else self._settings.unauthorized_seconds
        )
        if not seconds:
            return
        if len(self._known) >= _MAX_ANSWERS:
            self._known.clear()
        self._known[key] = (verdict, self._clock.monotonic() + seconds)


def _verdict(status: Object) -> Verdict:
    if status.get("allowed") and status.get("denied"):
        text = "webhook subject access review returned both allow and deny response"
        return Verdict(Decision.DENY, error=text)
    if status.get("allowed"):
        return Verdict(Decision.ALLOW, status.get("reason") or "")
    decision = Decision.DENY if status.get("denied") else Decision.NO_OPINION
    return Verdict(decision, status.get("reason") or "")


def question_of(user: User, info: RequestInfo) -> Object:
    """The `spec` of a SubjectAccessReview."""
    spec: Object = {"user": user.name, "groups": list(user.groups)}
    if user.uid:
        spec["uid"] = user.uid
    if user.extra:
        spec["extra"] = {key: list(values) for key, values in user.extra.items()}
    if not info.is_resource:
        return {**spec, "nonResourceAttributes": {"path": info.path, "verb": info.verb}}
    asked = {"namespace": info.namespace, "verb": info.verb, "group": info.group, "version": info.version,
             "resource": info.resource, "subresource": info.subresource, "name": info.name,
             "fieldSelector": _field_requirements(info.field_selector),
             "labelSelector": _label_requirements(info.label_selector)}  # fmt: skip
    return {**spec, "resourceAttributes": {key: value for key, value in asked.items() if value}}


_OPERATORS = {
    "=": "In", "in": "In", "!=": "NotIn", "notin": "NotIn", "exists": "Exists", "!": "DoesNotExist",
}  # fmt: skip


def _field_requirements(text: str) -> Object | None:
    """A field selector as a list of what is demanded; one that nobody can read demands nothing."""
    try:
        parsed = fields.parse(text)
    except fields.ParseError:
        return None
    found = [
        {"key": one.field, "operator": "In" if one.equals else "NotIn", "values": [one.value]}
        for one in parsed.requirements
    ]
    return {"requirements": found} if found else None


def _label_requirements(text: str) -> Object | None:
    """The same of a label selector. Comparisons of numbers cannot be shown, and demand nothing."""
    try:
        parsed = labels.parse(text)
    except ValueError:
        return None
    found: list[Object] = [
        {
            "key": one.key,
            "operator": _OPERATORS[one.operator],
            **({"values": sorted(one.values)} if one.values else {}),
        }
        for one in parsed.requirements
        if one.operator in _OPERATORS
    ]
    return {"requirements": found} if found else None
