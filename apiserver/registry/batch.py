"""Jobs and what starts them."""

from __future__ import annotations

from dataclasses import dataclass

from apiserver.registry.strategy import Strategy
from apiserver.request import RequestContext
from kubarium.api.batch import defaults, job, validation
from kubarium.api.batch.warnings import cron_job_warnings, job_warnings
from kubarium.apimachinery.object import Object, status_of


@dataclass(frozen=True)
class JobStrategy(Strategy):
    """A job's pods are told apart from all others by its uid."""

    def prepare_for_create(self, context: RequestContext, obj: Object) -> None:
        super().prepare_for_create(context, obj)
        job.generate_selector(obj)
        defaults.fill_labels(obj)  # its pods may have some only now


CRON_JOB = Strategy(
    defaults=defaults.fill_cron_job,
    validate=validation.validate_cron_job,
    validate_update=validation.validate_cron_job_update,
    warnings=cron_job_warnings,
    has_generation=True,
)
JOB = JobStrategy(
    defaults=defaults.fill_job,
    validate=validation.validate_job,
    validate_update=validation.validate_job_update,
    warnings=job_warnings,
    has_generation=True,
    orphans_by_default=True,
    selectable_fields={"status.successful": lambda job: str(status_of(job).get("succeeded") or 0)},
)
