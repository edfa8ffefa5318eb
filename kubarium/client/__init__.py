"""How every component talks to the API server: client-go in small.

    API server ── list, watch ──▶ Reflector ──▶ Store ◀── Lister ── "what is there?"
                                      │
                                      ▼
                                  Informer ── keys ──▶ WorkQueue ──▶ Controller.reconcile(key)
                                                                          │
    API server ◀── create, patch, delete ── ResourceClient ◀──────────────┘

Objects from a store are read-only. The queue carries keys, not objects: whoever reconciles reads the newest state.
"""
