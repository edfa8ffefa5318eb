"""Enforces NetworkPolicies on one node. Upstream leaves this to network plugins; every user expects it of a cluster.

    Pods, Namespaces ── informers ──▶ members.py   who is matched by which selector
    notes of network plugins ───────▶ leases.py ─▶ │   the address of a pod that has just got one
                                         ┌─────────┘
    NetworkPolicies ───────────────▶ plan.py       sets of addresses, chains of rules, which pod has which: pure
                                         │
                                      nft.py ─▶ nft -f -    one table, replaced as a whole in one transaction

    a packet that is forwarded, after kube-proxy turned a Service into a pod
          │
          ├─ belongs to a connection that was let in before?       passes
          ├─ from or to a pod that is not known yet?               is dropped: nobody may be early
          ├─ from a pod of this node that is isolated for egress?  must meet a rule of its chain, or is dropped
          └─ to a pod of this node that is isolated for ingress?   must meet a rule of its chain, or is dropped

What a node and its own pods say to each other (probes of the kubelet) is not forwarded and therefore always allowed, as
Kubernetes wants it. A pod is isolated before its first container starts: its address is read from what the network
plugins note down, not from its status, which comes later. Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""
