"""Which labels a kubelet may give its own node, and which nobody should ask for any more.

Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kubarium.apimachinery.object import Object

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

DEPRECATED = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": (
        'deprecated since v1.17; use "topology.kubernetes.io/region" instead'
    ),
    "failure-domain.beta.kubernetes.io/zone": (
        'deprecated since v1.17; use "topology.kubernetes.io/zone" instead'
    ),
    "beta.kubernetes.io/instance-type": (
        'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead'
    ),
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}
"""Labels of nodes that have a newer name, with upstream's remark (`pkg/api/node/util.go`)."""


def is_reserved(key: str) -> bool:
    """Is this a label that administrators set on nodes, and kubelets may not?"""
    prefix, slash, _ = key.partition("/")
    if not slash or not _within(prefix, _RESERVED_PREFIXES):
        return False
    return key not in _ALLOWED and not _within(prefix, _ALLOWED_PREFIXES)


def reserved_changes(new: Mapping[str, str], old: Mapping[str, str]) -> list[str]:
    """The reserved labels that differ."""
    return sorted(key for key in {*new, *old} if new.get(key) != old.get(key) and is_reserved(key))


def term_warnings(term: Object, at: str) -> Iterator[str]:
    """What to remark on in one term of a node selector."""
    for index, expression in enumerate(term.get("matchExpressions") or ()):
        key = expression.get("key")
        if key in DEPRECATED:
            yield f"{at}.matchExpressions[{index}].key: {key} is {DEPRECATED[key]}"


def _within(prefix: str, domains: tuple[str, ...]) -> bool:
    return any(prefix == domain or prefix.endswith("." + domain) for domain in domains)
