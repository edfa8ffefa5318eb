"""All that is wrong with an object, in upstream's words and order; asked of kube-apiserver itself where it could be."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from apiserver.registry import catalog
from apiserver.request import LOOPBACK, RequestContext, RequestInfo
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.component_base.clock import FakeClock

ROWS = {(row.api_version, row.kind): row for row in catalog.rows()}
POD: Object = {"containers": [{"name": "web", "image": "nginx:1"}]}
TEMPLATE: Object = {"metadata": {"labels": {"app": "web"}}, "spec": POD}
SELECTOR: Object = {"matchLabels": {"app": "web"}}
NAME = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric"
LABEL = "a valid label must be an empty string or consist of alphanumeric characters"
SUBDOMAIN = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters"


def judged(api_version: str, kind: str, obj: Object) -> list[str]:
    """What a creation would answer."""
    obj = {"metadata": {"name": "x", "namespace": "default"}} | copy.deepcopy(obj) | {"kind": kind}
    strategy = ROWS[api_version, kind].strategy
    strategy.defaults(obj)
    return [str(error) for error in strategy.validate(obj)]


def deployment(**spec: Any) -> Object:
    return {"spec": {"selector": SELECTOR, "template": TEMPLATE, **spec}}


def webhook(**fields: Any) -> Object:
    rule = {"apiGroups": ["*"], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
    whole = {
        "name": "a.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "rules": [rule],
        "clientConfig": {"url": "https://example.com/x"},
    }  # fmt: skip
    return {"webhooks": [whole | fields]}


def pod(**spec: Any) -> Object:
    return {"spec": {**POD, **spec}}


def container(**fields: Any) -> Object:
    return {"spec": {"containers": [{**POD["containers"][0], **fields}]}}


def volume(**source: Any) -> Object:
    return pod(volumes=[{"name": "v", **source}])


CONTEXT = RequestContext(RequestInfo("/", "create"), LOOPBACK, FakeClock(), {})
PARTS = "webhooks[0].clientConfig.service.path: Invalid value: "
AFFINITY = "requiredDuringSchedulingIgnoredDuringExecution"
CASES: list[tuple[str, str, Object, list[str]]] = [
    ("scheduling.k8s.io/v1", "PriorityClass", {"value": 1, "preemptionPolicy": "Sometimes"},
     ['preemptionPolicy: Unsupported value: "Sometimes": supported values: "PreemptLowerPriority", "Never"']),
    ("scheduling.k8s.io/v1", "PriorityClass", {"value": 1, "preemptionPolicy": ""},
     ["preemptionPolicy: Required value"]),
    ("v1", "Namespace", {"spec": {"finalizers": ["kubernetes", "other"]}},
     ['spec.finalizers: Invalid value: "other": name is neither a standard finalizer name nor is it fully qualified']),
    ("v1", "Node", {"spec": {"podCIDR": "here"}},
     ['spec.podCIDRs[0]: Invalid value: "here": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)']),
    ("v1", "Node", {"status": {"capacity": {"pods": "1500m", "cpu": "1500m"}}},
     ['status.capacity.pods: Invalid value: "1500m": must be an integer',
      'status.allocatable.pods: Invalid value: "1500m": must be an integer']),
    ("v1", "Node", {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}] * 2}},
     ['metadata.taints[1]: Duplicate value: {"Key":"a","Value":"","Effect":"NoSchedule","TimeAdded":null}: '
      "taints must be unique by key and effect pair"]),
    ("v1", "PodTemplate", {}, ["template.spec.containers: Required value"]),
    ("v1", "PodTemplate", {"template": {"spec": {**POD, "restartPolicy": "Now"}}},
     ['template.spec.restartPolicy: Unsupported value: "Now": supported values: "Always", "OnFailure", "Never"']),
    ("v1", "ResourceQuota", {"spec": {"hard": {"things": "1"}}},
     ['spec.hard[things]: Invalid value: "things": must be a standard resource type or fully qualified',
      'spec.hard[things]: Invalid value: "things": must be a standard resource for quota']),
    ("v1", "ResourceQuota",
     {"spec": {"hard": {"services": "1"},
               "scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In"}]}}},
     ["spec.scopeSelector.matchExpressions: Invalid value: "
      '{"MatchExpressions":[{"ScopeName":"PriorityClass","Operator":"In","Values":null}]}: '
      "unsupported scope applied to resource",
      "spec.scopeSelector.matchExpressions.values: Required value: "
      "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"]),
    ("v1", "LimitRange", {"spec": {"limits": [{"type": "Container", "min": {"things": "1"}}]}},
     [f'spec.limits[0].{part}[things]: Invalid value: "things": {why}'
      for part in ("min", "defaultRequest")
      for why in (
          "must be a standard resource type or fully qualified", "must be a standard resource for containers")]),
    ("storage.k8s.io/v1", "StorageClass", {"provisioner": "a/b", "volumeBindingMode": "", "reclaimPolicy": ""},
     ['volumeBindingMode: Unsupported value: "": supported values: "Immediate", "WaitForFirstConsumer"']),
    ("storage.k8s.io/v1", "StorageClass",
     {"provisioner": "a/b",
      "allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": values}]}
                            for values in (["a", "b"], ["b", "a"])]},
     ['allowedTopologies[1].matchLabelExpressions: Duplicate value: ""']),
    ("node.k8s.io/v1", "RuntimeClass", {"handler": "runc", "scheduling": {"tolerations": [{"operator": "Exists"}] * 2}},
     ['scheduling.tolerations[1]: Duplicate value: {"Key":"","Operator":"Exists","Value":"","Effect":"",'
      '"TolerationSeconds":null}']),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", {"aggregationRule": {}},
     ["aggregationRule.clusterRoleSelectors: Required value: "
      "at least one clusterRoleSelector required if aggregationRule is non-nil"]),
    ("rbac.authorization.k8s.io/v1", "ClusterRole",
     {"aggregationRule": {"clusterRoleSelectors": [{"matchExpressions": [{"key": "a", "operator": "Maybe"}]}]}},
     ['aggregationRule.clusterRoleSelectors[0].matchExpressions[0].operator: Invalid value: "Maybe": '
      "not a valid selector operator",
      "aggregationRule.clusterRoleSelectors[0]: Invalid value: null: invalid label selector."]),
    ("apps/v1", "ControllerRevision", {"revision": -1},
     ["data: Required value: data is mandatory",
      "revision: Invalid value: -1: must be greater than or equal to 0"]),
    ("networking.k8s.io/v1", "IngressClass", {"spec": {"controller": "a.b/c", "parameters": {}}},
     ["spec.parameters.kind: Required value: kind is required",
      "spec.parameters.name: Required value: name is required"]),
    ("networking.k8s.io/v1", "Ingress", {"spec": {"defaultBackend": {}}},
     ['spec.defaultBackend: Invalid value: "": resource or service backend is required']),
    ("networking.k8s.io/v1", "NetworkPolicy", {"spec": {"podSelector": {}, "ingress": [{"ports": [{"protocol": ""}]}]}},
     ['spec.ingress[0].ports[0].protocol: Unsupported value: "": supported values: "TCP", "UDP", "SCTP"']),
    ("apiregistration.k8s.io/v1", "APIService",
     {"metadata": {"name": "v1.a.io"},
      "spec": {"group": "a.io", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1,
               "service": {"name": "a", "namespace": "b", "port": 0}}},
     ["spec.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive"]),
    # workloads
    ("apps/v1", "Deployment", {"spec": {"template": TEMPLATE}},
     ["spec.selector: Required value",
      'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`']),
    ("apps/v1", "Deployment",
     deployment(selector={"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "a", "operator": "In"}]}),
     ["spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
      'spec.selector: Invalid value: {"matchLabels":{"app":"web"},"matchExpressions":[{"key":"a","operator":"In"}]}: '
      "invalid label selector"]),
    ("apps/v1", "Deployment", deployment(strategy={"type": "Slow", "rollingUpdate": {"maxSurge": 1}}),
     ['spec.strategy: Unsupported value: {"Type":"Slow","RollingUpdate":{"MaxSurge":1}}: '
      'supported values: "Recreate", "RollingUpdate"']),
    ("apps/v1", "Deployment", deployment(template={**TEMPLATE, "spec": {**POD, "restartPolicy": "Now"}}),
     ['spec.template.spec.restartPolicy: Unsupported value: "Now": supported values: "Always", "OnFailure", "Never"',
      'spec.template.spec.restartPolicy: Unsupported value: "Now": supported values: "Always"']),
    ("batch/v1", "Job", deployment(),
     ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"']),
    ("apps/v1", "DaemonSet", deployment(updateStrategy={"type": "Slow"}),
     ['spec.updateStrategy: Unsupported value: {"Type":"Slow","RollingUpdate":null}: '
      'supported values: "RollingUpdate", "OnDelete"']),
    ("apps/v1", "DaemonSet",
     deployment(template={**TEMPLATE, "spec": container(ports=[{"containerPort": 1, "hostPort": 2}] * 2)["spec"]}),
     ['spec.template.spec.containers[0].ports[1].hostPort: Duplicate value: "TCP//2"']),
    ("apps/v1", "StatefulSet",
     deployment(template={**TEMPLATE, "spec": {"containers": [{"name": "web"}]}}),
     ["spec.template.spec.containers[0].image: Required value"]),
    ("autoscaling/v2", "HorizontalPodAutoscaler",
     {"spec": {"maxReplicas": 2, "scaleTargetRef": {"kind": "a", "name": "b"},
               "metrics": [{"type": "ContainerResource",
                            "containerResource": {"name": "x", "container": "C", "target": {"averageValue": "1"}}}]}},
     [f"spec.metrics[0].containerResource.{what}" for what in (
         'name: Invalid value: "x": must be a standard resource type or fully qualified',
         'name: Invalid value: "x": must be a standard resource for containers',
         "container: Invalid value: \"C\": a lowercase RFC 1123 label must consist of lower case alphanumeric "
         "characters "
         "or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
         "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
         "target.type: Required value: must specify a metric target type",
         'target.type: Invalid value: "": must be either Utilization, Value, or AverageValue')]),
    # webhooks
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration",
     webhook(failurePolicy="", admissionReviewVersions=["v1", "v1"]),
     ['webhooks[0].failurePolicy: Unsupported value: "": supported values: "Fail", "Ignore"',
      'webhooks[0].admissionReviewVersions[1]: Invalid value: "v1": duplicate version']),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration",
     webhook(clientConfig={"service": {"name": "a", "namespace": "b", "path": "a//b", "port": 0}}),
     ["webhooks[0].clientConfig.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, "
      "inclusive", PARTS + "\"a//b\": must start with a '/'", PARTS + '"a//b": segment[0] may not be empty',
      PARTS + '"a//b": segment[1] may not be empty']),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration",
     webhook(clientConfig={"url": "http://me@example.com/?a=b"}),
     ["webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; "
      "desired format: https://host[/path]",
      'webhooks[0].clientConfig.url: Invalid value: "me": user information is not permitted in the URL',
      'webhooks[0].clientConfig.url: Invalid value: "a=b": query parameters are not permitted in the URL']),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration",
     webhook(rules=[{"apiGroups": [""], "apiVersions": [""], "operations": ["GET"],
                     "resources": ["pods/*", "pods/log", "*/log", "*", "pods"]}]),
     ['webhooks[0].rules[0].apiVersions[0]: Required value',
      "webhooks[0].rules[0].resources[1]: Invalid value: \"pods/log\": "
      "if 'pods/*' is present, must not specify pods/log",
      'webhooks[0].rules[0].resources: Invalid value: ["pods/*","pods/log","*/log","*","pods"]: '
      "if '*' is present, must not specify other resources without subresources",
      'webhooks[0].rules[0].operations[0]: Unsupported value: "GET": supported values: '
      '"*", "CONNECT", "CREATE", "DELETE", "UPDATE"']),
    # events
    ("v1", "Event", {"involvedObject": {"namespace": "other"}},
     ['involvedObject.namespace: Invalid value: "other": does not match event.namespace']),
    ("events.k8s.io/v1", "Event", {"involvedObject": {"namespace": "default"}, "type": "Odd", "count": 3},
     ["eventTime: Required value", 'type: Invalid value: "": has invalid value: Odd',
      'count: Invalid value: "": needs to be unset']),
    ("events.k8s.io/v1", "Event",
     {"eventTime": "2026-01-01T00:00:00.000000Z", "involvedObject": {"namespace": "default"}, "type": "Normal",
      "reportingComponent": "a", "reportingInstance": "b", "reason": "r" * 129, "series": {"count": 1}},
     ["action: Required value", 'reason: Invalid value: "": can have at most 128 characters',
      'series.count: Invalid value: "": should be at least 2', "series.lastObservedTime: Required value"]),
    # volumes
    ("v1", "PersistentVolume",
     {"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "volumeMode": "",
               "nodeAffinity": {"required": {}},
               "csi": {"driver": "a.b", "volumeHandle": "h", "nodePublishSecretRef": {"name": "s"}}}},
     ['spec.volumeMode: Unsupported value: "": supported values: "Block", "Filesystem"',
      "spec.nodeAffinity.required.nodeSelectorTerms: Required value: must have at least one node selector term",
      "spec.csi.nodePublishSecretRef.namespace: Required value"]),
    ("v1", "Pod", volume(iscsi={"targetPortal": "1.2.3.4", "iqn": "iqn.bad", "lun": 256, "initiatorName": ""}),
     ['spec.volumes[0].iscsi.iqn: Invalid value: "iqn.bad": must be valid format',
      "spec.volumes[0].iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive",
      'spec.volumes[0].iscsi.initiatorname: Invalid value: "": must be valid format starting with iqn, eui, or naa']),
    ("v1", "Pod", volume(fc={"targetWWNs": ["a"]}),
     ["spec.volumes[0].fc.lun: Required value: lun is required if targetWWNs is specified"]),
    ("v1", "Pod", volume(flexVolume={"options": {"a.k8s.io/b": "c"}}),
     ["spec.volumes[0].flexVolume.driver: Required value",
      'spec.volumes[0].flexVolume.options[a.k8s.io/b]: Invalid value: "a.k8s.io/b": '
      "kubernetes.io and k8s.io namespaces are reserved"]),
    ("v1", "Pod", volume(nfs={"server": "a"}),
     ["spec.volumes[0].nfs.path: Required value",
      'spec.volumes[0].nfs.path: Invalid value: "": must be an absolute path']),
    ("v1", "Pod", volume(projected={"sources": [{"serviceAccountToken": {}}, {}]}),
     ["spec.volumes[0].projected.path: Required value"]),
    # pods
    ("v1", "Pod", pod(imagePullSecrets=[{}]), []),
    ("v1", "Pod", pod(tolerations=[{}]),
     ['spec.tolerations[0].operator: Invalid value: "": operator must be Exists when `key` is empty, '
      'which means "match all values and all keys"']),
    ("v1", "Pod",
     pod(topologySpreadConstraints=[{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}] * 2),
     ["spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: \"{z, DoNotSchedule}\""]),
    ("v1", "Pod",
     pod(topologySpreadConstraints=[
         {"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["a", "b"],
          "labelSelector": {"matchLabels": {"b": "1"}, "matchExpressions": [
              {"key": key, "operator": "Exists"} for key in "ab"]}}]),
     ['spec.topologySpreadConstraints[0][1]: Invalid value: "b": exists in both matchLabelKeys and labelSelector']),
    ("v1", "Pod",
     pod(affinity={"podAffinity": {AFFINITY: [
         {"topologyKey": "z", "labelSelector": {}, "matchLabelKeys": ["a"], "mismatchLabelKeys": ["a"]},
         {"topologyKey": "z", "mismatchLabelKeys": ["a"]}]}}),
     [f"spec.affinity.podAffinity.{AFFINITY}[{what}" for what in (
         '0].matchLabelKeys[0]: Invalid value: "a": exists in both matchLabelKeys and mismatchLabelKeys',
         "1].mismatchLabelKeys: Forbidden: must not be specified when labelSelector is not set")]),
    ("v1", "Pod",
     pod(affinity={"nodeAffinity": {AFFINITY: {"nodeSelectorTerms": [
         {"matchFields": [{"key": "spec.x", "operator": "Gt", "values": ["1"]}]}]}}}),
     [f"spec.affinity.nodeAffinity.{AFFINITY}.nodeSelectorTerms[0].matchFields[0].{what}" for what in (
         'operator: Invalid value: "Gt": not a valid selector operator',
         'key: Invalid value: "spec.x": not a valid field selector key')]),
    ("v1", "Pod", pod(securityContext={"seccompProfile": {"localhostProfile": "a"}}),
     ["spec.securityContext.seccompProfile.type: Required value: type is required when seccompProfile is set",
      'spec.securityContext.seccompProfile.localhostProfile: Invalid value: {"Type":"","LocalhostProfile":"a"}: '
      "can only be set when seccomp type is Localhost"]),
    ("v1", "Pod", container(terminationMessagePolicy="Shout"),
     ['spec.containers[0].terminationMessagePolicy: Unsupported value: "Shout": '
      'supported values: "File", "FallbackToLogsOnError"']),
    ("v1", "Pod",
     container(env=[{"name": "A", "valueFrom": {"fieldRef": {"apiVersion": "v2", "fieldPath": "metadata.name"}}}]),
     ['spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.name": '
      "error converting fieldPath: unsupported pod version: v2"]),
    ("v1", "Pod",
     container(env=[{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "2"}}}]),
     ['spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": '
      "only divisor's values 1m and 1 are supported with the cpu resource"]),
    ("v1", "Pod", container(envFrom=[{}]),
     ['spec.containers[0].envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`']),
    ("v1", "Pod", container(volumeMounts=[{"mountPath": "/a", "mountPropagation": ""}]),
     ["spec.containers[0].volumeMounts[0].name: Required value",
      'spec.containers[0].volumeMounts[0].name: Not found: ""',
      'spec.containers[0].volumeMounts.mountPropagation: Unsupported value: "": supported values: '
      '"Bidirectional", "HostToContainer", "None"']),
]  # fmt: skip


@pytest.mark.parametrize(("api_version", "kind", "obj", "expected"), CASES, ids=lambda part: str(part)[:30])
def test_all_that_is_wrong_is_told(api_version: str, kind: str, obj: Object, expected: list[str]) -> None:
    assert judged(api_version, kind, obj) == expected


@pytest.mark.parametrize(
    ("api_version", "kind", "obj", "beginnings"),
    [
        ("v1", "Pod", pod(dnsPolicy="None", dnsConfig={"nameservers": ["1.1.1.1"], "searches": ["", "_a.b", "A_"]}),
         ['spec.dnsConfig.searches[0]: Invalid value: "": a lowercase RFC 1123 subdomain',
          "spec.dnsConfig.searches[2]: Invalid value: \"A_\": a lowercase RFC 1123 subdomain must consist of lower "
          "case alphanumeric characters, '_', '-' or '.'"]),
        ("v1", "Pod", container(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"key": "k"}}}]),
         [f'spec.containers[0].env[0].valueFrom.secretKeyRef.name: Invalid value: "": {SUBDOMAIN}']),
        ("v1", "Pod", volume(ephemeral={"volumeClaimTemplate": {
            "metadata": {"labels": {"a": "!"}},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1"}}}}}),
         [f'spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.labels: Invalid value: "!": {LABEL}']),
        ("storage.k8s.io/v1", "VolumeAttachment", {"spec": {}},
         ["spec.attacher: Required value", f'spec.attacher: Invalid value: "": {SUBDOMAIN}',
          "spec.source: Required value", f'spec.nodeName: Invalid value: "": {SUBDOMAIN}']),
        ("v1", "Endpoints", {"subsets": [{"addresses": [{"ip": "10.0.0.1", "nodeName": ""}],
                                          "ports": [{"port": 80, "appProtocol": ""}]}]},
         [f'subsets[0].addresses[0].nodeName: Invalid value: "": {SUBDOMAIN}',
          'subsets[0].ports[0].appProtocol: Invalid value: "": name part must be non-empty',
          f'subsets[0].ports[0].appProtocol: Invalid value: "": {NAME}']),
    ],
)  # fmt: skip
def test_how_it_is_told(api_version: str, kind: str, obj: Object, beginnings: list[str]) -> None:
    found = judged(api_version, kind, obj)
    assert len(found) == len(beginnings), found
    assert all(text.startswith(start) for text, start in zip(found, beginnings, strict=True)), found


def test_a_volume_that_is_wrong_cannot_be_mounted() -> None:
    mounting = container(volumeMounts=[{"name": "v", "mountPath": "/a"}])
    mounting["spec"]["volumes"] = [{"name": "v", "configMap": {}}]
    assert judged("v1", "Pod", mounting) == [
        "spec.volumes[0].configMap.name: Required value",
        'spec.containers[0].volumeMounts[0].name: Not found: "v"',
    ]


def test_a_stateful_set_with_a_template_that_was_wrong_already_may_change() -> None:
    strategy = ROWS["apps/v1", "StatefulSet"].strategy
    mounting = container(volumeMounts=[{"name": "data", "mountPath": "/a"}])["spec"]
    claim = {"metadata": {"name": "data"},
             "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}  # fmt: skip
    right = deployment(template={**TEMPLATE, "spec": mounting}, volumeClaimTemplates=[claim])
    wrong = deployment(template={**TEMPLATE, "spec": mounting}, volumeClaimTemplates=[])
    for obj in (right, wrong):
        obj["metadata"] = {"name": "x"}
        strategy.defaults(obj)
    assert judged("apps/v1", "StatefulSet", right) == []  # containers may mount what the claims bring
    missing = 'spec.template.spec.containers[0].volumeMounts[0].name: Not found: "data"'
    assert judged("apps/v1", "StatefulSet", wrong) == [missing]
    scaled = copy.deepcopy(wrong)
    scaled["spec"]["replicas"] = 3
    assert strategy.validate_update(scaled, wrong) == []
    worse = copy.deepcopy(right)
    worse["spec"]["template"]["spec"]["containers"][0]["volumeMounts"][0]["name"] = "no"
    assert [str(error) for error in strategy.validate_update(worse, right)] == [missing.replace("data", "no")]


def test_templates_of_daemon_sets_are_counted() -> None:
    strategy = ROWS["apps/v1", "DaemonSet"].strategy
    first = deployment() | {"metadata": {"name": "x"}}
    strategy.prepare_for_create(CONTEXT, first)
    assert first["metadata"]["annotations"] == {"deprecated.daemonset.template.generation": "1"}
    second = copy.deepcopy(first)
    second["metadata"]["annotations"] = {}
    strategy.prepare_for_update(CONTEXT, second, first)
    assert second["metadata"]["annotations"] == {"deprecated.daemonset.template.generation": "1"}
    third = copy.deepcopy(second)
    third["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    strategy.prepare_for_update(CONTEXT, third, second)
    assert third["metadata"]["annotations"] == {"deprecated.daemonset.template.generation": "2"}


def test_a_job_without_labels_has_those_of_its_template() -> None:
    strategy = ROWS["batch/v1", "Job"].strategy
    job: Object = {"metadata": {"name": "x", "uid": "1"}, "spec": {"template": copy.deepcopy(TEMPLATE)}}
    named = copy.deepcopy(job)
    named["metadata"]["labels"] = {"app": "web"}
    for obj in (job, named):
        strategy.defaults(obj)
        strategy.prepare_for_create(CONTEXT, obj)
    assert job["metadata"]["labels"] == job["spec"]["template"]["metadata"]["labels"]
    assert job["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "x"
    assert named["metadata"]["labels"] == {"app": "web"}


def test_a_limit_range_without_a_name_gets_one() -> None:
    limits: Object = {"metadata": {}}
    ROWS["v1", "LimitRange"].strategy.prepare_for_create(CONTEXT, limits)
    assert len(limits["metadata"]["name"]) == 36


def test_what_a_node_has_can_be_given_away() -> None:
    node: Object = {"spec": {"podCIDRs": ["10.1.0.0/24"]}, "status": {"capacity": {"cpu": "4"}}}
    ROWS["v1", "Node"].strategy.defaults(node)
    assert node["spec"]["podCIDR"] == "10.1.0.0/24"
    assert node["status"]["allocatable"] == {"cpu": "4"}


@pytest.mark.parametrize("image", ["Bad_Name!", "a" * 260, "-a", "x y"])
def test_an_image_whose_name_cannot_be_read_has_no_latest_tag(image: str) -> None:
    made = container(image=image)
    ROWS["v1", "Pod"].strategy.defaults(made)
    assert made["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    for right in ("nginx", "registry.example.com:5000/a/b_c", "REGISTRY.io/a:latest"):
        made = container(image=right)
        ROWS["v1", "Pod"].strategy.defaults(made)
        assert made["spec"]["containers"][0]["imagePullPolicy"] == "Always"


def test_names_that_upstream_does_not_look_at() -> None:
    for key in (
        ("v1", "Event"),
        ("policy/v1", "PodDisruptionBudget"),
        ("certificates.k8s.io/v1", "CertificateSigningRequest"),
    ):
        assert ROWS[key].strategy.name_errors("Some_Name!") == []
        assert ROWS[key].strategy.name_errors("a/b") != []
    assert ROWS["events.k8s.io/v1", "Event"].strategy.error_group == ""


STATUSES: list[tuple[str, Object, Object, list[str]]] = [
    ("Deployment", {"replicas": 1, "readyReplicas": 5}, {},
     ["status.readyReplicas: Invalid value: 5: cannot be greater than status.replicas"]),
    ("Deployment", {"collisionCount": 4}, {"collisionCount": 5},
     ["status.collisionCount: Invalid value: 4: cannot be decremented"]),
    ("ReplicaSet", {"replicas": 2, "availableReplicas": 1}, {},
     ["status.availableReplicas: Invalid value: 1: cannot be greater than readyReplicas"]),
    ("StatefulSet", {"currentReplicas": -1}, {},
     ["status.currentReplicas: Invalid value: -1: must be greater than or equal to 0"]),
    ("DaemonSet", {"numberReady": -1}, {},
     ["status.numberReady: Invalid value: -1: must be greater than or equal to 0"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "new", "old", "expected"), STATUSES)
def test_counts_of_workloads_fit_together(kind: str, new: Object, old: Object, expected: list[str]) -> None:
    strategy = ROWS["apps/v1", kind].strategy
    assert [
        str(error) for error in strategy.validate_status_update({"status": new}, {"status": old})
    ] == expected


def test_the_addresses_of_a_pod_agree() -> None:
    strategy = ROWS["v1", "Pod"].strategy
    for given, expected in (
        ({"podIP": "1.2.3.4"}, {"podIP": "1.2.3.4", "podIPs": [{"ip": "1.2.3.4"}]}),
        ({"podIPs": [{"ip": "1.2.3.4"}]}, {"podIP": "1.2.3.4", "podIPs": [{"ip": "1.2.3.4"}]}),
        (
            {"podIP": "1.2.3.4", "podIPs": [{"ip": "5.6.7.8"}]},
            {"podIP": "1.2.3.4", "podIPs": [{"ip": "1.2.3.4"}]},
        ),
    ):
        new: Object = {"metadata": {}, "status": given}
        strategy.prepare_for_status_update(CONTEXT, new, {"metadata": {}})
        assert new["status"] == expected


def test_a_mirror_is_of_a_node() -> None:
    mirror = POD_OF_A_FILE | {"spec": POD}
    assert judged("v1", "Pod", mirror) == [
        'metadata.annotations[kubernetes.io/config.mirror]: Invalid value: "x": '
        "must set spec.nodeName if mirror pod annotation is set"
    ]


POD_OF_A_FILE: Object = {"metadata": {"name": "x", "annotations": {"kubernetes.io/config.mirror": "x"}}}


def test_finalizers_of_namespaces_are_judged_when_they_are_put_too() -> None:
    finalize = ROWS["v1", "Namespace"].subresources["finalize"]
    assert finalize.validate_update is not None
    found = finalize.validate_update({"spec": {"finalizers": ["kubernetes", "x"]}}, {})
    assert [str(error) for error in found] == [
        'spec.finalizers[1]: Invalid value: "x": name is neither a standard finalizer name nor is it fully qualified'
    ]
    assert "name" not in ROWS["v1", "Namespace"].strategy.selectable_fields


def test_a_scale_that_is_wrong_is_refused_as_one() -> None:
    merge = ROWS["apps/v1", "Deployment"].subresources["scale"].merge
    assert merge is not None
    with pytest.raises(errors.Invalid) as refused:
        merge({"metadata": {"name": "x"}}, {"spec": {"replicas": -4}})
    assert str(refused.value) == (
        'Scale.autoscaling "x" is invalid: spec.replicas: Invalid value: -4: must be greater than or equal to 0'
    )
