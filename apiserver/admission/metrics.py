"""How long admission takes: each plugin, each webhook, and both steps as a whole."""

from __future__ import annotations

from kubarium.component_base.metrics import Counts, Timings

ADMIT, VALIDATE = "admit", "validate"
_BUCKETS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5)
_OF_ONE = ("name", "type", "operation", "rejected")

STEPS = Timings(
    "apiserver_admission_step_admission_duration_seconds",
    "Admission sub-step latency histogram in seconds, broken out for each operation and API resource and step type "
    "(validate or admit).",
    ("type", "operation", "rejected"),
    _BUCKETS,
)
PLUGINS = Timings(
    "apiserver_admission_controller_admission_duration_seconds",
    "Admission controller latency histogram in seconds, identified by name and broken out for each operation and API "
    "resource and type (validate or admit).",
    _OF_ONE,
    _BUCKETS,
)
WEBHOOKS = Timings(
    "apiserver_admission_webhook_admission_duration_seconds",
    "Admission webhook latency histogram in seconds, identified by name and broken out for each operation and API "
    "resource and type (validate or admit).",
    _OF_ONE,
    (*_BUCKETS, 10, 25),
)
FAILED_OPEN = Counts(
    "apiserver_admission_webhook_fail_open_count",
    "Admission webhook fail open count, identified by name and broken out for each admission type (validating or "
    "mutating).",
    ("name", "type"),
)
