"""The pure parts of admission: limits, quotas, security standards, webhook rules."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.admission.plugins.pod_resize import shortages
from kubarium.api.admissionregistration import matching
from kubarium.api.core import limit_checks, quota_usage
from kubarium.api.core.node_labels import reserved_changes
from kubarium.api.core.pod import security_standards
from kubarium.apimachinery.group_version import GroupVersionResource


def make_pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"containers": list(containers) or [{"name": "c"}], **spec}}


def limits(**item: Any) -> dict[str, Any]:
    return {"spec": {"limits": [{"type": "Container", **item}]}}


def test_limits_fill_in_and_say_so() -> None:
    given = {"limits": {"cpu": "2"}, "requests": {"cpu": "2"}}
    pod = make_pod({"name": "a", "resources": {}}, {"name": "b", "resources": given})
    limit_checks.fill_pod(pod, limits(default={"cpu": "1"}, defaultRequest={"cpu": "100m"}))
    assert pod["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "1"}, "requests": {"cpu": "100m"}}
    assert pod["spec"]["containers"][1]["resources"] == given
    assert pod["metadata"]["annotations"][limit_checks.ANNOTATION].startswith(
        "LimitRanger plugin set: cpu request for container a; cpu limit for container a"
    )


@pytest.mark.parametrize(
    ("item", "resources", "problem"),
    [
        ({"max": {"cpu": "1"}}, {"limits": {"cpu": "2"}}, "maximum cpu usage per Container is 1, but limit is 2"),
        ({"max": {"cpu": "1"}}, {}, "maximum cpu usage per Container is 1.  No limit is specified"),
        ({"min": {"cpu": "1"}}, {"requests": {"cpu": "500m"}},
         "minimum cpu usage per Container is 1, but request is 500m"),
        ({"maxLimitRequestRatio": {"cpu": "2"}}, {"limits": {"cpu": "4"}, "requests": {"cpu": "1"}},
         "cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000"),
    ],
)  # fmt: skip
def test_limits_are_kept(item: dict[str, Any], resources: dict[str, Any], problem: str) -> None:
    assert limit_checks.pod_problems(make_pod({"name": "c", "resources": resources}), limits(**item)) == [
        problem
    ]


def test_what_objects_use() -> None:
    pod = make_pod(
        {"name": "c", "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "1"}}}
    )
    assert quota_usage.usage_of("", "pods", pod) == {
        "count/pods": "1", "pods": "1", "requests.cpu": "100m", "cpu": "100m", "requests.memory": "1Gi",
        "memory": "1Gi", "limits.cpu": "1",
    }  # fmt: skip
    service = {"spec": {"type": "LoadBalancer", "ports": [{"port": 1}, {"port": 2}]}}
    assert quota_usage.usage_of("", "services", service) == {
        "count/services": "1", "services": "1", "services.nodeports": "2", "services.loadbalancers": "1",
    }  # fmt: skip
    assert quota_usage.usage_of("apps", "deployments", {}) == {"count/deployments.apps": "1"}
    done = {**pod, "status": {"phase": "Succeeded"}}
    assert quota_usage.usage_of("", "pods", done) == {"count/pods": "1"}


def test_scopes_and_what_must_be_specified() -> None:
    best_effort = {"spec": {"scopes": ["BestEffort"], "hard": {"pods": "1"}}}
    assert quota_usage.in_scope(best_effort, "", "pods", make_pod())
    assert not quota_usage.in_scope(best_effort, "", "services", {})
    classes = {"spec": {"scopeSelector": {"matchExpressions": [
        {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}}}  # fmt: skip
    assert quota_usage.in_scope(classes, "", "pods", make_pod(priorityClassName="high"))
    assert not quota_usage.in_scope(classes, "", "pods", make_pod())
    assert quota_usage.unspecified(make_pod(), {"limits.cpu": "1", "pods": "3"}) == ["limits.cpu for: c"]


@pytest.mark.parametrize(
    ("pod", "level", "problem"),
    [
        (make_pod(hostNetwork=True, hostPID=True), "baseline", "host namespaces (hostNetwork=true, hostPID=true)"),
        (make_pod({"name": "a", "securityContext": {"privileged": True}}), "baseline",
         'privileged (container "a" must not set securityContext.privileged=true)'),
        (make_pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), "baseline", 'hostPath volumes (volume "v")'),
        (make_pod({"name": "a", "ports": [{"hostPort": 80}]}), "baseline",
         'hostPort (container "a" uses hostPort 80)'),
        (make_pod({"name": "a", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}), "baseline",
         'non-default capabilities (container "a" must not include "NET_ADMIN" in securityContext.capabilities.add)'),
        (make_pod(securityContext={"runAsUser": 0}), "restricted", "runAsUser=0 (pod must not set runAsUser=0)"),
        (make_pod(volumes=[{"name": "v", "nfs": {}}]), "restricted",
         'restricted volume types (volume "v" uses restricted volume type "nfs")'),
    ],
)  # fmt: skip
def test_security_standards(pod: dict[str, Any], level: str, problem: str) -> None:
    assert problem in security_standards.violations(pod, level)
    assert security_standards.violations(pod, "privileged") == []


def sysctls(*names: str) -> dict[str, Any]:
    return make_pod(securityContext={"sysctls": [{"name": name, "value": "1"} for name in names]})


def hardened(**more: Any) -> dict[str, Any]:
    context = {"runAsNonRoot": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
               "seccompProfile": {"type": "RuntimeDefault"}}  # fmt: skip
    return make_pod({"name": "a", "securityContext": context}, **more)


PROBE = make_pod({"name": "a", "livenessProbe": {"tcpSocket": {"host": "h", "port": 1}}})
ENGINE = make_pod(securityContext={"seLinuxOptions": {"type": "container_engine_t"}})
UNMASKED = make_pod({"name": "a", "securityContext": {"procMount": "Unmasked"}}, hostUsers=False)
PROC = 'procMount (container "a" must not set securityContext.procMount to "Unmasked")'
OLD_SECCOMP = make_pod()
OLD_SECCOMP["metadata"]["annotations"] = {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}


@pytest.mark.parametrize(
    ("pod", "level", "version", "found"),
    [
        (sysctls("net.ipv4.ip_local_reserved_ports"), "baseline", "v1.26",
         ["forbidden sysctls (net.ipv4.ip_local_reserved_ports)"]),
        (sysctls("net.ipv4.ip_local_reserved_ports"), "baseline", "v1.27", []),
        (sysctls("net.ipv4.tcp_rmem"), "baseline", "v1.31", ["forbidden sysctls (net.ipv4.tcp_rmem)"]),
        (sysctls("net.ipv4.tcp_rmem"), "baseline", "latest", []),
        (PROBE, "baseline", "v1.33", []),
        (PROBE, "baseline", "v1.34", ['probe or lifecycle host (container "a" uses probe or lifecycle host "h")']),
        (ENGINE, "baseline", "v1.30",
         ['seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type "container_engine_t")']),
        (ENGINE, "baseline", "v1.31", []),
        (UNMASKED, "baseline", "v1.34", [PROC]),
        (UNMASKED, "baseline", "v1.99", []),
        (hardened(), "restricted", "v1.0", []),
        (hardened(), "restricted", "latest", []),
        (hardened(securityContext={"runAsUser": 0}), "restricted", "v1.22", []),
        (hardened(securityContext={"runAsUser": 0}), "restricted", "v1.34",
         ["runAsUser=0 (pod must not set runAsUser=0)"]),
        (hardened(securityContext={"runAsUser": 0}, hostUsers=False), "restricted", "v1.35", []),
        (hardened(securityContext={"runAsNonRoot": False}), "restricted", "latest",
         ["runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)"]),
        (OLD_SECCOMP, "baseline", "v1.18",
         ['seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod="unconfined")']),
        (OLD_SECCOMP, "baseline", "v1.19", []),
    ],
)  # fmt: skip
def test_security_standards_of_versions(
    pod: dict[str, Any], level: str, version: str, found: list[str]
) -> None:
    assert security_standards.violations(pod, level, version) == found


def test_what_restricted_asks_instead() -> None:
    """The checks of the level below are not made twice, and those that are weaker there are made strictly."""
    pod = make_pod(
        {"name": "a", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}, os={"name": "windows"}
    )
    reasons = [text.partition(" (")[0] for text in security_standards.violations(pod, "restricted", "v1.21")]
    assert reasons == ["non-default capabilities", "allowPrivilegeEscalation != false", "runAsNonRoot != true",
                       "seccompProfile"]  # fmt: skip
    reasons = [text.partition(" (")[0] for text in security_standards.violations(pod, "restricted", "v1.24")]
    assert "unrestricted capabilities" in reasons and "non-default capabilities" not in reasons
    reasons = [text.partition(" (")[0] for text in security_standards.violations(pod, "restricted")]
    assert reasons == ["runAsNonRoot != true"]
    assert PROC in security_standards.violations(UNMASKED, "restricted")


def test_those_who_set_a_thing_badly_are_named_together() -> None:
    bad = {
        "securityContext": {
            "appArmorProfile": {"type": "Unconfined"},
            "seccompProfile": {"type": "Unconfined"},
        }
    }
    pod = make_pod({"name": "a", **bad}, {"name": "b", **bad}, **bad)
    who = 'pod and containers "a", "b"'
    assert security_standards.violations(pod, "baseline") == [
        f'forbidden AppArmor profile ({who} must not set AppArmor profile type to "Unconfined")',
        f'seccompProfile ({who} must not set securityContext.seccompProfile.type to "Unconfined")',
    ]


def test_node_labels() -> None:
    new = {"kubernetes.io/hostname": "a", "example.com/x": "1", "node-restriction.kubernetes.io/y": "1",
           "node.kubernetes.io/z": "1", "node-role.kubernetes.io/control-plane": ""}  # fmt: skip
    assert reserved_changes(new, {}) == [
        "node-restriction.kubernetes.io/y",
        "node-role.kubernetes.io/control-plane",
    ]


@pytest.mark.parametrize(
    ("resources", "resource", "subresource", "matches"),
    [
        (["pods"], "pods", "", True), (["pods"], "pods", "status", False), (["pods/*"], "pods", "status", True),
        (["*"], "pods", "", True), (["*"], "pods", "status", False), (["*/*"], "pods", "status", True),
        (["*/*"], "pods", "", True), (["*/scale"], "deployments", "scale", True),
        (["pods/attach"], "pods", "attach", True),
    ],
)  # fmt: skip
def test_webhook_rules(resources: list[str], resource: str, subresource: str, matches: bool) -> None:
    rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": resources}
    place = GroupVersionResource("", "v1", resource)
    assert matching.rule_matches(rule, "CREATE", place, subresource, True) is matches


def test_equivalent_versions_and_scopes() -> None:
    rule = {"operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"],
            "scope": "Namespaced"}  # fmt: skip
    old = GroupVersionResource("apps", "v1beta1", "deployments")
    assert matching.matching_version([rule], "CREATE", old, "", True, ["v1beta1", "v1"]) == "v1"
    assert matching.matching_version([rule], "CREATE", old, "", True, []) is None
    assert matching.matching_version([rule], "CREATE", old, "", False, ["v1"]) is None


def test_what_a_node_can_never_give() -> None:
    node = {"status": {"allocatable": {"cpu": "2", "memory": "1Gi"}}}

    def pod(cpu: str, memory: str) -> dict:
        return make_pod({"name": "a", "resources": {"requests": {"cpu": cpu, "memory": memory}}})

    assert shortages(pod("2", "1Gi"), node) == []
    assert shortages(pod("4", "2Gi"), node) == [
        "cpu, requested: 4000, allocatable: 2000",
        "memory, requested: 2147483648, allocatable: 1073741824",
    ]
