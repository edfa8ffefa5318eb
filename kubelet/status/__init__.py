"""What the kubelet reports of a pod.

generate.py (pure): pod + runtime state + probe results ──▶ PodStatus
manager.py: remembers the last one per pod, sends changes, deletes pods that are done
"""
