"""Flags that say what is logged of requests, and where to."""

from __future__ import annotations

from dataclasses import dataclass

from kubarium.component_base.options import Duration, flag

GROUP = "Auditing flags"
BATCH, BLOCKING, STRICT = MODES = ("batch", "blocking", "blocking-strict")
_MODE = "Batches go by themselves; blocking, a request waits until its event is kept; strict, it fails if that fails."
_BUFFER = "How many events may wait to be sent; only in batch mode."
_SIZE = "The most events of a batch; only in batch mode."
_WAIT = "How long a batch waits that is not full; only in batch mode."
_LIMITED = "Limit the batches that are sent in a second; only in batch mode."
_RATE = "The most batches sent in a second on average; only in batch mode."
_BURST = "The most batches sent at once if few were sent before; only in batch mode."
_TRUNCATE = "Cut events and part batches that are too large."
_LARGEST_BATCH = "The largest batch in bytes; a larger one is parted."
_LARGEST_EVENT = "The largest event in bytes; a larger one loses its objects, or is dropped."
_VERSION = "The version in which events are written."


@dataclass(frozen=True)
class AuditFlags:
    """Names and defaults are upstream's."""

    audit_policy_file: str = flag("", "File with the audit policy.", group=GROUP)

    audit_log_path: str = flag(
        "", "File to which audit events are written; - is standard output.", group=GROUP
    )
    audit_log_maxage: int = flag(0, "How many days old files of the audit log are kept.", group=GROUP)
    audit_log_maxbackup: int = flag(0, "How many old files of the audit log are kept.", group=GROUP)
    audit_log_maxsize: int = flag(
        0, "The size in megabytes at which the file of the audit log is changed.", group=GROUP
    )
    audit_log_compress: bool = flag(False, "Compress old files of the audit log with gzip.", group=GROUP)
    audit_log_format: str = flag("json", "Accepted if json.", group=GROUP, choices=("json",))
    audit_log_version: str = flag("audit.k8s.io/v1", _VERSION, group=GROUP, choices=("audit.k8s.io/v1",))
    audit_log_mode: str = flag(BLOCKING, _MODE, group=GROUP, choices=MODES)
    audit_log_batch_buffer_size: int = flag(10000, _BUFFER, group=GROUP)
    audit_log_batch_max_size: int = flag(1, _SIZE, group=GROUP)
    audit_log_batch_max_wait: Duration = flag(Duration(0.0), _WAIT, group=GROUP)
    audit_log_batch_throttle_enable: bool = flag(False, _LIMITED, group=GROUP)
    audit_log_batch_throttle_qps: float = flag(0.0, _RATE, group=GROUP)
    audit_log_batch_throttle_burst: int = flag(0, _BURST, group=GROUP)
    audit_log_truncate_enabled: bool = flag(False, _TRUNCATE, group=GROUP)
    audit_log_truncate_max_batch_size: int = flag(10 << 20, _LARGEST_BATCH, group=GROUP)
    audit_log_truncate_max_event_size: int = flag(100 << 10, _LARGEST_EVENT, group=GROUP)

    audit_webhook_config_file: str = flag(
        "", "kubeconfig of a remote service that takes audit events.", group=GROUP
    )
    audit_webhook_initial_backoff: Duration = flag(
        Duration(10.0), "How long to wait after the first failure.", group=GROUP
    )
    audit_webhook_version: str = flag("audit.k8s.io/v1", _VERSION, group=GROUP, choices=("audit.k8s.io/v1",))
    audit_webhook_mode: str = flag(BATCH, _MODE, group=GROUP, choices=MODES)
    audit_webhook_batch_buffer_size: int = flag(10000, _BUFFER, group=GROUP)
    audit_webhook_batch_max_size: int = flag(400, _SIZE, group=GROUP)
    audit_webhook_batch_max_wait: Duration = flag(Duration(30.0), _WAIT, group=GROUP)
    audit_webhook_batch_throttle_enable: bool = flag(True, _LIMITED, group=GROUP)
    audit_webhook_batch_throttle_qps: float = flag(10.0, _RATE, group=GROUP)
    audit_webhook_batch_throttle_burst: int = flag(15, _BURST, group=GROUP)
    audit_webhook_truncate_enabled: bool = flag(False, _TRUNCATE, group=GROUP)
    audit_webhook_truncate_max_batch_size: int = flag(10 << 20, _LARGEST_BATCH, group=GROUP)
    audit_webhook_truncate_max_event_size: int = flag(100 << 10, _LARGEST_EVENT, group=GROUP)
