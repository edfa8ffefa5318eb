"""What `kubectl get` shows, column by column; each expectation is what upstream's printers say of the same object."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from apiserver.registry.columns.by_kind import COLUMNS, ROW_CONDITIONS, ROW_ORDER
from kubarium.apimachinery.object import Object
from kubarium.apimachinery.schema import catalog

NOW = datetime(2026, 1, 1, 0, 10, tzinfo=UTC)
LONG_AGO = "2026-01-01T00:00:00Z"
RUNNING = {"running": {}}


def shown(kind: str, name: str, **obj: Any) -> Any:
    """The cell of a column."""
    obj.setdefault("metadata", {"name": "x"})
    column = next(column for column in COLUMNS[kind] if column.name == name)
    return column.cell(obj, NOW) if column.needs_now else column.cell(obj)


def ended(code: int, reason: str = "", **more: Any) -> Object:
    return {
        "terminated": {
            "exitCode": code,
            "finishedAt": LONG_AGO,
            **({"reason": reason} if reason else {}),
            **more,
        }
    }


def waiting(reason: str) -> Object:
    return {"waiting": {"reason": reason}}


def state(name: str, now: Object, ready: bool = False, restarts: int = 0, **more: Any) -> Object:
    return {"name": name, "state": now, "ready": ready, "restartCount": restarts, **more}


def pod(
    *states: Object, init: tuple[Object, ...] = (), sidecars: tuple[str, ...] = (), **status: Any
) -> dict[str, Any]:
    always = {"restartPolicy": "Always"}
    return {
        "spec": {
            "containers": [{"name": one["name"]} for one in states],
            "initContainers": [
                {"name": i["name"], **(always if i["name"] in sidecars else {})} for i in init
            ],
        },
        "status": {"containerStatuses": list(states), "initContainerStatuses": list(init), **status},
    }


TRUE, FALSE = [{"type": "Ready", "status": "True"}], [{"type": "Ready", "status": "False"}]
INITIALIZED = [{"type": "Initialized", "status": "True"}]


@pytest.mark.parametrize(
    ("of", "ready", "word", "restarts"),
    [
        (pod(phase="Pending"), "0/0", "Pending", "0"),
        (pod(state("a", RUNNING, True), phase="Running"), "1/1", "Running", "0"),
        (pod(state("a", {}, True), phase="Running"), "0/1", "Running", "0"),
        (
            pod(state("a", waiting("CrashLoopBackOff"), restarts=5, lastState=ended(1)), phase="Running"),
            "0/1",
            "CrashLoopBackOff",
            "5 (10m ago)",
        ),
        (
            pod(state("a", RUNNING, True), state("b", ended(0, "Completed")), phase="Running", conditions=TRUE),
            "1/2",
            "Running",
            "0",
        ),
        (
            pod(state("a", RUNNING, True), state("b", ended(0, "Completed")), phase="Running", conditions=FALSE),
            "1/2",
            "NotReady",
            "0",
        ),
        (pod(state("b", ended(0, "Completed")), state("a", ended(2, "Error"))), "0/2", "Error", "0"),
        (pod(state("a", ended(0, signal=9))), "0/1", "Signal:9", "0"),
        (pod(state("a", ended(3)), phase="Failed"), "0/1", "ExitCode:3", "0"),
        (
            pod(
                state("a", waiting("PodInitializing")),
                init=(state("i", ended(0), restarts=2, lastState=ended(1)), state("j", RUNNING, restarts=1)),
            ),
            "0/1",
            "Init:1/2",
            "3 (10m ago)",
        ),
        (pod(state("a", RUNNING, True), init=(state("i", ended(1, "Error")),)), "0/1", "Init:Error", "0"),
        (
            pod(
                state("a", RUNNING, True, restarts=1),
                init=(state("s", RUNNING, True, restarts=4, started=True), state("i", ended(0), restarts=7)),
                sidecars=("s",),
                phase="Running",
            ),
            "2/2",
            "Running",
            "5",
        ),
        (
            pod(
                state("a", RUNNING, True),
                init=(state("s", waiting("CrashLoopBackOff"), restarts=4),),
                sidecars=("s",),
                phase="Running",
                conditions=INITIALIZED,
            ),
            "1/2",
            "Init:CrashLoopBackOff",
            "4",
        ),
    ],
)  # fmt: skip
def test_pods(of: dict[str, Any], ready: str, word: str, restarts: str) -> None:
    assert [shown("Pod", name, **of) for name in ("Ready", "Status", "Restarts")] == [ready, word, restarts]


def test_rows_of_ended_pods_say_so() -> None:
    assert ROW_CONDITIONS["Pod"]({"status": {"phase": "Running"}}) is None
    said = {"type": "Completed", "status": "True", "reason": "Failed", "message": "The pod failed."}
    assert ROW_CONDITIONS["Pod"]({"status": {"phase": "Failed"}}) == [said]


def resource(wanted: Object) -> Object:
    return {"type": "Resource", "resource": {"name": "cpu", "target": wanted}}


@pytest.mark.parametrize(
    ("metrics", "seen", "text"),
    [
        ([], [], "<none>"),
        ([resource({"averageUtilization": 50})], [], "cpu: <unknown>/50%"),
        ([resource({})], [{"resource": {"current": {"averageUtilization": 3}}}], "cpu: 3%/<auto>"),
        ([resource({"averageValue": "1"})], [{"resource": {"current": {"averageValue": "5m"}}}], "cpu: 5m/1"),
        ([{"type": "Pods", "pods": {"target": {"averageValue": "9"}}}], [], "<unknown>/9"),
        (
            [{"type": "Object", "object": {"target": {"averageValue": "9"}}}],
            [{"object": {"current": {"averageValue": "4", "value": "8"}}}],
            "4/9 (avg)",
        ),
        ([{"type": "External", "external": {"target": {"value": "9"}}}], [{"external": {"current": {}}}], "<nil>/9"),
        ([resource({"averageUtilization": 50})] * 4, [], "cpu: <unknown>/50%, cpu: <unknown>/50% + 2 more..."),
        ([{"type": "Odd"}], [], "<unknown type>"),
    ],
)  # fmt: skip
def test_targets_of_autoscalers(metrics: list[Object], seen: list[Object], text: str) -> None:
    autoscaler = {"spec": {"metrics": metrics}, "status": {"currentMetrics": seen}}
    assert shown("HorizontalPodAutoscaler", "Targets", **autoscaler) == text


CELLS = yaml.safe_load(r"""
- [Node, Roles, 'a,edge', {metadata: {labels: {kubernetes.io/role: edge, node-role.kubernetes.io/a: ''}}}]
- [Node, Kernel-Version, 6.1 (arm64), {status: {nodeInfo: {kernelVersion: '6.1', architecture: arm64}}}]
- [Service, External-IP, '8.8.8.8,9.9.9.9,a.example.com,1.1.1.1', {spec: {type: LoadBalancer, externalIPs: [1.1.1.1]},
      status: {loadBalancer: {ingress: [{ip: 9.9.9.9}, {hostname: a.example.com}, {ip: 8.8.8.8}, {ip: 9.9.9.9}]}}}]
- [Service, External-IP, <pending>, {spec: {type: LoadBalancer}}]
- [Service, Cluster-IP, <none>, {spec: {type: ExternalName}}]
- [Ingress, Hosts, 'a,b,c + 2 more...', {spec: {rules: [{}, {host: a}, {host: b}, {host: c}, {}]}}]
- [Ingress, Address, '8.8.8.8,9.9.9.9,a.example.com', {status: {loadBalancer: {ingress: [{ip: 9.9.9.9},
    {hostname: a.example.com},
            {ip: 8.8.8.8}, {ip: 9.9.9.9}]}}}]
- [IngressClass, Name, x (default), {metadata: {name: x,
    annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}}]
- [Endpoints, Endpoints, '[fd::1]:80', {subsets: [{addresses: [{ip: 'fd::1'}], ports: [{port: 80}]}]}]
- [Endpoints, Endpoints, '', {subsets: [{notReadyAddresses: [{ip: 1.1.1.1}]}]}]
- [Endpoints, Endpoints, <none>, {}]
- [EndpointSlice, Ports, '80,b,*', {ports: [{port: 80}, {name: b}, {}]}]
- [PersistentVolumeClaim, Capacity, '', {status: {capacity: {storage: 1Gi}}}]
- [PersistentVolumeClaim, Capacity, '0', {spec: {volumeName: v}}]
- [PersistentVolume, StorageClass, old,
    {metadata: {annotations: {volume.beta.kubernetes.io/storage-class: old}}, spec: {
        storageClassName: new}}]
- [Event, Object, thing, {involvedObject: {kind: Thing}}]
- [Event, Source, 'a, b', {reportingComponent: a, reportingInstance: b}]
- [Event, Last Seen, 10m, {eventTime: '2026-01-01T00:00:00Z'}]
- [Event, First Seen, <unknown>, {metadata: {creationTimestamp: '2026-01-01T00:00:00Z'}}]
- [PodDisruptionBudget, Min Available, '2', {spec: {minAvailable: 2}}]
- [CronJob, Suspend, <unset>, {spec: {}}]
- [Deployment, Selector, 'a,b=1', {spec: {selector: {matchLabels: {b: '1'}, matchExpressions: [{key: a,
    operator: Exists}]}}}]
- [Deployment, Selector, '', {spec: {selector: {}}}]
- [ReplicaSet, Selector, <none>, {spec: {selector: {}}}]
- [ReplicaSet, Images, '', {}]
- [CertificateSigningRequest, RequestedDuration, 10m, {spec: {expirationSeconds: 600}}]
- [CertificateSigningRequest, Condition, 'Approved,Failed', {status: {conditions: [{type: Approved},
    {type: Failed}]}}]
- [ResourceClaim, State, 'deleted,allocated,reserved',
    {metadata: {deletionTimestamp: '2026-01-01T00:00:00Z'}, status: {
        allocation: {devices: {}}, reservedFor: [{}]}}]
- [ResourceClaim, State, pending, {}]
- [IPAddress, ParentRef, services/a/b, {spec: {parentRef: {resource: services, namespace: a, name: b}}}]
- [ValidatingAdmissionPolicyBinding, ParamRef, '*/p', {spec: {paramRef: {name: p}}}]
- - ValidatingAdmissionPolicyBinding
  - ParamRef
  - "&LabelSelector{MatchLabels:map[string]string{a: b,},MatchExpressions:[]LabelSelectorRequirement{\
    LabelSelectorRequirement{Key:k,Operator:In,Values:[x y],},},}"
  - spec: {paramRef: {selector: {matchLabels: {a: b}, matchExpressions: [{key: k, operator: In, values: [x, y]}]}}}
- [APIService, Available, False (Why), {status: {conditions: [{type: Available, status: 'False', reason: Why}]}}]
""")
"""Kind, column, what it says, of what object."""


@pytest.mark.parametrize(("kind", "column", "text", "obj"), CELLS)
def test_cells(kind: str, column: str, text: str, obj: dict[str, Any]) -> None:
    assert shown(kind, column, **obj) == text


def test_every_field_that_a_column_is_about_is_published() -> None:
    schemas = catalog.load()
    about = {column.about for columns in COLUMNS.values() for column in columns if column.about}
    assert len(about) > 80
    assert all(schemas.description(field) for field in about)


def test_flow_schemas_are_listed_in_the_order_in_which_they_are_asked() -> None:
    def schema(name: str, precedence: int) -> Object:
        return {"metadata": {"name": name}, "spec": {"matchingPrecedence": precedence}}

    found = sorted([schema("b", 1), schema("a", 1), schema("c", 0)], key=ROW_ORDER["FlowSchema"])
    assert [one["metadata"]["name"] for one in found] == ["c", "a", "b"]
