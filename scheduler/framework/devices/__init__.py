"""Devices that pods claim: which there are, which are taken, and which of them a claim gets on a node.

    ResourceSlices ─▶ inventory: pools of devices, and from which nodes they can be reached
    ResourceClaims ─▶ ledger: what is allocated, to be written or written already
                          │
    asks (what the claims of a pod want) ─▶ search ─▶ picks ─▶ allocation (as it stands in a claim's status)

`manager.py` holds these together for the plugin. Nothing here talks to the API server.
"""
