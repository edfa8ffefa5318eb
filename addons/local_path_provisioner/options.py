"""The flags of the provisioner."""

from __future__ import annotations

from dataclasses import dataclass

from kubarium.component_base.options import flag


@dataclass(frozen=True)
class Options:
    """Without a kubeconfig it uses the service account of its pod."""

    kubeconfig: str = flag("", "Path to a kubeconfig file; the pod's service account when empty.")
    provisioner_name: str = flag("rancher.io/local-path", "The provisioner that storage classes name.")
    path: str = flag("/opt/local-path-provisioner", "The folder on each node below which volumes lie.")
    namespace: str = flag("kube-system", "Where pods that remove folders run.")
    helper_image: str = flag("busybox", "The image of those pods; it needs a shell and rm.")
    verbosity: int = flag(0, "number for the log level verbosity")
