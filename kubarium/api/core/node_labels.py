"""Which labels a kubelet may give its own node.

Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
"""

from __future__ import annotations

from collections.abc import Mapping

_ALLOWED = frozenset(
    {
        "kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch",
        "topology.kubernetes.io/zone", "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
        "failure-domain.kubernetes.io/zone", "failure-domain.kubernetes.io/region",
        "node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os", "beta.kubernetes.io/arch",
    }
)  # fmt: skip
_ALLOWED_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_RESERVED_PREFIXES = ("kubernetes.io", "k8s.io")


def is_reserved(key: str) -> bool:
    """Is this a label that administrators set on nodes, and kubelets may not?"""
    prefix, slash, _ = key.partition("/")
    if not slash or not _within(prefix, _RESERVED_PREFIXES):
        return False
    return key not in _ALLOWED and not _within(prefix, _ALLOWED_PREFIXES)


def reserved_changes(new: Mapping[str, str], old: Mapping[str, str]) -> list[str]:
    """The reserved labels that differ."""
    return sorted(key for key in {*new, *old} if new.get(key) != old.get(key) and is_reserved(key))


def _within(prefix: str, domains: tuple[str, ...]) -> bool:
    return any(prefix == domain or prefix.endswith("." + domain) for domain in domains)
