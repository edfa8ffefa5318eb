"""One loop: take a pod, choose a node, tell the API server.

In: pods without a node, nodes, and what else decides where a pod may run (informers). Out: bindings, events, the
PodScheduled condition, and the deletion of pods that must make room.

    informers ─▶ event_handlers ─┬─▶ cache ─▶ framework/nodes: nodes as columns
                                 └─▶ queue: active, backoff, unschedulable
                                        │ pop
                                        ▼
    schedule_one   PreFilter ─▶ Filter ─▶ (none left: PostFilter makes room)
                                   ▼
                               Score ─▶ one node ─▶ assume ─▶ Reserve ─▶ Permit     one pod at a time
                   - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - -
                               wait for Permit ─▶ PreBind ─▶ Bind ─▶ PostBind       many at a time

A plugin judges all nodes at once: it gets columns (numpy arrays, one place per node) and answers with masks and scores.
Read `plugins/node_name.py`, `framework/interface.py`, `schedule_one.py`, `queue.py`, in that order.
"""
