"""What the kubelet reports of a pod.

generate.py (pure): pod + runtime state + probe results ──▶ PodStatus, and of that
    containers.py   what became of each container
    phase.py        where the pod is in its life
    conditions.py   what is true of it: Ready and the others
manager.py: remembers the last one per pod, sends changes, deletes pods that are done
"""
