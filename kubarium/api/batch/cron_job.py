"""`CronJob`: schedules, parsed, and the times they name.

Source: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax
"""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import product

from kubarium.apimachinery import owners, time
from kubarium.apimachinery.object import (
    Object,
    annotations_of,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
)
from kubarium.component_base.options import parse_duration

SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"

_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_HORIZON = 366 * 5  # days; February 29th comes within this


@dataclass(frozen=True)
class Schedule:
    """Minutes, hours, days, months and weekdays at which something is due; or a fixed pace."""

    minutes: frozenset[int] = frozenset()
    hours: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    any_day: bool = True
    any_weekday: bool = True
    zone: tzinfo = UTC
    every: timedelta | None = None

    def after(self, moment: datetime) -> datetime | None:
        """The first time after a moment; None when there is none within five years."""
        if self.every is not None:
            return moment.replace(microsecond=0) + self.every
        local = moment.astimezone(self.zone)
        for offset in range(_HORIZON):
            day = (local + timedelta(days=offset)).date()
            if day.month not in self.months or not self._day_fits(day.day, day.isoweekday() % 7):
                continue
            # An hour that the clock shows twice is due twice; one that it leaves out is not due at all.
            for hour, fold, minute in product(sorted(self.hours), (0, 1), sorted(self.minutes)):
                shown = datetime(day.year, day.month, day.day, hour, minute, fold=fold, tzinfo=self.zone)
                found = shown.astimezone(UTC)
                if found > moment and found.astimezone(self.zone).hour == hour:
                    return found
        return None

    def _day_fits(self, day: int, weekday: int) -> bool:
        """When both are given, either will do: that is how cron has always been."""
        if self.any_day or self.any_weekday:
            return day in self.days and weekday in self.weekdays
        return day in self.days or weekday in self.weekdays


def parse_schedule(text: str, zone: tzinfo = UTC) -> Schedule:
    """Five fields, a macro such as `@daily`, or `@every 1h`. Raises ValueError."""
    body = text.strip()
    for prefix in ("TZ=", "CRON_TZ="):
        if body.startswith(prefix):
            name, _, body = body[len(prefix) :].partition(" ")
            zone, body = zone_of(name), body.strip()
    if body.startswith("@every "):
        seconds = int(parse_duration(body[7:].strip()))
        return Schedule(every=timedelta(seconds=max(1, seconds)))
    body = _MACROS.get(body, body)
    fields = body.split()
    if len(fields) != 5:
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    return Schedule(
        _field(fields[0], 0, 59),
        _field(fields[1], 0, 23),
        _field(fields[2], 1, 31),
        _field(fields[3], 1, 12, _MONTHS, 1),
        _field(fields[4], 0, 6, _DAYS, 0),
        any_day=fields[2].startswith(("*", "?")),
        any_weekday=fields[4].startswith(("*", "?")),
        zone=zone,
    )


def _field(text: str, low: int, high: int, names: tuple[str, ...] = (), first: int = 0) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = int(step_text) if slash else 1
        if step <= 0:
            raise ValueError(f"step of range should be a positive number: {part}")
        start, dash, stop = span.partition("-")
        if start in ("*", "?"):
            begin, end = low, high
        else:
            begin = _number(start, names, first)
            end = _number(stop, names, first) if dash else (high if slash else begin)
        if begin < low:
            raise ValueError(f"beginning of range ({begin}) below minimum ({low}): {part}")
        if end > high:
            raise ValueError(f"end of range ({end}) above maximum ({high}): {part}")
        if begin > end:
            raise ValueError(f"beginning of range ({begin}) beyond end of range ({end}): {part}")
        found.update(range(begin, end + 1, step))
    return frozenset(found)


def _number(text: str, names: tuple[str, ...], first: int) -> int:
    if text.lower()[:3] in names and not text.isdigit():
        return names.index(text.lower()[:3]) + first
    if not text.isdigit():
        raise ValueError(f"failed to parse int from {text}")
    return int(text)


def zone_of(name: str) -> tzinfo:
    """A time zone by its name. Raises ValueError."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {name}") from error


def schedule_of(cron: Object) -> Schedule:
    """The schedule in its time zone. Raises ValueError."""
    name = spec_of(cron).get("timeZone")
    return parse_schedule(spec_of(cron).get("schedule") or "", zone_of(name) if name else UTC)


def history_limits(cron: Object) -> tuple[int, int]:
    """How many succeeded and how many failed jobs are kept."""
    succeeded = spec_of(cron).get("successfulJobsHistoryLimit")
    failed = spec_of(cron).get("failedJobsHistoryLimit")
    return 3 if succeeded is None else succeeded, 1 if failed is None else failed


def earliest_start(cron: Object, now: datetime) -> datetime:
    """The moment after which a due time still counts: the last start, at most the deadline ago."""
    last = status_of(cron).get("lastScheduleTime") or cron["metadata"].get("creationTimestamp")
    found = time.parse_time(last) if last else now
    deadline = spec_of(cron).get("startingDeadlineSeconds")
    if deadline is not None:
        found = max(found, now - timedelta(seconds=deadline))
    return found


def most_recent(schedule: Schedule, since: datetime, now: datetime) -> tuple[datetime, int] | None:
    """The last due time up to now, and how many there were; None when there was none."""
    found, count = schedule.after(since), 0
    if found is None or found > now:
        return None
    latest = found
    pace: float | None = None
    while found is not None and found <= now:
        latest, count = found, count + 1
        found = schedule.after(found)
        if count == 2 and pace is None and found is not None:
            # A clock that was far off must not make us walk through years of minutes.
            pace = max(1.0, (found - latest).total_seconds())
            ahead = int((now - latest).total_seconds() // pace) - 10
            if ahead > 200:
                count += ahead
                found = schedule.after(latest + timedelta(seconds=ahead * pace))
    return latest, count


def is_too_late(cron: Object, due: datetime, now: datetime) -> bool:
    """Has the starting deadline passed?"""
    deadline = spec_of(cron).get("startingDeadlineSeconds")
    return deadline is not None and due + timedelta(seconds=deadline) < now


def job_for(cron: Object, due: datetime) -> Object:
    """The job of one due time; its name says which, so that it cannot be made twice."""
    template = spec_of(cron).get("jobTemplate") or {}
    local = due.astimezone(zone_of(spec_of(cron)["timeZone"])) if spec_of(cron).get("timeZone") else due
    stamp = local.isoformat(timespec="seconds").replace("+00:00", "Z")
    metadata: Object = {
        "name": f"{name_of(cron)}-{int(due.timestamp()) // 60}",
        "namespace": namespace_of(cron),
        "labels": dict(labels_of(template)),
        "annotations": {**annotations_of(template), SCHEDULED_AT: stamp},
        "creationTimestamp": None,
        "ownerReferences": [owners.owner_reference_to(cron, api_version="batch/v1", kind="CronJob")],
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template.get("spec") or {}}
