"""What the kubelet measures of itself, by upstream's names: one row each; whoever sees it happen counts it.

Source: https://kubernetes.io/docs/reference/instrumentation/metrics/
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import prometheus_client

from kubarium.api.core.pod import containers as pod_containers
from kubarium.apimachinery.object import Object
from kubarium.component_base import stability
from kubarium.component_base.metrics import Counts, Labels, Latest, Readings, Timings

DEFAULT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # Go's buckets; Python's are others
START = (
    0.5,
    *range(1, 7),
    8,
    10,
    20,
    30,
    45,
    *range(60, 301, 60),
    360,
    480,
    600,
    900,
    1200,
    1800,
    2700,
    3600,
)
PULL = (1, 5, 10, 20, 30, 60, 180, 300, 600, 900, 1200, 1800, 2700, 3600)
STORAGE = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 25, 50, 120, 300, 600)


def _counts(name: str, text: str, *labels: str) -> Counts:
    counts = Counts(f"kubelet_{name}", text, labels)
    if not labels:
        counts.add(amount=0)  # shown from the beginning
    return counts


def _timings(name: str, text: str, *labels: str, buckets: Sequence[float] = DEFAULT) -> Timings:
    return Timings(f"kubelet_{name}", text, labels, buckets)


def _readings(name: str, text: str, *labels: str) -> Readings:
    return Readings(f"kubelet_{name}", text, labels)


# -- pods on their way -------------------------------------------------------------------------------------------------

WORKER_SECONDS = _timings(
    "pod_worker_duration_seconds",
    "Duration in seconds to sync a single pod. Broken down by operation type: create, update, or sync",
    "operation_type",
)
WORKER_START_SECONDS = _timings(
    "pod_worker_start_duration_seconds", "Duration in seconds from kubelet seeing a pod to starting a worker."
)
POD_START_SECONDS = _timings(
    "pod_start_duration_seconds",
    "Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run",
    buckets=START,
)
POD_START_SLI_SECONDS = _timings(
    "pod_start_sli_duration_seconds",
    "Duration in seconds to start a pod, excluding time to pull images and run init containers, measured from pod "
    "creation timestamp to when all its containers are reported as started and observed via watch",
    buckets=START,
)
POD_START_TOTAL_SECONDS = _timings(
    "pod_start_total_duration_seconds",
    "Duration in seconds to start a pod since creation, including time to pull images and run init containers, "
    "measured from pod creation timestamp to when all its containers are reported as started and observed via watch",
    buckets=START,
)
STATUS_SECONDS = _timings(
    "pod_status_sync_duration_seconds",
    "Duration in seconds to sync a pod status update. Measures time from detection of a change to pod status until "
    "the API is successfully updated for that pod, even if multiple intevening changes to pod status occur.",
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 20, 30, 45, 60),
)
CONTAINERS_PER_POD = _timings(
    "containers_per_pod_count", "The number of containers per pod.", buckets=(1, 2, 4, 8, 16)
)
REFUSED = _counts(
    "admission_rejections_total", "Cumulative number pod admission rejections by the Kubelet.", "reason"
)
STARTED_PODS = _counts("started_pods_total", "Cumulative number of pods started")
FAILED_PODS = _counts("started_pods_errors_total", "Cumulative number of errors when starting pods")
SANDBOX_SECONDS = _timings(
    "run_podsandbox_duration_seconds",
    "Duration in seconds of the run_podsandbox operations. Broken down by RuntimeClass.Handler.",
    "runtime_handler",
)
FAILED_SANDBOXES = _counts(
    "run_podsandbox_errors_total",
    "Cumulative number of the run_podsandbox operation errors by RuntimeClass.Handler.",
    "runtime_handler",
)
STARTED_CONTAINERS = _counts(
    "started_containers_total", "Cumulative number of containers started", "container_type"
)
FAILED_CONTAINERS = _counts(
    "started_containers_errors_total",
    "Cumulative number of errors when starting containers",
    "container_type",
    "code",
)
SLEEPS_CUT = _counts(
    "sleep_action_terminated_early_total",
    "The number of times lifecycle sleep handler got terminated before it finishes",
)
PULL_SECONDS = _timings(
    "image_pull_duration_seconds",
    "Duration in seconds to pull an image.",
    "image_size_in_bytes",
    buckets=PULL,
)
REMOVED_IMAGES = _counts(
    "image_garbage_collected_total",
    "Total number of images garbage collected by the kubelet, whether through disk usage or image age.",
    "reason",
)

# -- the node's care ---------------------------------------------------------------------------------------------------

RELIST_SECONDS = _timings("pleg_relist_duration_seconds", "Duration in seconds for relisting pods in PLEG.")
RELIST_INTERVAL = _timings("pleg_relist_interval_seconds", "Interval in seconds between relisting in PLEG.")
LAST_RELIST = Latest(
    "kubelet_pleg_last_seen_seconds", "Timestamp in seconds when PLEG was last seen active.", ()
)
_counts("pleg_discard_events", "The number of discard events in PLEG.")  # none is ever discarded here
CGROUP_SECONDS = _timings(
    "cgroup_manager_duration_seconds",
    "Duration in seconds for cgroup manager operations. Broken down by method.",
    "operation_type",
)
CGROUP_VERSION = Latest("kubelet_cgroup_version", "cgroup version on the hosts.", ())
EVICTIONS = _counts("evictions", "Cumulative number of pod evictions by eviction signal", "eviction_signal")
PREEMPTIONS = _counts(
    "preemptions", "Cumulative number of pod preemptions by preemption resource", "preemption_signal"
)
SHUTDOWN_BEGAN = Latest(
    "kubelet_graceful_shutdown_start_time_seconds",
    "Last graceful shutdown start time since unix epoch in seconds",
    (),
)
SHUTDOWN_ENDED = Latest(
    "kubelet_graceful_shutdown_end_time_seconds",
    "Last graceful shutdown end time since unix epoch in seconds",
    (),
)
CLIENT_TTL = _readings(
    "certificate_manager_client_ttl_seconds",
    "Gauge of the TTL (time-to-live) of the Kubelet's client certificate. The value is in seconds until certificate "
    "expiry (negative if already expired). If client certificate is invalid or unused, the value will be +INF.",
)
CLIENT_TTL.read = lambda: [((), math.inf)]
SERVING_TTL = _readings(
    "certificate_manager_server_ttl_seconds",
    "Gauge of the shortest TTL (time-to-live) of the Kubelet's serving certificate. The value is in seconds until "
    "certificate expiry (negative if already expired). If serving certificate is invalid or unused, the value will "
    "be +INF.",
)
CLIENT_NOT_RENEWED = _counts(
    "certificate_manager_client_expiration_renew_errors", "Counter of certificate renewal errors."
)
SERVING_NOT_RENEWED = _counts("server_expiration_renew_errors", "Counter of certificate renewal errors.")
DEVICE_PLUGINS = _counts(
    "device_plugin_registration_total",
    "Cumulative number of device plugin registrations. Broken down by resource name.",
    "resource_name",
)
DEVICE_SECONDS = _timings(
    "device_plugin_alloc_duration_seconds",
    "Duration in seconds to serve a device plugin Allocation request. Broken down by resource name.",
    "resource_name",
)
PROVIDER_SECONDS = _timings(
    "credential_provider_plugin_duration",
    "Duration of execution in seconds for credential provider plugin",
    "plugin_name",
)
PROVIDER_ERRORS = _counts(
    "credential_provider_plugin_errors_total",
    "Number of errors from credential provider plugin",
    "plugin_name",
)

# -- resizes -----------------------------------------------------------------------------------------------------------

INFEASIBLE_RESIZES = _counts(
    "pod_infeasible_resizes_total", "Number of infeasible resizes for pods.", "reason_detail"
)
PENDING_RESIZES = _readings("pod_pending_resizes", "Number of pending resizes for pods.", "reason")
IN_PROGRESS_RESIZES = _readings("pod_in_progress_resizes", "Number of in-progress resizes for pods.")
RESIZE_MILLISECONDS = _timings(
    "pod_resize_duration_milliseconds",
    "Duration in milliseconds to actuate a pod resize",
    "success",
    buckets=[10.0 * 2**power for power in range(15)],
)

# -- volumes -----------------------------------------------------------------------------------------------------------

STORAGE_SECONDS = Timings(
    "storage_operation_duration_seconds",
    "Storage operation duration",
    ("volume_plugin", "operation_name", "status", "migrated"),
    STORAGE,
)
TOTAL_VOLUMES = Readings(
    "volume_manager_total_volumes", "Number of volumes in Volume Manager", ("plugin_name", "state")
)
MEASURE_SECONDS = _timings(
    "volume_metric_collection_duration_seconds",
    "Duration in seconds to calculate volume stats",
    "metric_source",
)
_CLAIM = ("namespace", "persistentvolumeclaim")
VOLUME_STATS = {
    "capacityBytes": _readings("volume_stats_capacity_bytes", "Capacity in bytes of the volume", *_CLAIM),
    "availableBytes": _readings(
        "volume_stats_available_bytes", "Number of available bytes in the volume", *_CLAIM
    ),
    "usedBytes": _readings("volume_stats_used_bytes", "Number of used bytes in the volume", *_CLAIM),
    "inodes": _readings("volume_stats_inodes", "Maximum number of inodes in the volume", *_CLAIM),
    "inodesFree": _readings("volume_stats_inodes_free", "Number of free inodes in the volume", *_CLAIM),
    "inodesUsed": _readings("volume_stats_inodes_used", "Number of used inodes in the volume", *_CLAIM),
}

# -- counted when somebody asks ----------------------------------------------------------------------------------------

NODE_NAME = _readings("node_name", "The node's name. The count is always 1.", "node")
RUNNING_PODS = _readings("running_pods", "Number of pods that have a running pod sandbox")
RUNNING_CONTAINERS = _readings(
    "running_containers", "Number of containers currently running", "container_state"
)
DESIRED_PODS = _readings(
    "desired_pods",
    "The number of pods the kubelet is being instructed to run. static is true if the pod is not from the apiserver.",
    "static",
)
ACTIVE_PODS = _readings(
    "active_pods",
    "The number of pods the kubelet considers active and which are being considered when admitting new pods. static "
    "is true if the pod is not from the apiserver.",
    "static",
)
MIRROR_PODS = _readings(
    "mirror_pods", "The number of mirror pods the kubelet will try to create (one per admitted static pod)"
)
WORKING_PODS = _readings(
    "working_pods",
    "Number of pods the kubelet is actually running, broken down by lifecycle phase, whether the pod is desired, "
    "orphaned, or runtime only (also orphaned), and whether the pod is static. An orphaned pod has been removed from "
    "local configuration or force deleted in the API and consumes resources that are not otherwise visible.",
    "lifecycle",
    "config",
    "static",
)
STRANGERS = _counts(
    "orphaned_runtime_pods_total",
    "Number of pods that have been detected in the container runtime without being already known to the pod worker. "
    "This typically indicates the kubelet was restarted while a pod was force deleted in the API or in the local "
    "configuration, which is unusual.",
)
EPHEMERAL_CONTAINERS = _readings(
    "managed_ephemeral_containers",
    "Current number of ephemeral containers in pods managed by this kubelet.",
)

# -- the server and the probes -----------------------------------------------------------------------------------------

_REQUEST = ("method", "path", "server_type", "long_running")
REQUESTS = _counts(
    "http_requests_total", "Number of the http requests received since the server started", *_REQUEST
)
REQUEST_SECONDS = _timings(
    "http_requests_duration_seconds", "Duration in seconds to serve http requests", *_REQUEST
)
REQUESTS_NOW = Latest("kubelet_http_inflight_requests", "Number of the inflight http requests", _REQUEST)

PROBES = prometheus_client.CollectorRegistry()
PROBE_TOTAL = prometheus_client.Counter(
    "prober_probe",
    "Cumulative number of a liveness, readiness or startup probe for a container by result.",
    ["probe_type", "result", "container", "pod", "namespace", "pod_uid"],
    registry=PROBES,
)
PROBE_SECONDS = prometheus_client.Histogram(
    "prober_probe_duration_seconds",
    "Duration in seconds for a probe response.",
    ["probe_type", "container", "pod", "namespace"],
    buckets=DEFAULT,
    registry=PROBES,
)


def probes_page() -> bytes:
    """`/metrics/probes`."""
    return stability.exposition(PROBES)


SIZES = {  # MiB up to which an image belongs to the class
    10: "0-10MB",
    100: "10MB-100MB",
    500: "100MB-500MB",
    1024: "500MB-1GB",
    5 * 1024: "1GB-5GB",
    10 * 1024: "5GB-10GB",
    20 * 1024: "10GB-20GB",
    30 * 1024: "20GB-30GB",
    40 * 1024: "30GB-40GB",
    60 * 1024: "40GB-60GB",
    100 * 1024: "60GB-100GB",
}


def size_class(size: int) -> str:
    """Pulls are told apart by how large the image is."""
    if not size:
        return "N/A"
    return next((text for most, text in SIZES.items() if size < most * 1024 * 1024), "GT100GB")


def kind_of(pod: Object, container: Object) -> str:
    """Containers are told apart by their place in the pod."""
    if pod_containers.is_ephemeral(pod, container):
        return "ephemeral_container"
    return "init_container" if pod_containers.is_init(pod, container) else "container"


def by_static(flags: Iterable[bool]) -> list[tuple[Labels, float]]:
    """How many pods come from the API server, and how many from elsewhere."""
    found = Counter(flags)
    return [(("",), float(found[False])), (("true",), float(found[True]))]


@dataclass(frozen=True, slots=True)
class Working:
    """How a pod looks to its worker: what is done with it, who wants it still, and where it comes from."""

    lifecycle: str  # sync, terminating, terminated
    config: str  # desired, orphan, runtime_only
    static: str  # empty, true, unknown


_PLACES = (
    ("desired", ""),
    ("desired", "true"),
    ("orphan", ""),
    ("orphan", "true"),
    ("runtime_only", "unknown"),
)
WORKING = [
    Working(lifecycle, *place) for lifecycle in ("sync", "terminating", "terminated") for place in _PLACES
]


def watch(
    *,
    desired: Callable[[], Sequence[Object]],
    is_static: Callable[[Object], bool],
    working: Callable[[], Iterable[Working]],
    running: Callable[[], int],
    containers: Callable[[], Mapping[str, int]],
    claims: Callable[[], Iterable[tuple[Object, Object]]],
    node: str,
) -> None:
    """Count these from now on."""

    def work() -> list[tuple[Labels, float]]:
        found = Counter(working())
        return [((one.lifecycle, one.config, one.static), float(found[one])) for one in WORKING]

    NODE_NAME.read = lambda: [((node,), 1.0)]
    DESIRED_PODS.read = lambda: by_static(is_static(pod) for pod in desired())
    ACTIVE_PODS.read = lambda: by_static(
        one.static == "true" for one in working() if one.config == "desired" and one.lifecycle != "terminated"
    )
    MIRROR_PODS.read = lambda: [((), float(sum(is_static(pod) for pod in desired())))]
    WORKING_PODS.read = work
    EPHEMERAL_CONTAINERS.read = lambda: [
        ((), float(sum(len(pod_containers.ephemeral_containers_of(pod)) for pod in desired())))
    ]
    RUNNING_PODS.read = lambda: [((), float(running()))]
    RUNNING_CONTAINERS.read = lambda: [((state,), float(count)) for state, count in containers().items()]

    def usage(key: str) -> list[tuple[Labels, float]]:
        return [
            ((claim["namespace"], claim["name"]), float(one[key])) for claim, one in claims() if key in one
        ]

    for key, readings in VOLUME_STATS.items():
        readings.read = partial(usage, key)
