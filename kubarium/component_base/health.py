"""`/healthz`, `/livez` and `/readyz` built from named checks, `/metrics`, and `/metrics/slis` for the checks alone.

The texts are upstream's: `ok` alone, or with `?verbose` one `[+]name ok` line per check. A single check is
served below the page (`/readyz/etcd`), and `?exclude=name` leaves one out.
Source: https://kubernetes.io/docs/reference/using-api/health-checks/ and …/reference/instrumentation/slis/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

import prometheus_client

from kubarium.component_base import logging, stability
from kubarium.component_base.metrics import Counts, Readings
from kubarium.component_base.serving import Page, Scope

log = logging.get(__name__)

Check = Callable[[], Awaitable[None]]
"""Returns when all is well; raises an exception whose text says what is not."""


_SLIS = (
    prometheus_client.CollectorRegistry()
)  # read every second or so, which the other metrics are too many for
_CHECKS = Counts(
    "kubernetes_healthchecks_total",
    "This metric records the results of all healthcheck.",
    ("name", "status", "type"),
    _SLIS,
)
_results: dict[tuple[str, str], float] = {}
Readings(
    "kubernetes_healthcheck",
    "This metric records the result of a single healthcheck.",
    ("name", "type"),
    lambda: [*_results.items()],
    _SLIS,
)


def _note(name: str, page: str, well: bool) -> None:
    _CHECKS.add((name, "success" if well else "error", page))
    _results[name, page] = float(well)


async def always_well() -> None:
    """The check called `ping`."""


class Health:
    """The checks of one process; a part adds its own when it is built."""

    def __init__(self) -> None:
        self._checks: dict[str, dict[str, Check]] = {
            page: {"ping": always_well} for page in ("healthz", "livez", "readyz")
        }
        self._measuring: list[Check] = []

    def measure(self, work: Check) -> None:
        """Do something before the metrics are told."""
        self._measuring.append(work)

    def add(self, name: str, check: Check, *pages: str) -> None:
        """Let a check count on these pages; on all three when none is named."""
        for page in pages or tuple(self._checks):
            self._checks[page][name] = check

    async def answer(self, page: str, scope: Scope) -> tuple[int, str, bytes]:
        """Run the checks of one page."""
        query = parse_qs(scope.get("query_string", b"").decode(), keep_blank_values=True)
        rest = scope["path"].rstrip("/").partition(f"/{page}/")[2]
        checks = self._checks[page]
        if rest:
            if rest not in checks:
                return 404, _PLAIN, b"404 page not found\n"
            checks = {rest: checks[rest]}
        excluded = set() if rest else set(query.get("exclude", ()))
        lines, problem = [], ""
        for name, check in checks.items():
            if name in excluded:
                excluded.discard(name)
                lines.append(f"[+]{name} excluded: ok")
                continue
            try:
                await check()
                _note(name, page, True)
                lines.append(f"[+]{name} ok")
            except (
                Exception
            ) as error:  # the edge of this loop: a check may fail in any way, that is what it is for
                log.debug("%s check of %s failed", name, page, exc_info=True)
                _note(name, page, False)
                lines.append(f"[-]{name} failed: reason withheld")
                problem = f"internal server error: {error}\n"
        if rest:  # who may ask for one check is told why it fails
            return (500, _PLAIN, problem.encode()) if problem else (200, _PLAIN, b"ok")
        if excluded:
            names = ",".join(f'"{name}"' for name in sorted(excluded))
            lines.append(f"warn: some health checks cannot be excluded: no matches for {names}")
        if not problem and "verbose" not in query:
            return 200, _PLAIN, b"ok"
        text = "\n".join([*lines, f"{page} check {'failed' if problem else 'passed'}", ""])
        return 500 if problem else 200, _PLAIN, text.encode()

    def pages(self) -> dict[str, Page]:
        """The table for `serving.pages`: health and metrics."""

        def page_of(name: str) -> Page:
            async def page(scope: Scope) -> tuple[int, str, bytes]:
                return await self.answer(name, scope)

            return page

        table = {f"/{name}": page_of(name) for name in self._checks}
        table |= {f"/{name}/": page_of(name) for name in self._checks}
        return {**table, "/metrics": self._metrics, "/metrics/slis": slis_page}

    async def _metrics(self, scope: Scope) -> tuple[int, str, bytes]:
        for work in self._measuring:
            await work()
        return await metrics_page(scope)


async def metrics_page(scope: Scope) -> tuple[int, str, bytes]:
    """Everything that this process measures, in Prometheus' text form."""
    return 200, _EXPOSITION, stability.exposition()


async def slis_page(scope: Scope) -> tuple[int, str, bytes]:
    """What the checks said, in Prometheus' text form."""
    return 200, _EXPOSITION, stability.exposition(_SLIS)


_PLAIN = "text/plain; charset=utf-8"
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
