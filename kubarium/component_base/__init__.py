"""What every process needs before it knows anything about Kubernetes.

Process concerns only: flags, logs, signals, health, metrics, certificates, time. Nothing here has heard of a Pod.
"""
