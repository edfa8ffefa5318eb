"""Jobs and what starts them."""

from __future__ import annotations

from apiserver.registry.strategy import Strategy
from kubarium.apimachinery.object import status_of

CRON_JOB = Strategy(has_generation=True)
JOB = Strategy(
    has_generation=True,
    orphans_by_default=True,
    selectable_fields={"status.successful": lambda job: str(status_of(job).get("succeeded") or 0)},
)
