"""Turns Services and EndpointSlices into kernel rules. Packets never meet Python.

    services.py ─┐                                              ┌─▶ backends/iptables.py ─▶ iptables-restore
                 ├─ topology.py ─▶ ruleset.py ─▶ proxier.py ────┤
    endpoints.py ┘   (pure)         (pure)                      └─▶ backends/nftables.py ─▶ nft -f -

The path of a packet, with upstream's names of the chains:

    client pod 10.244.1.7 ── to 10.96.0.20:80 ─▶ its node
          │
     PREROUTING (or OUTPUT, for a process of the node)
          │    KUBE-SERVICES      10.96.0.20:80       ─▶ KUBE-SVC-…
          │                       a local address     ─▶ KUBE-NODEPORTS ─▶ KUBE-EXT-… ─▶ KUBE-SVC-… or KUBE-SVL-…
          ▼
     KUBE-SVC-…        pick one endpoint at random    ─▶ KUBE-SEP-…
          ▼
     KUBE-SEP-…        mark if the reply must come back here; DNAT to 10.244.2.9:8080
          │
     routing decision ── FORWARD ── POSTROUTING ── KUBE-POSTROUTING: masquerade what is marked
          ▼
    pod 10.244.2.9:8080            the reply is undone by conntrack, no rule needed

    no endpoints?      KUBE-SERVICES of the filter table: REJECT
"""
