"""What the API server remarks on in workloads without refusing them; the texts are upstream's."""

from __future__ import annotations

from kubarium.api.core import persistent_volume_claim
from kubarium.api.core.pod import warnings as pod
from kubarium.apimachinery.object import Object, generation_of, spec_of


def workload_warnings(new: Object, old: Object | None) -> list[str]:
    """For whatever has its template at `spec.template`; an update counts only if it changes the wish."""
    if old is not None and generation_of(new) == generation_of(old):
        return []
    found = pod.name_warnings(new) if old is None else []
    return [*found, *pod.template_warnings(spec_of(new).get("template") or {})]


def stateful_set_warnings(new: Object, old: Object | None) -> list[str]:
    """Besides, its claims and how much of its past it keeps."""
    found = workload_warnings(new, old)
    if old is not None and generation_of(new) == generation_of(old):
        return found
    spec = spec_of(new)
    for index, template in enumerate(spec.get("volumeClaimTemplates") or ()):
        at = f"spec.volumeClaimTemplates[{index}]"
        found += persistent_volume_claim.spec_warnings(template.get("spec") or {}, at)
    if (spec.get("revisionHistoryLimit") or 0) < 0:
        found.append(
            "spec.revisionHistoryLimit: a negative value retains all historical revisions; "
            "a value >= 0 is recommended"
        )
    return found
