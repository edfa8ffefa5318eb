"""May they? Each authorizer allows, denies, or has no opinion; the first that has one decides.

    system:masters ─▶ allowed, always
    node.py      a kubelet and what its pods need       webhook.py      ask somebody else
    rbac.py      roles and bindings, as an index        escalation.py   who writes roles gives away only what he has

Answers come from memory, kept like the cluster by informers; only webhooks take time.
"""
