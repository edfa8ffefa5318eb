import orjson
import pytest

from kubarium.apimachinery.apply import field_set, managed_fields, merge
from kubarium.apimachinery.apply.managed_fields import Writer
from kubarium.apimachinery.errors import BadRequest, Conflict, StatusError
from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.object import copy
from kubarium.apimachinery.schema.structural import from_openapi

NOON, LATER = "2026-01-01T12:00:00Z", "2026-01-01T13:00:00Z"


@pytest.fixture(scope="module")
def pods(schemas):
    return schemas.schema(GroupVersionKind("", "v1", "Pod"))


@pytest.fixture(scope="module")
def deployments(schemas):
    return schemas.schema(GroupVersionKind("apps", "v1", "Deployment"))


def update(live, change, manager, schema, time=NOON, subresource="", **kwargs):
    new = copy(live) if live is not None else {}
    change(new)
    managed_fields.update(live, new, Writer(manager, "v1", time, subresource), schema, **kwargs)
    return new


def owners(obj, *path):
    """Who owns a field, by name and operation."""
    found = []
    for entry in obj["metadata"].get("managedFields", ()):
        node = entry["fieldsV1"]
        for step in path:
            node = node.get(step) if node is not None else None
        if node is not None and field_set.is_member(node):
            found.append((entry["manager"], entry["operation"]))
    return found


def make_pod(obj):
    obj.update(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "a", "labels": {"app": "web"}},
            "spec": {
                "containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 80}]}],
                "tolerations": [],
            },
            "status": {"phase": "Pending"},
        }
    )


def test_a_created_object_belongs_to_its_creator(pods):
    pod = update(None, make_pod, "kubectl", pods, reset=(("status",),))
    (entry,) = pod["metadata"]["managedFields"]
    assert entry == {
        "manager": "kubectl",
        "operation": "Update",
        "apiVersion": "v1",
        "time": NOON,
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {
                "f:containers": {
                    'k:{"name":"c"}': {
                        ".": {},
                        "f:name": {},
                        "f:image": {},
                        "f:ports": {
                            ".": {},
                            'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}},
                        },
                    }
                },
                "f:tolerations": {},
            },
        },
    }


def test_whoever_changes_a_field_takes_it(pods):
    pod = update(None, make_pod, "kubectl", pods)
    pod = update(pod, lambda p: p["spec"]["containers"][0].update(image="y"), "editor", pods, LATER)
    image = ("f:spec", "f:containers", 'k:{"name":"c"}', "f:image")
    assert owners(pod, *image) == [("editor", "Update")]
    pod = update(pod, lambda p: p["metadata"].pop("labels"), "remover", pods, LATER)
    assert owners(pod, "f:metadata", "f:labels") == []
    assert [entry["manager"] for entry in pod["metadata"]["managedFields"]] == ["kubectl", "editor"]


def test_a_write_that_changes_nothing_leaves_the_managers_alone(pods):
    pod = update(None, make_pod, "kubectl", pods)
    same = update(pod, lambda p: p["metadata"].update(resourceVersion="7"), "other", pods, LATER)
    assert same["metadata"]["managedFields"] == pod["metadata"]["managedFields"]


def test_subresources_are_managers_of_their_own(pods):
    pod = update(None, make_pod, "kubectl", pods, reset=(("status",),))
    pod = update(pod, lambda p: p["status"].update(phase="Running"), "kubelet", pods, LATER, "status")
    assert owners(pod, "f:status", "f:phase") == [("kubelet", "Update")]
    assert pod["metadata"]["managedFields"][-1]["subresource"] == "status"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ([{}], False),
        ([], True),  # by clients that do not know of managed fields
        ([{"manager": "x", "operation": "Bad"}], True),
        ([{"manager": "x", "operation": "Update", "fieldsV1": {"x:y": {}}}], True),
        ([{"apiVersion": "v1", "operation": "Update", "fieldsV1": {"f:spec": {}}}], True),  # of no type
        ([{"apiVersion": "v1", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {}}], False),
    ],
)
def test_only_one_empty_entry_starts_the_managers_anew(pods, sent, kept):
    pod = update(None, make_pod, "kubectl", pods)
    pod = update(pod, lambda p: p["metadata"].update(managedFields=sent), "kubectl", pods)
    assert ("managedFields" in pod["metadata"]) is kept


def sent_entry(manager, fields, operation="Update"):
    entry = {"manager": manager, "operation": operation, "apiVersion": "v1", "time": NOON}
    return entry | {"fieldsType": "FieldsV1", "fieldsV1": fields}


def test_tools_may_write_managed_fields_themselves(pods):
    image = {"f:spec": {"f:containers": {'k:{"name":"c"}': {".": {}, "f:image": {}}}}}
    phase = sent_entry("restored", {"f:status": {"f:phase": {}}})

    def restored(pod):
        make_pod(pod)
        pod["metadata"]["managedFields"] = [phase]

    pod = update(None, restored, "tool", pods, reset=(("status",),))
    assert [entry["manager"] for entry in pod["metadata"]["managedFields"]] == ["restored", "tool"]
    # What `kubectl apply --server-side` sends before, where it has applied from the client so far.
    migrated = [sent_entry("kubectl", image, "Apply") | {"subresource": ""}, phase]
    pod = update(pod, lambda p: p["metadata"].update(managedFields=migrated), "kubectl", pods)
    assert pod["metadata"]["managedFields"] == [sent_entry("kubectl", image, "Apply"), phase]


def test_the_oldest_of_many_updaters_become_one(pods):
    pod = update(None, make_pod, "m0", pods)
    for number in range(1, 15):
        change, time = {f"l{number}": "x"}, f"2027-01-{number:02}T00:00:00Z"
        pod = update(pod, lambda p, c=change: p["metadata"]["labels"].update(c), f"m{number}", pods, time)
    managers = [entry["manager"] for entry in pod["metadata"]["managedFields"]]
    assert len(managers) == 10
    assert "ancient-changes" in managers
    assert owners(pod, "f:metadata", "f:labels", "f:l1") == [("ancient-changes", "Update")]
    assert owners(pod, "f:metadata", "f:labels", "f:l14") == [("m14", "Update")]


CONFIG = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d", "namespace": "n", "labels": {"a": "1", "b": "2"}},
    "spec": {
        "replicas": 3,
        "template": {
            "spec": {"containers": [{"name": "x", "image": "i", "env": [{"name": "E", "value": "1"}]}]}
        },
    },
}


def apply(live, config, schema, manager="me", time=NOON, **kwargs):
    return managed_fields.apply(live, config, Writer(manager, "apps/v1", time), schema, **kwargs)


def test_applying_makes_merges_and_removes(deployments):
    live = apply(None, CONFIG, deployments)
    assert live["spec"] == CONFIG["spec"]
    assert apply(live, CONFIG, deployments, time=LATER) == live
    live["spec"]["paused"] = True
    managed_fields.update(apply(None, CONFIG, deployments), live, Writer("hpa", "apps/v1", NOON), deployments)
    config = copy(CONFIG)
    del config["metadata"]["labels"]["b"], config["spec"]["template"]["spec"]["containers"][0]["env"]
    config["spec"]["template"]["spec"]["containers"].append({"name": "y", "image": "j"})
    result = apply(live, config, deployments)
    assert result["metadata"]["labels"] == {"a": "1"}
    assert result["spec"]["paused"] is True
    containers = result["spec"]["template"]["spec"]["containers"]
    assert containers == [{"name": "x", "image": "i"}, {"name": "y", "image": "j"}]
    assert live["metadata"]["labels"] == {"a": "1", "b": "2"}


def test_two_appliers_may_agree_and_share(deployments):
    live = apply(apply(None, CONFIG, deployments), CONFIG, deployments, manager="you")
    assert sorted(owners(live, "f:spec", "f:replicas")) == [("me", "Apply"), ("you", "Apply")]
    without = copy(CONFIG)
    del without["spec"]["replicas"]
    live = apply(live, without, deployments)
    assert live["spec"]["replicas"] == 3
    assert owners(live, "f:spec", "f:replicas") == [("you", "Apply")]


def test_a_foreign_field_is_a_conflict_unless_forced(deployments):
    created = apply(None, CONFIG, deployments)
    live = copy(created)
    live["spec"]["replicas"] = 5
    managed_fields.update(created, live, Writer("hpa", "apps/v1", NOON), deployments)
    with pytest.raises(Conflict) as conflict:
        apply(live, CONFIG, deployments)
    assert conflict.value.message == (
        'Apply failed with 1 conflict: conflict with "hpa" using apps/v1: .spec.replicas'
    )
    assert conflict.value.causes() == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "hpa" using apps/v1',
            "field": ".spec.replicas",
        }
    ]
    forced = apply(live, CONFIG, deployments, force=True)
    assert forced["spec"]["replicas"] == 3
    assert owners(forced, "f:spec", "f:replicas") == [("me", "Apply")]


def test_several_conflicts_are_listed_by_manager(deployments):
    live = apply(None, CONFIG, deployments)
    other = copy(CONFIG)
    other["spec"]["replicas"] = 9
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "z"
    with pytest.raises(Conflict) as conflict:
        apply(live, other, deployments, manager="you")
    assert conflict.value.message == (
        'Apply failed with 2 conflicts: conflicts with "me":\n- .spec.replicas\n'
        '- .spec.template.spec.containers[name="x"].image'
    )


def test_an_object_without_managers_belongs_to_before_first_apply(deployments):
    live = copy(CONFIG)
    with pytest.raises(Conflict, match='"before-first-apply" using apps/v1'):
        apply(live, {**CONFIG, "spec": {"replicas": 1}}, deployments)


def test_what_the_schema_does_not_know_is_refused(deployments):
    config = copy(CONFIG)
    config["spec"]["foo"] = 1
    with pytest.raises(StatusError) as refused:
        apply(None, config, deployments)
    assert refused.value.message == (
        "failed to create typed patch object (n/d; apps/v1, Kind=Deployment): .spec.foo: field not declared in schema"
    )
    with pytest.raises(BadRequest, match=r"metadata\.managedFields must be nil"):
        apply(None, {"metadata": {"managedFields": [{"manager": "x"}]}}, deployments)


@pytest.mark.parametrize(
    ("container", "problem"),
    [
        ({"name": 1}, "[name=1].name: expected string, got &value.valueUnstructured{Value:1}"),
        ({"name": "x", "tty": "no"}, '[name="x"].tty: expected boolean, got &{no}'),
        ({"name": "x", "args": "a"}, '[name="x"].args: expected list, got &{a}'),
        ({"name": "x", "resources": [1]}, '[name="x"].resources: expected map, got &{[1]}'),
        (
            {"name": "x", "ports": [{"containerPort": "web"}]},
            '[name="x"].ports[containerPort="web",protocol="TCP"].containerPort: '
            "expected numeric (int or float), got string",
        ),
        ("x", ": element 0: associative list with keys may not have non-map elements"),
    ],
)
def test_values_of_another_type_are_refused_in_upstreams_words(deployments, container, problem):
    config = copy(CONFIG)
    config["spec"]["template"]["spec"]["containers"] = [container]
    with pytest.raises(StatusError) as refused:
        apply(None, config, deployments)
    who = "failed to create typed patch object (n/d; apps/v1, Kind=Deployment): "
    assert refused.value.message == f"{who}.spec.template.spec.containers{problem}"


def test_kubectl_may_move_from_client_side_to_server_side_apply(deployments):
    live = copy(CONFIG)
    live["metadata"]["annotations"] = {managed_fields.LAST_APPLIED: orjson.dumps(CONFIG).decode()}
    managed_fields.update(None, live, Writer("kubectl-client-side-apply", "apps/v1", NOON), deployments)
    changed = copy(CONFIG)
    changed["spec"]["replicas"] = 7
    with pytest.raises(Conflict):
        apply(live, changed, deployments, manager="somebody")
    result = apply(live, changed, deployments, manager="kubectl")
    assert result["spec"]["replicas"] == 7
    assert orjson.loads(result["metadata"]["annotations"][managed_fields.LAST_APPLIED]) == changed


def test_custom_resources_follow_their_schema():
    schema = from_openapi(
        {
            "type": "object",
            "properties": {
                "metadata": {"type": "object"},
                "spec": {
                    "type": "object",
                    "properties": {
                        "tags": {
                            "type": "array",
                            "x-kubernetes-list-type": "set",
                            "items": {"type": "string"},
                        },
                        "plain": {"type": "array", "items": {"type": "string"}},
                        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    },
                },
            },
        }
    )
    spec = {"tags": ["a", "b"], "plain": ["a"], "free": {"x": {"y": 1}}}
    one = managed_fields.apply(None, {"spec": spec}, Writer("one", "e/v1", NOON), schema)
    (entry,) = one["metadata"]["managedFields"]
    assert entry["fieldsV1"] == {
        "f:spec": {
            "f:tags": {'v:"a"': {}, 'v:"b"': {}},
            "f:plain": {},
            "f:free": {"f:x": {".": {}, "f:y": {}}},
        }
    }
    two = managed_fields.apply(one, {"spec": {"tags": ["c", "b"]}}, Writer("two", "e/v1", NOON), schema)
    assert two["spec"]["tags"] == ["a", "c", "b"]
    three = managed_fields.apply(two, {"spec": {"plain": ["a"]}}, Writer("one", "e/v1", NOON), schema)
    assert three["spec"] == {"tags": ["c", "b"], "plain": ["a"]}


def test_metadata_outlives_the_last_label_that_was_applied(deployments):
    config = copy(CONFIG)
    config["metadata"] = {"name": "d", "namespace": "n"}
    labelled = copy(config)
    labelled["metadata"]["labels"] = {"a": "b"}
    live = apply(None, labelled, deployments)
    live["metadata"]["uid"] = "1"
    without = apply(live, config, deployments)
    assert {key for key in without["metadata"] if key != "managedFields"} == {"name", "namespace", "uid"}


def test_what_is_left_of_a_taken_map_is_an_empty_node(deployments):
    """A member with nothing below is written `{}`, whatever stood below before."""
    live = copy(CONFIG)
    live["metadata"]["labels"] = {"a": "1"}
    managed_fields.update(None, live, Writer("one", "apps/v1", NOON), deployments)
    changed = copy(live)
    changed["metadata"]["labels"] = {"a": "2"}
    managed_fields.update(live, changed, Writer("two", "apps/v1", NOON), deployments)
    entries = {entry["manager"]: entry["fieldsV1"] for entry in changed["metadata"]["managedFields"]}
    assert entries["one"]["f:metadata"] == {"f:labels": {}}
    assert entries["two"]["f:metadata"] == {"f:labels": {"f:a": {}}}


def test_a_struct_of_empty_lists_is_nobodys(deployments):
    config = copy(CONFIG)
    config["spec"] = {"replicas": 1, "template": {"spec": {"containers": []}}}
    live = apply(None, config, deployments)
    assert live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"] == {"f:replicas": {}}


def test_null_is_a_list_with_nothing_in_it():
    items = {"type": "object", "properties": {"type": {"type": "string"}}}
    listed = {
        "type": "array",
        "items": items,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    }
    schema = from_openapi({"type": "object", "properties": {"conditions": listed}})
    found = merge.compare({"conditions": None}, {"conditions": [{"type": "Ready"}]}, schema)
    assert found.added == {"f:conditions": {'k:{"type":"Ready"}': {".": {}, "f:type": {}}}}
    assert found.modified == {}


def test_what_is_kept_without_managers_goes_on_without(pods):
    pod = update(None, make_pod, "kubectl", pods)
    pod["metadata"] |= {"uid": "u"}
    del pod["metadata"]["managedFields"]
    pod = update(pod, lambda p: p["metadata"].update(labels={"app": "new"}), "kubectl", pods)
    assert "managedFields" not in pod["metadata"]


def test_a_scale_owns_a_number_only_where_somebody_owned_it(deployments):
    def scale(obj):
        obj["spec"]["replicas"] = 3

    meta = {"name": "a", "uid": "u"}
    for first, scaled in (({"replicas": 1}, True), ({"paused": True}, False)):
        made = update(
            None, lambda o, first=first: o.update(metadata=dict(meta), spec=dict(first)), "me", deployments
        )
        made = update(made, scale, "hpa", deployments, subresource="scale")
        assert (("hpa", "Update") in owners(made, "f:spec", "f:replicas")) is scaled


def test_zero_is_not_in_a_scale(deployments):
    meta = {"name": "a", "uid": "u"}
    made = update(
        None, lambda o: o.update(metadata=meta, spec={"replicas": 1, "paused": True}), "me", deployments
    )
    made = update(made, lambda o: o["spec"].update(replicas=0), "hpa", deployments, subresource="scale")
    assert owners(made, "f:spec", "f:replicas") == []
    assert owners(made, "f:spec", "f:paused") == [("me", "Update")]


TEXT = {"type": "string"}
NULLS = from_openapi(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "text": {**TEXT, "nullable": True},
                    "part": {"type": "object", "properties": {"a": TEXT, "b": TEXT}},
                    "map": {"type": "object", "additionalProperties": TEXT},
                    "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    "list": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {"k": TEXT, "p": {**TEXT, "default": "TCP"}, "v": TEXT},
                        },
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["k", "p"],
                    },
                },
            }
        },
    }
)


def applied(live, spec, manager="me", force=False):
    config = {"apiVersion": "v1", "kind": "Toy", "metadata": {"name": "a"}, "spec": spec}
    return managed_fields.apply(live, config, Writer(manager, "v1", NOON), NULLS, force=force)


@pytest.mark.parametrize(
    ("spec", "config", "left"),
    [
        # null names no fields and no items
        ({"part": {"a": "1"}}, {"part": None}, {"part": {"a": "1"}}),
        ({"map": {"a": "1"}}, {"map": None}, {"map": {"a": "1"}}),
        ({"list": [{"k": "a"}]}, {"list": None}, {"list": [{"k": "a"}]}),
        # but it replaces what is a value of its own, or empty
        ({"text": "x"}, {"text": None}, {"text": None}),
        ({"part": {}}, {"part": None}, {"part": None}),
        ({"list": None}, {"list": []}, {"list": []}),
        ({"part": {"a": "1"}}, None, {"part": {"a": "1"}}),
    ],
)
def test_null_in_a_configuration(spec, config, left):
    assert applied(applied(None, spec, "other"), config, force=True)["spec"] == left


def test_null_and_empty_are_not_the_same():
    live = applied(None, {"part": {}}, "other")
    with pytest.raises(Conflict, match=r'conflict with "other": \.spec\.part$'):
        applied(live, {"part": None})


def test_where_all_that_was_applied_goes_null_is_left(deployments):
    live = applied(None, {"part": {"a": "1", "b": "2"}, "map": {"a": "1"}, "text": "x"})
    assert applied(live, {"part": {}, "map": {}})["spec"] == {"part": None, "map": None}
    metadata = {"name": "a", "labels": {"a": "b"}}
    config = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"paused": True}}
    writer = Writer("me", "apps/v1", NOON)
    live = managed_fields.apply(None, config, writer, deployments)
    emptied = {**config, "metadata": {"name": "a", "labels": {}}}
    assert "labels" not in managed_fields.apply(live, emptied, writer, deployments)["metadata"]


def test_a_key_may_be_null():
    live = applied(None, {"list": [{"k": "a"}, {"k": "a", "p": None}]})
    (entry,) = live["metadata"]["managedFields"]
    assert list(entry["fieldsV1"]["f:spec"]["f:list"]) == ['k:{"k":"a","p":"TCP"}', 'k:{"k":"a","p":null}']


def test_what_becomes_of_another_kind_is_lost_with_all_below():
    live = applied(None, {"any": {"a": {"b": "c"}}})
    new = copy(live)
    new["spec"]["any"] = {"a": "1"}
    managed_fields.update(live, new, Writer("other", "v1", LATER), NULLS)
    (entry,) = new["metadata"]["managedFields"]
    assert (entry["manager"], entry["fieldsV1"]) == ("other", {"f:spec": {"f:any": {"f:a": {}}}})


def test_before_the_first_apply_nobody_owned_what_is_not_written_here():
    live = {
        "apiVersion": "v1",
        "kind": "Toy",
        "metadata": {"name": "a", "uid": "u"},
        "status": {"phase": "New"},
    }
    config = {"apiVersion": "v1", "kind": "Toy", "metadata": {"name": "a"}, "spec": {"text": "x"}}
    made = managed_fields.apply(live, config, Writer("me", "v1", NOON), NULLS, reset=(("status",),))
    assert [entry["manager"] for entry in made["metadata"]["managedFields"]] == ["me"]


def test_what_stands_twice_in_a_list_is_owned_as_a_whole_until_it_stands_once(pods):
    """Upstream's structured-merge-diff since version 4.4; a container may name a variable twice."""

    def with_variables(*values):
        def change(pod):
            make_pod(pod)
            pod["spec"]["containers"][0]["env"] = [{"name": "A", "value": value} for value in values]

        return change

    place = ("f:spec", "f:containers", 'k:{"name":"c"}', "f:env", 'k:{"name":"A"}')

    def node(pod, manager):
        (entry,) = [one for one in pod["metadata"]["managedFields"] if one["manager"] == manager]
        found = entry["fieldsV1"]
        for step in place:
            found = found.get(step) or {}
        return found

    pod = update(None, with_variables("1", "2"), "kubectl", pods)
    assert owners(pod, *place) == [("kubectl", "Update")]
    assert node(pod, "kubectl") == {}
    same = update(pod, with_variables("1", "2"), "other", pods, LATER)
    assert owners(same, *place) == [("kubectl", "Update")]
    changed = update(pod, with_variables("1", "3"), "other", pods, LATER)
    assert owners(changed, *place) == [("other", "Update")]
    once = update(changed, with_variables("3"), "third", pods, LATER)
    assert owners(once, *place) == [("third", "Update")]
    assert node(once, "third") == {".": {}, "f:name": {}, "f:value": {}}
    twice = update(once, with_variables("3", "4"), "fourth", pods, LATER)
    assert (owners(twice, *place), node(twice, "fourth")) == ([("fourth", "Update")], {})
    container = {
        "name": "c",
        "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    }
    config = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"containers": [container]},
    }
    applied = managed_fields.apply(twice, config, Writer("applier", "v1", LATER), pods, force=True)
    assert applied["spec"]["containers"][0]["env"] == container["env"]


def test_a_struct_of_which_only_an_empty_list_is_left_goes():
    text, items = (
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
    )
    spec = {"type": "object", "properties": {"a": text, "items": items}}
    schema = from_openapi({"type": "object", "properties": {"metadata": {"type": "object"}, "spec": spec}})
    named = {"apiVersion": "example.com/v1", "kind": "Toy", "metadata": {"name": "t"}}
    writer = Writer("applier", "example.com/v1", NOON)
    live = managed_fields.apply(None, {**named, "spec": {"a": "x", "items": []}}, writer, schema)
    assert "spec" not in managed_fields.apply(live, {**named, "spec": None}, writer, schema)
