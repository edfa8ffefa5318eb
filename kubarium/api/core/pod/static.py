"""Static pods come from a file of their node, not from the API server; there a mirror only shows them.

Source: https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/
"""

from __future__ import annotations

from kubarium.apimachinery.object import Object, annotations_of

SOURCE = "kubernetes.io/config.source"
HASH = "kubernetes.io/config.hash"  # what the kubelet takes for the uid: the mirror gets another one
MIRROR = "kubernetes.io/config.mirror"  # the mirror's copy of it


def is_mirror(pod: Object) -> bool:
    """Does this object only show a static pod?"""
    return MIRROR in annotations_of(pod)


def is_static(pod: Object) -> bool:
    """Does the pod come from a file of its node?"""
    return annotations_of(pod).get(SOURCE, "api") != "api"
