"""What the server measures, under CoreDNS' names, so that its dashboards work."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS = [0.00025 * 2**power for power in range(16)]

REQUESTS = Counter(
    "coredns_dns_requests", "Counter of DNS requests made per protocol and type.", ["proto", "type"]
)
RESPONSES = Counter("coredns_dns_responses", "Counter of response status codes.", ["rcode", "plugin"])
DURATION = Histogram(
    "coredns_dns_request_duration_seconds", "Time (in seconds) each request took.", buckets=_BUCKETS
)
CACHE_HITS = Counter("coredns_cache_hits", "The count of cache hits.", ["type"])
CACHE_MISSES = Counter("coredns_cache_misses", "The count of cache misses.")
CACHE_ENTRIES = Gauge("coredns_cache_entries", "The number of elements in the cache.")
FORWARD_DURATION = Histogram(
    "coredns_proxy_request_duration_seconds",
    "Time each request to a resolver took.",
    ["to"],
    buckets=_BUCKETS,
)
FORWARD_REJECTS = Counter(
    "coredns_forward_max_concurrent_rejects", "Queries rejected because too many were under way."
)
FORWARD_BROKEN = Counter("coredns_forward_healthcheck_broken", "Queries while no resolver answered.")
