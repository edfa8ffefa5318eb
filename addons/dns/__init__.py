"""Cluster DNS: names of Services and pods become addresses.

    Services, EndpointSlices ── informers ──▶ zone.py   what exists
                                                │
    a question ── server.py (UDP, TCP) ──▶ answer.py   name -> records, pure
                                                │
                                                ▼  not ours
                                            forward.py  ask the resolvers of the node

Which names there are: https://github.com/kubernetes/dns/blob/master/docs/specification.md
"""
