"""Prefer nodes that hold the pod's images already: the larger, and the more common, the better."""

from __future__ import annotations

import numpy as np

from scheduler.framework.columns import Mask
from scheduler.framework.interface import (
    MAX_SCORE,
    SKIP,
    CycleState,
    PreScorePlugin,
    ScorePlugin,
    Scores,
    Status,
)
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo

MEGABYTE = 1024 * 1024
SMALLEST = 23 * MEGABYTE  # less than this is pulled in no time
LARGEST = 1000 * MEGABYTE  # per container; more makes no difference


class ImageLocality(PreScorePlugin, ScorePlugin):
    """Sums the sizes of images that are there, each weighted by the share of nodes that have it.

    The weight keeps a rare image from drawing all its pods to one node.
    """

    name = "ImageLocality"

    def pre_score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Status | None:
        if not nodes.images:
            return SKIP
        images = images_of(pod)
        if not any(image in nodes.images for image in images):
            return SKIP
        state.data[self.name] = images
        return None

    def score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Scores:
        images: tuple[str, ...] = state.data[self.name]
        version = (nodes.images_version, nodes.count)
        return nodes.cached((self.name, images), version, lambda: _score(images, nodes))


def _score(images: tuple[str, ...], nodes: Nodes) -> Scores:
    total = np.zeros(nodes.length)
    for image in images:
        holders = nodes.images.get(image)
        if holders:
            share = len(holders) / max(1, nodes.count)
            for place, size in holders.items():
                total[place] += int(size * share)
    largest = LARGEST * len(images)
    clipped = np.clip(total, SMALLEST, largest)
    found: Scores = np.floor(MAX_SCORE * (clipped - SMALLEST) / (largest - SMALLEST))
    return found


def images_of(pod: PodInfo) -> tuple[str, ...]:
    """The image of each container, with its tag."""
    containers = (*(pod.spec.get("initContainers") or ()), *(pod.spec.get("containers") or ()))
    return tuple(_with_tag(container.get("image") or "") for container in containers)


def _with_tag(image: str) -> str:
    return image if ":" in image.rpartition("/")[2] else f"{image}:latest"
