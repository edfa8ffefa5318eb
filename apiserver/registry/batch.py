"""Jobs and what starts them."""

from __future__ import annotations

from apiserver.registry.strategy import Strategy
from kubarium.api.batch import defaults, validation
from kubarium.apimachinery.object import status_of

CRON_JOB = Strategy(
    defaults=defaults.fill_cron_job,
    validate=validation.validate_cron_job,
    validate_update=validation.validate_cron_job_update,
    has_generation=True,
)
JOB = Strategy(
    defaults=defaults.fill_job,
    validate=validation.validate_job,
    validate_update=validation.validate_job_update,
    has_generation=True,
    orphans_by_default=True,
    selectable_fields={"status.successful": lambda job: str(status_of(job).get("succeeded") or 0)},
)
