"""The grammar that every Kubernetes object obeys. Pure functions, no I/O.

An object is a plain dict, exactly as it is on the wire:

    {"apiVersion": "v1", "kind": "Pod",
     "metadata": {"name", "namespace", "uid", "resourceVersion", "labels", ...},
     "spec":   what is wanted,
     "status": what is seen}

The life of a change:

    bytes ── codec ──▶ dict ── patch/ or apply/ ──▶ dict ── schema/ ──▶ valid dict, or an `errors.StatusError`
"""
