"""Volumes of drivers: programs that register on this node and mount what the kubelet asks them to.

    drivers.py        who has registered; what each can do
    node_client.py    calls of the CSI service Node
    requests.py       a volume and a pod ──▶ what such a call says
    places.py         where a volume is staged and published, and the notes on disk by which a restarted kubelet knows
    csi_node.py       the CSINode object, and what else the cluster learns of a driver here
Source: https://github.com/container-storage-interface/spec
"""
