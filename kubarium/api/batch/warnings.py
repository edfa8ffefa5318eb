"""What the API server remarks on in jobs without refusing them; the texts are upstream's."""

from __future__ import annotations

from kubarium.api.core.pod import warnings as pod
from kubarium.apimachinery.object import Object, generation_of, spec_of

_MANY_COMPLETIONS, _MUCH_PARALLELISM = 100_000, 10_000
_TOO_MANY = (
    "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "
    "Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
)


def job_warnings(new: Object, old: Object | None) -> list[str]:
    """An update counts only if it changes the wish."""
    if old is not None and generation_of(new) == generation_of(old):
        return []
    return [*(pod.name_warnings(new) if old is None else ()), *_of_spec(spec_of(new), "spec")]


def cron_job_warnings(new: Object, old: Object | None) -> list[str]:
    """The jobs that it will make."""
    spec = (spec_of(new).get("jobTemplate") or {}).get("spec") or {}
    return [*(pod.name_warnings(new) if old is None else ()), *_of_spec(spec, "spec.jobTemplate.spec")]


def _of_spec(spec: Object, at: str) -> list[str]:
    found = []
    completions, parallelism = spec.get("completions") or 0, spec.get("parallelism") or 0
    is_indexed = spec.get("completionMode") == "Indexed"
    if is_indexed and completions > _MANY_COMPLETIONS and parallelism > _MUCH_PARALLELISM:
        found.append(_TOO_MANY)
    return [*found, *pod.template_warnings(spec.get("template") or {}, f"{at}.template")]
