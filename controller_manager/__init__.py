"""Many small loops. Each watches, compares, and writes one step towards the wish.

    API server ── watch ──▶ informers (one per kind) ──▶ a controller's queue of keys
                                                              │
                                                              ▼
    API server ◀── create, patch, delete ───────────── reconcile(key)

Coming in: objects as the API server has them. Going out: other objects, statuses, events. The controllers are
strangers to each other; a Deployment's controller never calls a ReplicaSet's, it writes a ReplicaSet.

`catalog.py` is the table of all controllers; `controllers/workloads/replica_set.py` is the one to read first.
"""
