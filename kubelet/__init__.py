"""The agent of a node: makes the containers of one machine those of the pods bound to it.

      API server          manifests
          │ pods of this node │
          ▼                   ▼
      pods/source_api    pods/source_files
              └─────┬─────────┘
                pods/merge                     probes ─┐    ┌─ pleg ◀── runtime's events, list every second
                    ▼                                  ▼    ▼
               sync_loop  ◀──────────────────────── one queue of events
                    ▼
               pod_workers      one task per pod: syncing -> terminating -> terminated
                    ▼
                sync_pod        cgroup, volumes, then the runtime; report before and after
                    ▼
         runtime/plan (pure) -> runtime/manager -> runtime/interface -> cri | fake
                    │
                    ▼
         status/generate (pure) -> status/manager ──▶ API server (one PATCH of `status`)

Beside that flow: `node/` reports the machine and keeps its Lease, `server/` answers on port 10250, `plugins/` takes in
programs of others that serve volumes (`volumes/csi`) and devices (`devices/`) here.
What runs is never touched by a restart of the kubelet: everything it must know of containers stands in their labels.
"""
