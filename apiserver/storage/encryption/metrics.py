"""What encryption measures, under upstream's names."""

from __future__ import annotations

import hashlib
import time
from datetime import datetime

from kubarium.component_base.metrics import Counts, Latest, Timings
from kubarium.component_base.plugin_socket import PluginError, go_name

FROM_STORAGE, TO_STORAGE = "from_storage", "to_storage"


def _doubling(first: float, count: int) -> list[float]:
    return [first * 2**power for power in range(count)]


DURATIONS = Timings(
    "apiserver_storage_transformation_duration_seconds",
    "Latencies in seconds of value transformation operations.",
    ("resource", "transformation_type", "transformer_prefix"),
    _doubling(5e-6, 25),
)
OPERATIONS = Counts(
    "apiserver_storage_transformation_operations_total",
    "Total number of transformations.",
    ("resource", "status", "transformation_type", "transformer_prefix"),
)
MISSES = Counts(
    "apiserver_storage_envelope_transformation_cache_misses_total",
    "Total number of cache misses while accessing key decryption key(KEK).",
    (),
)
KMS_DURATIONS = Timings(
    "apiserver_envelope_encryption_kms_operations_latency_seconds",
    "KMS operation duration with gRPC error code status total.",
    ("grpc_status_code", "method_name", "provider_name"),
    _doubling(0.0001, 20),
)
INVALID_KEY_IDS = Counts(
    "apiserver_envelope_encryption_invalid_key_id_from_status_total",
    "Number of times an invalid keyID is returned by the Status RPC call split by error.",
    ("error", "provider_name"),
)
KEY_IDS = Counts(
    "apiserver_envelope_encryption_key_id_hash_total",
    "Number of times a keyID is used split by transformation type, provider, and apiserver identity.",
    ("apiserver_id_hash", "key_id_hash", "provider_name", "transformation_type"),
)
STATUS_KEY_IDS = Latest(
    "apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds",
    "The last time in seconds when a keyID was returned by the Status RPC call.",
    ("apiserver_id_hash", "key_id_hash", "provider_name"),
)


def hashed(text: str) -> str:
    """Ids are not shown as they are."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" if text else ""


def note(resource: str, kind: str, prefix: str, began: float, error: Exception | None = None) -> None:
    """A value was sealed or opened, or could not be."""
    OPERATIONS.add((resource, status_of(error), kind, prefix))
    if error is None:
        DURATIONS.observe((resource, kind, prefix), time.perf_counter() - began)


def note_status(server: str, key_id: str, provider: str, now: datetime) -> None:
    """A KMS has said which key it uses."""
    STATUS_KEY_IDS.set((hashed(server), hashed(key_id), provider), now.timestamp())


def status_of(error: BaseException | None) -> str:
    """gRPC's word for how it went."""
    if error is None:
        return "OK"
    cause = error if isinstance(error, PluginError) else error.__cause__
    return go_name(cause.code) if isinstance(cause, PluginError) else "unknown-non-grpc"
