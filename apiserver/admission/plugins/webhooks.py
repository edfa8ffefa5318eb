"""Ask those who registered: webhooks that change objects, and webhooks that judge them.

    configurations, by name ─▶ webhooks that match ─▶ AdmissionReview ─▶ allowed, patch, warnings
                                   │ operation, resource, scope
                                   │ namespace and object selectors     mutating: one after another
                                   └ match conditions                   validating: all at once
Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from apiserver.admission.expressions import Conditions, Decide, ExpressionFailed, Expressions, bindings_of
from apiserver.admission.metrics import (
    ADMIT,
    FAILED_OPEN,
    VALIDATE,
    WEBHOOK_REFUSALS,
    WEBHOOK_REQUESTS,
    WEBHOOKS,
)
from apiserver.admission.namespaces import Namespaces
from apiserver.admission.plugin import CONNECT, CREATE, DELETE, UPDATE, AdmissionPlugin, Attributes
from apiserver.admission.webhook_answers import CallFailed
from apiserver.admission.webhook_client import Convert, WebhookClient
from kubarium.api.admissionregistration import matching
from kubarium.apimachinery import errors
from kubarium.apimachinery.group_version import join
from kubarium.apimachinery.object import Object, copy, labels_of, name_of
from kubarium.apimachinery.patch import json_patch
from kubarium.client.informer import Informers
from kubarium.component_base import logging

log = logging.get(__name__)

API_VERSION = "admissionregistration.k8s.io/v1"
_OPERATIONS = frozenset({CREATE, UPDATE, DELETE, CONNECT})
_DEFAULT_TIMEOUT = 10
_LARGEST_CODE = 600  # that metrics tell apart
_SAFE = ("None", "NoneOnDryRun")
_REVIEW = "admission.k8s.io/v1, Kind=AdmissionReview"


@dataclass(frozen=True, slots=True)
class Call:
    """A webhook that wants to hear of a write, and the version in which it wants to see the object."""

    configuration: str
    index: int  # of this webhook among all
    webhook: Object
    version: str

    @property
    def uid(self) -> str:
        """Tells it from all others."""
        return f"{self.configuration}/{self.name}"

    @property
    def name(self) -> str:
        """The webhook's name, as refusals show it."""
        return self.webhook.get("name") or ""

    @property
    def fails_open(self) -> bool:
        """Does the write go on if the webhook does not answer?"""
        return self.webhook.get("failurePolicy") == "Ignore"


class _Webhooks(AdmissionPlugin):
    """What both kinds have in common."""

    operations = _OPERATIONS
    plural = notes = ""
    step = kind = ""  # and what the metrics call it

    def __init__(
        self,
        informers: Informers,
        namespaces: Namespaces,
        client: WebhookClient,
        expressions: Expressions,
        decide: Decide,
    ) -> None:
        self._configurations = informers.informer(API_VERSION, self.plural).lister
        self._namespaces = namespaces
        self._client = client
        self._conditions = Conditions(expressions)
        self._decide = decide

    async def calls(self, attributes: Attributes) -> AsyncIterator[Call]:
        """The webhooks to ask, in order."""
        if not len(self._configurations) or attributes.resource.group == matching.GROUP:
            return  # nobody may lock himself out of his own configuration
        index = -1
        for configuration in sorted(self._configurations.list(), key=name_of):
            for webhook in configuration.get("webhooks") or ():
                index += 1
                version = self._version(webhook, attributes)
                if version is not None and await self._selected(webhook, attributes):
                    yield Call(name_of(configuration), index, webhook, version)

    def _version(self, webhook: Object, attributes: Attributes) -> str | None:
        equivalent = webhook.get("matchPolicy") != "Exact"
        namespaced = bool(attributes.namespace) and attributes.resource.resource != "namespaces"
        return matching.matching_version(
            webhook.get("rules") or (),
            attributes.operation,
            attributes.resource,
            attributes.subresource,
            namespaced,
            self._client.versions(attributes.resource) if equivalent else (),
        )

    async def _selected(self, webhook: Object, attributes: Attributes) -> bool:
        selector = webhook.get("namespaceSelector")
        if selector and attributes.namespace:
            if attributes.is_for("", "namespaces"):
                namespace = attributes.obj or attributes.old
            else:
                namespace = await self._namespaces.of(attributes)
            if not matching.selects(selector, labels_of(namespace or {})):
                return False
        new, old = attributes.obj, attributes.old
        return matching.selects(
            webhook.get("objectSelector"),
            labels_of(new) if new is not None else None,
            labels_of(old) if old is not None else None,
        )

    async def ask(self, call: Call, attributes: Attributes, place: str) -> None:
        """Ask it and do what it says. Raises the refusal; `place` is that of the call among all of this request."""
        if call.webhook.get("matchConditions") and not self._conditions_hold(call, attributes):
            return
        began, code, why = time.perf_counter(), 200, ""
        try:
            await self.follow(call, attributes, await self._answer(call, attributes), place)
        except CallFailed as error:
            code, why = error.code, "" if call.fails_open else "calling_webhook_error"
            self._unanswered(call, attributes, error, place)
        except _Denied as denial:
            code, why = denial.refusal.code, "no_error"
            raise denial.refusal from None
        except errors.StatusError:
            code, why = 0, "apiserver_internal_error"
            raise
        finally:
            self._measure(call, attributes, code, why, time.perf_counter() - began)

    async def _answer(self, call: Call, attributes: Attributes) -> Object:
        """The response of a webhook that allows the write. Raises CallFailed or _Denied."""
        if attributes.dry_run and call.webhook.get("sideEffects") not in _SAFE:
            raise errors.BadRequest(f'admission webhook "{call.name}" does not support dry run')
        request, review = await _review(call, attributes, self._client.convert)
        timeout = float(call.webhook.get("timeoutSeconds") or _DEFAULT_TIMEOUT)
        answer = await self._client.call(call.webhook.get("clientConfig") or {}, review, timeout)
        response = _response(answer, request, review, may_change=self.kind == ADMIT)
        self._note(call, attributes, response)
        if not response.get("allowed"):
            raise _Denied(_refusal(call.name, response.get("status") or {}))
        return response

    async def follow(self, call: Call, attributes: Attributes, response: Object, place: str) -> None:
        """Do what the webhook asks for besides allowing the write."""

    def _conditions_hold(self, call: Call, attributes: Attributes) -> bool:
        try:
            return self._conditions.hold(
                call.webhook["matchConditions"], bindings_of(attributes, self._decide)
            )
        except ExpressionFailed as error:
            if call.fails_open:
                log.warning("match conditions of %s, failing open: %s", call.name, error)
                return False
            raise attributes.forbidden(str(error)) from None

    def _measure(self, call: Call, attributes: Attributes, code: int, why: str, seconds: float) -> None:
        """Note what a webhook has answered; `why` says in a word what it was refused for, if it was."""
        labels, rejected = (call.name, self.kind, attributes.operation), "true" if why else "false"
        shown = str(min(code, _LARGEST_CODE))
        WEBHOOKS.observe((*labels, rejected), seconds)
        WEBHOOK_REQUESTS.add((*labels, shown, rejected))
        if why:
            WEBHOOK_REFUSALS.add((*labels, why, shown))

    def _unanswered(self, call: Call, attributes: Attributes, error: CallFailed, place: str) -> None:
        if call.fails_open:
            FAILED_OPEN.add((call.name, self.kind))
            attributes.context.audit_annotations[f"failed-open.{self.notes}/{place}"] = call.name
            log.warning("Failed calling webhook, failing open %s: %s", call.name, error)
            return
        raise errors.InternalError.because(f'failed calling webhook "{call.name}": {error}')

    @staticmethod
    def _note(call: Call, attributes: Attributes, response: Object) -> None:
        for text in response.get("warnings") or ():
            attributes.context.warn(str(text))
        for key, value in (response.get("auditAnnotations") or {}).items():
            attributes.context.audit_annotations[f"{call.name}/{key}"] = str(value)


class MutatingAdmissionWebhook(_Webhooks):
    """Webhooks that may change the object, one after another."""

    name = "MutatingAdmissionWebhook"
    plural = "mutatingwebhookconfigurations"
    step = kind = ADMIT
    notes = "mutation.webhook.admission.k8s.io"

    async def admit(self, attributes: Attributes) -> None:
        """Ask each, apply its patch; a second time only those that want to see what others changed since."""
        again = "mutating webhooks" in attributes.memory
        seen: dict[str, bytes] = attributes.memory.setdefault("mutating webhooks", {})
        async for call in self.calls(attributes):
            if call.uid in seen and not _must_see_again(call, seen[call.uid], attributes):
                continue
            place, before = f"round_{int(again)}_index_{call.index}", attributes.obj
            try:
                with _waiting(attributes):
                    await self.ask(call, attributes, place)
            finally:
                mutated = attributes.obj is not before
                note = {"configuration": call.configuration, "webhook": call.name, "mutated": mutated}
                attributes.context.audit_annotations[f"{self.notes}/{place}"] = orjson.dumps(note).decode()
            seen[call.uid] = _digest(attributes.obj)

    async def follow(self, call: Call, attributes: Attributes, response: Object, place: str) -> None:
        """Apply its patch."""
        if not response.get("patch"):
            return
        try:
            operations = orjson.loads(base64.b64decode(response["patch"]))
        except (orjson.JSONDecodeError, binascii.Error) as error:
            raise CallFailed(f"received undecodable patch in webhook response: {error}") from None
        if not operations:
            return
        if attributes.obj is None:
            text = (
                f'admission webhook "{call.name}" attempted to modify the object, which is not supported for '
                "this operation"
            )
            raise errors.InternalError.because(text)
        if (patch_type := response.get("patchType") or "JSONPatch") != "JSONPatch":
            raise CallFailed(f'unsupported patch type "{patch_type}"', 400)
        await _apply(call, attributes, operations, self._client.convert)
        note = {"configuration": call.configuration, "webhook": call.name}
        note |= {"patch": operations, "patchType": patch_type}
        text = orjson.dumps(note).decode()
        attributes.context.audit_annotations_of_requests[f"patch.webhook.admission.k8s.io/{place}"] = text


class ValidatingAdmissionWebhook(_Webhooks):
    """Webhooks that may refuse, all asked at the same time."""

    name = "ValidatingAdmissionWebhook"
    plural = "validatingwebhookconfigurations"
    step, kind = VALIDATE, "validating"
    notes = "validating.webhook.admission.k8s.io"

    async def validate(self, attributes: Attributes) -> None:
        """Ask all; the first refusal in their order is the answer."""
        calls = [call async for call in self.calls(attributes)]
        if not calls:
            return
        with _waiting(attributes):
            answers = await asyncio.gather(
                *(self.ask(call, attributes, f"round_0_index_{at}") for at, call in enumerate(calls)),
                return_exceptions=True,
            )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer


@contextlib.contextmanager
def _waiting(attributes: Attributes) -> Iterator[None]:
    """What the request waits for here is not this server's time."""
    began = time.perf_counter()
    try:
        yield
    finally:
        attributes.context.waited += time.perf_counter() - began


def _must_see_again(call: Call, last: bytes, attributes: Attributes) -> bool:
    return call.webhook.get("reinvocationPolicy") == "IfNeeded" and _digest(attributes.obj) != last


def _digest(obj: Object | None) -> bytes:
    return orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)


async def _apply(call: Call, attributes: Attributes, operations: Any, convert: Convert) -> None:
    shown = copy(await _shown(attributes.new, call, attributes, convert))
    try:
        changed = json_patch.apply(shown, operations)
    except errors.StatusError as error:
        raise errors.InternalError.because(f"{error.__cause__ or error}") from error
    if changed.get("apiVersion") != attributes.new.get("apiVersion"):
        changed = await convert(changed, attributes.new.get("apiVersion") or "")
    attributes.settle(changed)
    if changed != attributes.obj:
        attributes.obj = changed
        attributes.changed_by_webhook = True


async def _shown(obj: Object, call: Call, attributes: Attributes, convert: Convert) -> Object:
    """The object in the version that the webhook wants; what subresources take is no version of the resource."""
    if attributes.kind.group != attributes.resource.group:
        return obj
    wanted = join(attributes.resource.group, call.version)
    return obj if obj.get("apiVersion") in (wanted, None) else await convert(obj, wanted)


async def _review(call: Call, attributes: Attributes, convert: Convert) -> tuple[Object, Object]:
    kind, place = attributes.kind, attributes.resource
    shown_kind = {"group": kind.group, "version": call.version, "kind": kind.kind}
    if attributes.subresource and kind.group != place.group:
        shown_kind["version"] = kind.version
    request: Object = {
        "uid": str(uuid.uuid4()),
        "kind": shown_kind,
        "resource": {"group": place.group, "version": call.version, "resource": place.resource},
        "requestKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "requestResource": {"group": place.group, "version": place.version, "resource": place.resource},
        "operation": attributes.operation,
        "userInfo": attributes.user.info,
        "object": await _shown(attributes.obj, call, attributes, convert)
        if attributes.obj is not None
        else None,
        "oldObject": await _shown(attributes.old, call, attributes, convert)
        if attributes.old is not None
        else None,
        "dryRun": attributes.dry_run,
        "options": attributes.told_options,
    }
    if attributes.name:
        request["name"] = attributes.name
    if attributes.namespace:
        request["namespace"] = attributes.namespace
    if attributes.subresource:
        request["subResource"] = request["requestSubResource"] = attributes.subresource
    versions = call.webhook.get("admissionReviewVersions") or ["v1"]
    version = next((one for one in versions if one in ("v1", "v1beta1")), "v1")
    review = {"kind": "AdmissionReview", "apiVersion": f"admission.k8s.io/{version}", "request": request}
    return request, review


class _Denied(Exception):
    """The webhook does not allow the write."""

    def __init__(self, refusal: errors.StatusError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def _response(answer: Object, request: Object, review: Object, *, may_change: bool) -> Object:
    """The response within a review. Raises CallFailed if it does not fit the request."""
    response: Any = answer.get("response")
    wrong = ""
    if not isinstance(response, dict):
        wrong = "webhook response was absent"
    elif review["apiVersion"].endswith("/v1"):
        wrong = _problem(answer, response, request["uid"]) or _patch_problem(response, may_change=may_change)
    if wrong:
        raise CallFailed(f"received invalid webhook response: {wrong}")
    found: Object = response
    return found


def _problem(answer: Object, response: Object, uid: str) -> str:
    if response.get("uid") != uid:
        return f'expected response.uid="{uid}", got "{response.get("uid") or ""}"'
    version = answer.get("apiVersion") or ""
    said = f"{version if '/' in version else f'/{version}'}, Kind={answer.get('kind') or ''}"
    if said != _REVIEW:
        return f"expected webhook response of {_REVIEW}, got {said}"
    return ""


def _patch_problem(response: Object, *, may_change: bool) -> str:
    patch, patch_type = response.get("patch"), response.get("patchType")
    if not may_change:
        given = "patch" if patch else "patchType" if patch_type is not None else ""
        return given and f"validating webhook may not return response.{given}"
    if patch and patch_type is None:
        return "webhook returned response.patch but not response.patchType"
    if patch_type is not None and not patch:
        return "webhook returned response.patchType but not response.patch"
    return 'webhook returned invalid response.patchType of ""' if patch_type == "" else ""


def _refusal(name: str, status: Object) -> errors.StatusError:
    head = f'admission webhook "{name}" denied the request'
    said = status.get("message") or status.get("reason")
    code = status.get("code") or 0
    refusal = {**status, "status": "Failure", "code": code if code >= 400 else 400}
    refusal["message"] = f"{head}: {said}" if said else f"{head} without explanation"
    return errors.from_status(refusal)
