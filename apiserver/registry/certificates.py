"""Certificate signing requests: who asked is noted by the server; approval and certificate are written apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from apiserver.registry.strategy import Strategy, keep
from apiserver.request import RequestContext
from kubarium.api.certificates import certificate_signing_request as noun
from kubarium.apimachinery import names, time
from kubarium.apimachinery.field_path import FieldError, FieldPath, forbidden
from kubarium.apimachinery.fields import FieldGetter
from kubarium.apimachinery.object import Object, spec_of, status_of

DECISIONS = ("Approved", "Denied", "Failed")

SELECTABLE: Mapping[str, FieldGetter] = {
    "spec.signerName": lambda request: spec_of(request).get("signerName") or "",
}


@dataclass(frozen=True)
class CertificateSigningRequestStrategy(Strategy):
    """The requester's identity is copied from the connection; nobody can ask for somebody else."""

    selectable_fields: Mapping[str, FieldGetter] = field(default_factory=lambda: SELECTABLE)

    def prepare_for_create(self, context: RequestContext, obj: Object) -> None:
        super().prepare_for_create(context, obj)
        spec = obj.setdefault("spec", {})
        for field_name in ("uid", "groups", "extra"):
            spec.pop(field_name, None)
        spec |= context.user.info

    def prepare_for_update(self, context: RequestContext, new: Object, old: Object) -> None:
        keep(new, old, "spec")
        keep(new, old, "status")

    def prepare_for_status_update(self, context: RequestContext, new: Object, old: Object) -> None:
        """Signers write the certificate and their own conditions; decisions stay as they were."""
        keep(new, old, "spec")
        decided = [entry for entry in _conditions(old) if entry.get("type") in DECISIONS[:2]]
        others = [entry for entry in _conditions(new) if entry.get("type") not in DECISIONS[:2]]
        _stamp(context, others, old)
        _set_conditions(new, decided + others)


def prepare_approval(context: RequestContext, new: Object, old: Object) -> None:
    """Only the conditions come from the request."""
    wanted = _conditions(new)
    keep(new, old, "spec")
    keep(new, old, "status")
    _stamp(context, wanted, old)
    _set_conditions(new, wanted)


def decisions_stay(new: Object, old: Object) -> list[FieldError]:
    """What was decided once cannot be taken back."""
    path = FieldPath("status") / "conditions"
    before, now = (
        [entry.get("type") for entry in _conditions(old)],
        [entry.get("type") for entry in _conditions(new)],
    )
    return noun.condition_errors(new) + [
        forbidden(path, f'updates may not remove a condition of type "{kind}"')
        for kind in DECISIONS
        if now.count(kind) < before.count(kind)
    ]


def _conditions(request: Object) -> list[Object]:
    return status_of(request).get("conditions") or []


def _set_conditions(request: Object, wanted: list[Object]) -> None:
    if wanted:
        request.setdefault("status", {})["conditions"] = wanted
    elif "conditions" in status_of(request):
        del request["status"]["conditions"]


def _stamp(context: RequestContext, wanted: list[Object], old: Object) -> None:
    """Times that the client left out are those of the old condition, or now."""
    now = time.format_time(context.clock.now())
    before = {entry.get("type"): entry for entry in _conditions(old)}
    for entry in wanted:
        known = before.get(entry.get("type")) or {}
        entry["lastUpdateTime"] = entry.get("lastUpdateTime") or now
        if not entry.get("lastTransitionTime"):
            same = known.get("status") == entry.get("status")
            entry["lastTransitionTime"] = known.get("lastTransitionTime") if same and known else now


STRATEGY = CertificateSigningRequestStrategy(
    name_errors=names.path_segment_errors,
    defaults=noun.fill_defaults,
    validate=noun.validate,
    validate_status_update=decisions_stay,
)
