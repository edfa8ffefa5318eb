"""`metrics.k8s.io`: how much CPU and memory nodes and pods use, for `kubectl top` and autoscalers.

    each kubelet's /metrics/resource ── scrape.py ──▶ samples.py  the last two of each
                                                         │
    API server ── APIService, front proxy ──▶ server.py ─┘  NodeMetrics, PodMetrics

Source: https://github.com/kubernetes-sigs/metrics-server (behaviour), https://github.com/kubernetes/metrics (API).
"""
