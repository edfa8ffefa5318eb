"""Devices that plugins on this node offer, and which container has which.

    plugins.py      device plugins: who offers what (capacity), which of it is well (allocatable)
    manager.py      a pod's limits ──▶ devices, remembered over restarts ──▶ what its containers must be given
    claims.py       DRA: a pod's resource claims ──▶ devices prepared by their drivers
    cdi.py          names of the Container Device Interface ──▶ edits of a container, for runtimes that do not know them
    pod_resources.py  the socket where monitors ask which pod has which device
Source: https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/
"""
