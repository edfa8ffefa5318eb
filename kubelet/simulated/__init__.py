"""Many nodes in one process, for scale and for people without root: nothing runs, all objects look as if it did.

      API server ──▶ one watch of all bound pods        one watch of the simulated nodes
                             │                                      │
                             ▼                                      ▼
                   pods: a queue of uids                 nodes: register, renew Leases,
                             │                           keep every status true
                             ▼
        life (pure): what would the containers do now?
                             ▼
      status/generate (pure) -> status/manager ──▶ API server

What a pod's containers do is read from its annotations (`behaviour.py`). One kubelet per node would cost twenty tasks
and two watches each; here a node costs a Lease, and a pod its object, its state and one PATCH.
"""
