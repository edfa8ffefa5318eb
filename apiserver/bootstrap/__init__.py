"""What a cluster has before anyone asks for anything, made by the API server itself after it starts.

    defaults.yaml   namespaces, priority classes, flow schemas and levels      defaults.py   made if absent
    roles.yaml      roles and bindings, one line per rule                      roles.py      made, or completed
    kubernetes_service.py   the Service `kubernetes` and, behind it, the API servers that are alive
    start.py        all of it, in order, until it has worked

Everything is written through the API, over `client/loopback.py`.
"""
