"""From flags to an audit log."""

from __future__ import annotations

from typing import Any

from apiserver import configuration
from apiserver.audit_flags import BATCH, STRICT
from apiserver.configuration import ConfigurationError
from apiserver.filters.audit import AuditLog
from apiserver.filters.audit_backends import Backend, Batches, Batching, LogFile, Sink, Truncating, Webhook
from apiserver.filters.audit_file import RotatingFile
from apiserver.filters.audit_policy import load_policy
from apiserver.options import Options
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)


def assemble(options: Options, clock: Clock) -> AuditLog | None:
    """The audit log, if one is wanted. Raises ConfigurationError."""
    wanted = [kind for kind in ("log", "webhook") if _is_wanted(options, kind)]
    if not options.audit_policy_file:
        for kind in wanted:
            log.info("no audit policy file provided, no events will be recorded for %s backend", kind)
        return None
    policy = load_policy(options.audit_policy_file)
    if not wanted:
        return None
    backends = {kind: _backend(options, kind, clock) for kind in wanted}
    strict = [backend for kind, backend in backends.items() if _flag(options, kind, "mode") == STRICT]
    return AuditLog(policy, [*backends.values()], strict)


def _flag(options: Options, kind: str, name: str) -> Any:
    return getattr(options, f"audit_{kind}_{name}")


def _is_wanted(options: Options, kind: str) -> bool:
    return bool(options.audit_log_path if kind == "log" else options.audit_webhook_config_file)


def _innermost(options: Options, kind: str, clock: Clock) -> Backend:
    if kind == "webhook":
        client, path = configuration.remote(options.audit_webhook_config_file)
        return Webhook(client, path, options.audit_webhook_initial_backoff, clock)
    return LogFile(_file(options, clock))


def _file(options: Options, clock: Clock) -> Sink:
    if options.audit_log_path == "-":
        return open(1, "wb", buffering=0, closefd=False)
    return RotatingFile(
        options.audit_log_path,
        clock,
        megabytes=options.audit_log_maxsize,
        backups=options.audit_log_maxbackup,
        days=options.audit_log_maxage,
        compress=options.audit_log_compress,
    )


def _backend(options: Options, kind: str, clock: Clock) -> Backend:
    batches = _batches(options, kind) if _flag(options, kind, "mode") == BATCH else None
    limits = _limits(options, kind) if _flag(options, kind, "truncate_enabled") else None
    backend = _innermost(options, kind, clock)
    if batches is not None:
        backend = Batching(backend, batches, clock)
    return Truncating(backend, *limits) if limits is not None else backend


def _limits(options: Options, kind: str) -> tuple[int, int]:
    event: int = _flag(options, kind, "truncate_max_event_size")
    batch: int = _flag(options, kind, "truncate_max_batch_size")
    if event <= 0:
        text = f"invalid audit truncate {kind} max event size {event}, must be a positive number"
        raise ConfigurationError(text)
    if batch < event:
        text = f"invalid audit truncate {kind} max batch size {batch}, must be greater than max event size"
        raise ConfigurationError(f"{text} ({event})")
    return event, batch


def _batches(options: Options, kind: str) -> Batches:
    def positive(name: str, words: str) -> Any:
        value = _flag(options, kind, f"batch_{name}")
        if value <= 0:
            raise ConfigurationError(f"invalid audit batch {kind} {words} {value}, must be a positive number")
        return value

    limited = _flag(options, kind, "batch_throttle_enable")
    return Batches(
        positive("buffer_size", "buffer size"),
        positive("max_size", "max batch size"),
        _flag(options, kind, "batch_max_wait"),
        positive("throttle_qps", "throttle QPS") if limited else 0.0,
        positive("throttle_burst", "throttle burst") if limited else 0,
    )
