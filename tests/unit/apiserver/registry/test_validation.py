"""What is wrong with an object, in upstream's words; and that a plain right one has no errors."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest

from apiserver.registry import catalog
from kubarium.apimachinery.object import Object

ROWS = {(row.api_version, row.kind): row for row in catalog.rows()}
POD: Object = {"containers": [{"name": "web", "image": "nginx:1"}]}
TEMPLATE: Object = {"metadata": {"labels": {"app": "web"}}, "spec": POD}
OF_JOB: Object = {**TEMPLATE, "spec": {**POD, "restartPolicy": "Never"}}
CLAIM: Object = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
MOUNTS: Object = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
MOUNTING: Object = {**TEMPLATE, "spec": {"containers": [POD["containers"][0] | MOUNTS]}}
SELECTOR: Object = {"matchLabels": {"app": "web"}}
PEM = b"-----BEGIN CERTIFICATE REQUEST-----\nx\n-----END CERTIFICATE REQUEST-----\n"
DEVICES: Object = {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}]}
BACKEND: Object = {"service": {"name": "web", "port": {"number": 80}}}
PATHS: Object = {"paths": [{"path": "/", "pathType": "Prefix", "backend": BACKEND}]}

RIGHT: list[tuple[str, str, Object]] = [
    ("v1", "Pod", {"spec": POD}),
    ("v1", "Service", {"spec": {"ports": [{"port": 80}], "selector": {"app": "web"}}}),
    ("v1", "Node", {"spec": {"podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24"]}}),
    ("v1", "LimitRange", {"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}}),
    ("v1", "PersistentVolume", {"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
                                         "hostPath": {"path": "/tmp"}}}),
    ("v1", "PersistentVolumeClaim", {"spec": {"accessModes": ["ReadWriteOnce"],
                                              "resources": {"requests": {"storage": "1Gi"}}}}),
    ("v1", "Endpoints", {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]}),
    ("apps/v1", "Deployment", {"spec": {"selector": SELECTOR, "template": TEMPLATE}}),
    ("apps/v1", "DaemonSet", {"spec": {"selector": SELECTOR, "template": TEMPLATE}}),
    ("apps/v1", "StatefulSet", {"spec": {"selector": SELECTOR, "template": MOUNTING, "volumeClaimTemplates": [CLAIM]}}),
    ("batch/v1", "Job", {"spec": {"selector": SELECTOR, "template": OF_JOB}}),
    ("batch/v1", "CronJob", {"spec": {"schedule": "*/5 * * * *", "timeZone": "Europe/Berlin",
                                      "jobTemplate": {"spec": {"template": OF_JOB}}}}),
    ("autoscaling/v2", "HorizontalPodAutoscaler",
     {"spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}}),
    ("policy/v1", "PodDisruptionBudget", {"spec": {"minAvailable": "50%", "selector": SELECTOR}}),
    ("coordination.k8s.io/v1", "Lease", {"spec": {"leaseDurationSeconds": 15}}),
    ("discovery.k8s.io/v1", "EndpointSlice",
     {"addressType": "IPv4", "ports": [{"port": 80}],
      "endpoints": [{"addresses": ["10.0.0.1"], "hints": {"forZones": [{"name": "a"}]}}]}),
    ("networking.k8s.io/v1", "Ingress", {"spec": {"rules": [{"host": "*.example.com", "http": PATHS}]}}),
    ("networking.k8s.io/v1", "IngressClass", {"spec": {"controller": "example.com/ingress"}}),
    ("networking.k8s.io/v1", "NetworkPolicy",
     {"spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
                                               "ports": [{"port": 80, "endPort": 90}]}]}}),
    ("networking.k8s.io/v1", "ServiceCIDR", {"spec": {"cidrs": ["10.96.0.0/16"]}}),
    ("networking.k8s.io/v1", "IPAddress", {"spec": {"parentRef": {"resource": "services", "name": "web"}}}),
    ("storage.k8s.io/v1", "StorageClass", {"provisioner": "example.com/disk"}),
    ("storage.k8s.io/v1", "CSIDriver", {"metadata": {"name": "csi.example.com"}}),
    ("storage.k8s.io/v1", "CSINode", {"spec": {"drivers": [{"name": "csi.example.com", "nodeID": "1"}]}}),
    ("storage.k8s.io/v1", "CSIStorageCapacity", {"storageClassName": "fast", "capacity": "1Gi"}),
    ("storage.k8s.io/v1", "VolumeAttachment",
     {"spec": {"attacher": "csi.example.com", "nodeName": "one", "source": {"persistentVolumeName": "pv"}}}),
    ("storage.k8s.io/v1", "VolumeAttributesClass", {"driverName": "csi.example.com", "parameters": {"a": "b"}}),
    ("node.k8s.io/v1", "RuntimeClass", {"handler": "runc"}),
    ("resource.k8s.io/v1", "ResourceClaim", {"spec": {"devices": DEVICES}}),
    ("resource.k8s.io/v1", "ResourceClaimTemplate", {"spec": {"spec": {"devices": DEVICES}}}),
    ("resource.k8s.io/v1", "DeviceClass", {"spec": {"selectors": [{"cel": {"expression": "true"}}]}}),
    ("resource.k8s.io/v1", "ResourceSlice",
     {"spec": {"driver": "gpu.example.com", "nodeName": "one", "pool": {"name": "one", "resourceSliceCount": 1},
               "devices": [{"name": "gpu-0", "attributes": {"model": {"string": "x"}}}]}}),
    ("certificates.k8s.io/v1", "CertificateSigningRequest",
     {"spec": {"request": base64.b64encode(PEM).decode(), "signerName": "example.com/signer",
               "usages": ["client auth"]}}),
    ("apiregistration.k8s.io/v1", "APIService",
     {"metadata": {"name": "v1.example.com"},
      "spec": {"group": "example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10}}),
]  # fmt: skip
BY_KIND = {kind: {"apiVersion": version, "kind": kind, **rest} for version, kind, rest in RIGHT}


def errors_of(obj: Object) -> list[str]:
    """Fill the defaults, then judge: what a creation would answer."""
    obj = copy.deepcopy(obj)
    obj.setdefault("metadata", {}).setdefault("name", "x")
    strategy = ROWS[obj["apiVersion"], obj["kind"]].strategy
    strategy.defaults(obj)
    return [str(error) for error in strategy.validate(obj)]


@pytest.mark.parametrize("kind", BY_KIND)
def test_right_objects_have_no_errors(kind: str) -> None:
    assert errors_of(BY_KIND[kind]) == []


def changed(kind: str, path: str, value: Any) -> Object:
    """The right object of a kind with one field replaced; a path is like `spec.ports.0.port`."""
    obj = copy.deepcopy(BY_KIND[kind])
    *way, last = path.split(".")
    place: Any = obj
    for step in way:
        place = place[int(step)] if step.isdigit() else place.setdefault(step, {})
    place[int(last) if last.isdigit() else last] = value
    return obj


def _items(name: str) -> Object:
    return {"name": name, "items": [{"key": "k", "path": "p"}]}


CONTAINER = "spec.containers.0."
WRONG = [
    ("Pod", "spec.containers", [], "spec.containers: Required value"),
    ("Pod", CONTAINER + "name", "Web",
     'spec.containers[0].name: Invalid value: "Web": a lowercase RFC 1123 label must consist of'),
    ("Pod", CONTAINER + "securityContext", {"runAsUser": -1},
     "spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive"),
    ("Pod", CONTAINER + "securityContext", {"procMount": "Unmasked"},
     'securityContext.procMount: Invalid value: "Unmasked": `hostUsers` must be false to use `Unmasked`'),
    ("Pod", CONTAINER + "livenessProbe", {"grpc": {"port": 0}},
     "spec.containers[0].livenessProbe.grpc.port: Invalid value: 0: must be between 1 and 65535, inclusive"),
    ("Pod", CONTAINER + "livenessProbe", {"tcpSocket": {"port": 1}, "successThreshold": 2},
     "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"),
    ("Pod", CONTAINER + "lifecycle", {"preStop": {"sleep": {"seconds": 31}}},
     "spec.containers[0].lifecycle.preStop.sleep.seconds: Invalid value: 31: must be non-negative and less than"),
    ("Pod", "spec.initContainers", [{"name": "a", "image": "b", "livenessProbe": {"tcpSocket": {"port": 1}}}],
     "initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always"),
    ("Pod", CONTAINER + "env", [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.whoops"}}}],
     'Invalid value: "metadata.whoops": error converting fieldPath: field label not supported: metadata.whoops'),
    ("Pod", CONTAINER + "env", [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels"}}}],
     'env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "metadata.labels": supported values: "metadata.name"'),
    ("Pod", CONTAINER + "resources", {"claims": [{"name": "gpu"}]},
     'spec.containers[0].resources.claims[0]: Not found: "gpu"'),
    ("Pod", CONTAINER + "restartPolicyRules", [{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}],
     "spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used"),
    ("Pod", "spec.ephemeralContainers", [{"name": "d", "image": "b", "ports": [{"containerPort": 1}]}],
     "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container"),
    ("Pod", "spec.ephemeralContainers", [{"name": "d", "image": "b", "targetContainerName": "no"}],
     'spec.ephemeralContainers[0].targetContainerName: Not found: "no"'),
    ("Pod", "spec.securityContext", {"seccompProfile": {"type": "Localhost"}},
     "seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost"),
    ("Pod", "spec.securityContext", {"sysctls": [{"name": "foo-", "value": "1"}]},
     'spec.securityContext.sysctls[0].name: Invalid value: "foo-": must have at most 253 characters and match regex'),
    ("Pod", "spec.securityContext", {"supplementalGroups": [-1]},
     "spec.securityContext.supplementalGroups[0]: Invalid value: -1: must be between 0 and 2147483647, inclusive"),
    ("Pod", "spec.dnsPolicy", "None",
     "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"),
    ("Pod", "spec.volumes", [{"name": "v", "nfs": {"server": "a", "path": "b"}}],
     'spec.volumes[0].nfs.path: Invalid value: "b": must be an absolute path'),
    ("Pod", "spec.volumes", [{"name": "v", "downwardAPI": {"items": [{"path": "a"}]}}],
     "downwardAPI: Required value: one of fieldRef and resourceFieldRef is required"),
    ("Pod", "spec.volumes",
     [{"name": "v", "projected": {"sources": [{"configMap": _items("a")}, {"secret": _items("b")}]}}],
     'spec.volumes[0].projected: Invalid value: "b": conflicting duplicate paths'),
    ("Pod", "spec.topologySpreadConstraints",
     [{"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "ScheduleAnyway", "minDomains": 2}],
     "minDomains: Invalid value: 2: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway"),
    ("Pod", "spec.resourceClaims", [{"name": "gpu"}],
     "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"),
    ("Pod", "spec.os", {"name": "plan9"},
     'spec.os.name: Unsupported value: "plan9": supported values: "linux", "windows"'),
    ("Service", "spec.ports", [], "spec.ports: Required value"),
    ("Service", "spec.ports.0.nodePort", 30000,
     "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"),
    ("Service", "spec.loadBalancerClass", "a/b",
     "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"),
    ("Service", "spec.externalIPs", ["127.0.0.1"],
     'spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)'),
    ("Service", "spec.trafficDistribution", "Near",
     'spec.trafficDistribution: Unsupported value: "Near": supported values: '),
    ("Node", "spec.taints", [{"key": "a", "effect": "No"}],
     'metadata.taints[0].effect: Unsupported value: "No": supported values: '),
    ("Node", "spec.taints", [{"key": "a", "effect": "NoExecute"}, {"key": "a", "effect": "NoExecute"}],
     "taints must be unique by key and effect pair"),
    ("LimitRange", "spec.limits.0.min", {"cpu": "2"},
     'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1'),
    ("PersistentVolume", "spec.accessModes", ["ReadWriteOncePod", "ReadOnlyMany"],
     "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"),
    ("PersistentVolumeClaim", "spec.resources", {}, "spec.resources[storage]: Required value"),
    ("Endpoints", "subsets.0.ports.0.port", 0,
     "subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"),
    ("Deployment", "spec.template.spec.activeDeadlineSeconds", 5,
     "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported"),
    ("Deployment", "spec.selector", {"matchLabels": {"app": "other"}},
     'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`'),
    ("StatefulSet", "spec.selector", {},
     "spec.selector: Invalid value: {}: empty selector is invalid for statefulset"),
    ("Job", "spec.completionMode", "Ordered", 'spec.completionMode: Unsupported value: "Ordered"'),
    ("Job", "spec.backoffLimitPerIndex", 1,
     "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"),
    ("Job", "spec.podFailurePolicy", {"rules": [{"action": "FailJob"}]},
     "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required"),
    ("Job", "spec.podFailurePolicy", {"rules": [{"action": "FailIndex", "onPodConditions": [{"type": "a"}]}]},
     'rules[0].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set'),
    ("Job", "spec.successPolicy", {"rules": [{"succeededCount": 1}]}, "requires indexed completion mode"),
    ("Job", "spec.managedBy", "me",
     'spec.managedBy: Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo")'),
    ("CronJob", "spec.schedule", "* * *",
     'spec.schedule: Invalid value: "* * *": expected exactly 5 fields, found 3: [* * *]'),
    ("CronJob", "spec.timeZone", "Nowhere/Land",
     'spec.timeZone: Invalid value: "Nowhere/Land": unknown time zone Nowhere/Land'),
    ("HorizontalPodAutoscaler", "spec.maxReplicas", 0, "spec.maxReplicas: Invalid value: 0: must be greater than 0"),
    ("HorizontalPodAutoscaler", "spec.metrics", [{"type": "Pods"}],
     "spec.metrics[0].pods: Required value: must populate information for the given metric source"),
    ("PodDisruptionBudget", "spec.maxUnavailable", 1, "minAvailable and maxUnavailable cannot be both set"),
    ("PodDisruptionBudget", "spec.minAvailable", "101%",
     'spec.minAvailable: Invalid value: "101%": must not be greater than 100%'),
    ("Lease", "spec.leaseDurationSeconds", 0, "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"),
    ("EndpointSlice", "addressType", "IP",
     'addressType: Unsupported value: "IP": supported values: "FQDN", "IPv4", "IPv6"'),
    ("EndpointSlice", "endpoints.0.addresses", [],
     "endpoints[0].addresses: Required value: must contain at least 1 address"),
    ("EndpointSlice", "ports", [{"name": "a", "port": 1}, {"name": "a", "port": 2}],
     'ports[1].name: Duplicate value: "a"'),
    ("Ingress", "spec.rules.0.host", "10.0.0.1",
     'spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address'),
    ("Ingress", "spec.rules.0.http.paths.0.path", "a",
     'paths[0].path: Invalid value: "a": must be an absolute path'),
    ("IngressClass", "spec.controller", "x",
     'spec.controller: Invalid value: "x": must be a domain-prefixed path (such as "acme.io/foo")'),
    ("NetworkPolicy", "spec.ingress.0.from", [{}], "spec.ingress[0].from[0]: Required value: must specify a peer"),
    ("NetworkPolicy", "spec.ingress.0.from.0.ipBlock.except", ["11.0.0.0/16"],
     'ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`'),
    ("ServiceCIDR", "spec.cidrs", ["10.0.0.1/24"],
     'spec.cidrs[0]: Invalid value: "10.0.0.1/24": must be in canonical form ("10.0.0.0/24")'),
    ("IPAddress", "spec.parentRef", None, "spec.parentRef: Required value"),
    ("StorageClass", "provisioner", "", "provisioner: Required value"),
    ("CSIDriver", "spec.tokenRequests", [{"audience": "a"}, {"audience": "a"}],
     'spec.tokenRequests[1].audience: Duplicate value: "a"'),
    ("CSINode", "spec.drivers.0.nodeID", "", "spec.drivers[0].nodeID: Required value"),
    ("CSIStorageCapacity", "capacity", "-1", 'capacity: Invalid value: "-1": must be greater than or equal to 0'),
    ("VolumeAttachment", "spec.source", {}, "spec.source: Required value: must specify exactly one of"),
    ("VolumeAttributesClass", "parameters", {},
     "parameters: Required value: must contain at least one key/value pair"),
    ("RuntimeClass", "handler", "", 'handler: Invalid value: "": a lowercase RFC 1123 label must'),
    ("ResourceClaim", "spec.devices.requests.0.exactly.deviceClassName", "",
     "spec.devices.requests[0].exactly.deviceClassName: Required value"),
    ("ResourceClaim", "spec.devices.constraints", [{"requests": ["no"], "matchAttribute": "a/b"}],
     'constraints[0].requests[0]: Invalid value: "no": must be the name of a request in the claim'),
    ("ResourceSlice", "spec.allNodes", True, "exactly one of `nodeName`, `nodeSelector`, `allNodes`"),
    ("ResourceSlice", "spec.devices.0.attributes", {"model": {}},
     "spec.devices[0].attributes[model]: Required value: exactly one value"),
    ("DeviceClass", "spec.selectors", [{}], "spec.selectors[0].cel: Required value"),
    ("CertificateSigningRequest", "spec.signerName", "kubernetes.io/legacy-unknown",
     "the legacy signerName is not allowed via this API version"),
    ("CertificateSigningRequest", "spec.usages", ["magic"],
     'spec.usages[0]: Unsupported value: "magic": supported values: "any"'),
    ("CertificateSigningRequest", "spec.expirationSeconds", 5,
     "spec.expirationSeconds: Invalid value: 5: may not specify a duration less than 600 seconds (10 minutes)"),
    ("APIService", "spec.versionPriority", 0,
     "spec.versionPriority: Invalid value: 0: must be positive and less than 1000"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "path", "value", "text"), WRONG, ids=lambda part: str(part)[:40])
def test_wrong_objects_are_refused_in_upstreams_words(kind: str, path: str, value: Any, text: str) -> None:
    found = errors_of(changed(kind, path, value))
    assert any(text in error for error in found), found


UPDATES = [
    ("StorageClass", "provisioner", "a/b", "provisioner: Forbidden: updates to provisioner are forbidden."),
    ("RuntimeClass", "handler", "gvisor", 'handler: Invalid value: "gvisor": field is immutable'),
    ("IngressClass", "spec.controller", "a.b/c", 'spec.controller: Invalid value: "a.b/c": field is immutable'),
    ("CSIStorageCapacity", "storageClassName", "slow",
     'storageClassName: Invalid value: "slow": field is immutable'),
    ("VolumeAttachment", "spec.nodeName", "two", "spec: Invalid value: "),
    ("ResourceClaim", "spec.devices.requests.0.name", "other", "spec: Invalid value: "),
    ("Node", "spec.podCIDR", "10.244.9.0/24",
     'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid'),
    ("EndpointSlice", "addressType", "IPv6", 'addressType: Invalid value: "IPv6": field is immutable'),
    ("Job", "spec.completions", 3, "spec.completions: Invalid value: 3: field is immutable"),
    ("IPAddress", "spec.parentRef.name", "other", "spec.parentRef: Invalid value: "),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "path", "value", "text"), UPDATES, ids=lambda part: str(part)[:40])
def test_what_may_not_change(kind: str, path: str, value: Any, text: str) -> None:
    strategy = ROWS[BY_KIND[kind]["apiVersion"], kind].strategy
    old, new = copy.deepcopy(BY_KIND[kind]), changed(kind, path, value)
    for obj in (old, new):
        obj.setdefault("metadata", {}).setdefault("name", "x")
        strategy.defaults(obj)
    assert not [str(error) for error in strategy.validate_update(copy.deepcopy(old), old)]
    assert any(text in str(error) for error in strategy.validate_update(new, old))


def warned(obj: Object) -> list[str]:
    strategy = ROWS[obj["apiVersion"], obj["kind"]].strategy
    return list(strategy.warnings({"metadata": {"name": "x"}, **obj}, None))


def test_what_is_probably_not_meant_is_told() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    assert warned(changed("Pod", CONTAINER + "env", env)) == [
        'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply'
    ]
    ports = [{"containerPort": 80}, {"containerPort": 80}]
    assert warned(changed("Pod", CONTAINER + "ports", ports)) == [
        "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]"
    ]
    assert warned(
        changed("Deployment", "spec.template.spec.nodeSelector", {"beta.kubernetes.io/os": "a"})
    ) == [
        'spec.template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" '
        "instead"
    ]
    assert warned(BY_KIND["Pod"]) == []
