"""How long admission takes: each plugin, each webhook, and both steps as a whole."""

from __future__ import annotations

from prometheus_client import Histogram

from kubarium.component_base.metrics import Counts, Timings

DEFAULT = tuple(bound for bound in Histogram.DEFAULT_BUCKETS if bound not in (0.075, 0.75, 7.5, float("inf")))
"""The buckets of Go's client."""

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
WEBHOOK_REQUESTS = Counts(
    "apiserver_admission_webhook_request_total",
    "Admission webhook request total, identified by name and broken out for each admission type (validating or "
    "mutating) and operation. Additional labels specify whether the request was rejected or not and an HTTP status "
    "code. Codes greater than 600 are truncated to 600, to keep the metrics cardinality bounded.",
    ("name", "type", "operation", "code", "rejected"),
)
WEBHOOK_REFUSALS = Counts(
    "apiserver_admission_webhook_rejection_count",
    "Admission webhook rejection count, identified by name and broken out for each admission type (validating or "
    "admit) and operation. Additional labels specify an error type (calling_webhook_error or apiserver_internal_error "
    "if an error occurred; no_error otherwise) and optionally a non-zero rejection code if the webhook rejects the "
    "request with an HTTP status code (honored by the apiserver when the code is greater or equal to 400). Codes "
    "greater than 600 are truncated to 600, to keep the metrics cardinality bounded.",
    ("name", "type", "operation", "error_type", "rejection_code"),
)
COMPILED = Timings(
    "apiserver_cel_compilation_duration_seconds", "CEL compilation time in seconds.", (), DEFAULT
)
EVALUATED = Timings(
    "apiserver_cel_evaluation_duration_seconds", "CEL evaluation time in seconds.", (), DEFAULT
)
_OF_CHECK = ("policy", "policy_binding", "error_type", "enforcement_action")
CHECKS = Counts(
    "apiserver_validating_admission_policy_check_total",
    "Validation admission policy check total, labeled by policy and further identified by binding and enforcement "
    "action taken.",
    _OF_CHECK,
)
CHECK_SECONDS = Timings(
    "apiserver_validating_admission_policy_check_duration_seconds",
    "Validation admission latency for individual validation expressions in seconds, labeled by policy and further "
    "including binding and enforcement action taken.",
    _OF_CHECK,
    (5e-07, 0.001, 0.01, 0.1, 1.0),
)
for _name, _text in (
    ("mismatch", "Number of times declarative validation results differed from handwritten validation results for "
                 "core types."),
    ("panic", "Number of times declarative validation has panicked during validation."),
):  # fmt: skip
    # There is one validation here, so that these stay what they ought to be.
    Counts(f"apiserver_validation_declarative_validation_{_name}_total", _text, ()).add(amount=0)
FAILED_OPEN = Counts(
    "apiserver_admission_webhook_fail_open_count",
    "Admission webhook fail open count, identified by name and broken out for each admission type (validating or "
    "mutating).",
    ("name", "type"),
)
