import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubarium.apimachinery.errors import BadRequest, StatusError
from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.patch import strategic_merge_patch


@pytest.fixture(scope="module")
def deployment(schemas):
    return schemas.schema(GroupVersionKind("apps", "v1", "Deployment"))


def pod(**spec):
    return {"spec": {"template": {"spec": spec}}}


def containers(*names):
    return [{"name": name, "image": name} for name in names]


def patched(deployment, before, **spec):
    return strategic_merge_patch.apply(pod(**before), pod(**spec), deployment)["spec"]["template"]["spec"]


def test_items_merge_by_their_key_and_new_ones_come_first(deployment):
    result = patched(
        deployment,
        {"containers": containers("a", "b")},
        containers=[{"name": "c", "image": "c"}, {"name": "b", "env": [{"name": "E", "value": "1"}]}],
    )
    assert [item["name"] for item in result["containers"]] == ["c", "a", "b"]
    assert result["containers"][2] == {"name": "b", "image": "b", "env": [{"name": "E", "value": "1"}]}


def test_an_item_can_be_deleted_and_a_list_replaced(deployment):
    before = {"containers": containers("a", "b")}
    assert patched(deployment, before, containers=[{"name": "a", "$patch": "delete"}])[
        "containers"
    ] == containers("b")
    replaced = patched(deployment, before, containers=[{"name": "c", "image": "c"}, {"$patch": "replace"}])
    assert replaced["containers"] == containers("c")


def test_the_order_of_a_list_can_be_set(deployment):
    result = patched(
        deployment,
        {"containers": containers("a", "b", "c")},
        **{
            "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}],
            "containers": [{"name": "a", "image": "z"}],
        },
    )
    assert [item["name"] for item in result["containers"]] == ["b", "c", "a"]
    assert result["containers"][2]["image"] == "z"


def test_retained_keys_say_nothing_about_the_lists_of_directives(deployment):
    before = {"finalizers": ["a"], "name": "x", "uid": "1"}
    patch = {"$retainKeys": ["finalizers"], "$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["b"]}
    result = strategic_merge_patch.apply({"metadata": before}, {"metadata": patch}, deployment)
    assert result == {"metadata": {"finalizers": ["b"]}}


def test_a_new_item_takes_the_place_of_a_removed_one(deployment):
    """What applying a renamed container does where another has been added beside it."""
    change = [{"name": "new"}, {"name": "old", "$patch": "delete"}]
    order = {"$setElementOrder/containers": [{"name": "new"}]}
    for there in (("old", "sidecar"), ("sidecar", "old")):
        result = patched(deployment, {"containers": containers(*there)}, **order, containers=list(change))
        assert [item["name"] for item in result["containers"]] == ["sidecar", "new"]
    result = patched(deployment, {"containers": containers("sidecar")}, **order, containers=list(change))
    assert [item["name"] for item in result["containers"]] == ["new", "sidecar"]


def test_of_two_items_with_one_key_the_first_is_changed(deployment):
    ports = [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP"}]
    change = [{"name": "a", "ports": [{"containerPort": 53, "name": "dns"}]}]
    result = patched(deployment, {"containers": [{"name": "a", "ports": ports}]}, containers=change)
    assert result["containers"][0]["ports"] == [{**ports[0], "name": "dns"}, ports[1]]
    order = {"$setElementOrder/ports": [{"containerPort": port} for port in (53, 80, 53)]}
    ports = [{"containerPort": port} for port in (53, 53, 80)]
    with pytest.raises(StatusError, match="The order in patch list"):
        before = {"containers": [{"name": "a", "ports": ports}]}
        patched(deployment, before, containers=[{"name": "a", "ports": ports, **order}])


def test_maps_and_directives_in_maps(deployment):
    before = {
        "spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}, "paused": True}
    }
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}, "paused": None}}
    result = strategic_merge_patch.apply(before, patch, deployment)
    assert result == {"spec": {"strategy": {"type": "Recreate"}}}
    patch["spec"]["strategy"]["rollingUpdate"] = None  # kubectl apply names what goes
    assert strategic_merge_patch.apply(before, patch, deployment) == result
    patch = {"spec": {"$patch": "replace", "paused": False}}
    assert strategic_merge_patch.apply(before, patch, deployment) == {"spec": {"paused": False}}
    assert strategic_merge_patch.apply(before, {"spec": {"$patch": "delete"}}, deployment) == {"spec": {}}
    assert before["spec"]["paused"] is True


def test_new_values_are_taken_without_what_is_marked_and_without_nulls(deployment):
    """Other directives stay: whoever decodes the object calls them unknown fields."""
    new = {
        "$retainKeys": ["containers"],
        "containers": [
            {"name": "a", "env": None, "securityContext": {"$patch": "replace", "runAsUser": 1}},
            {"name": "b", "$patch": "delete"},
        ],
    }
    expected = {"$retainKeys": ["containers"], "containers": [{"name": "a"}]}
    assert patched(deployment, {}, securityContext=new) == {"securityContext": expected}
    assert patched(deployment, {"securityContext": {}}, securityContext={"$patch": "delete"}) == {
        "securityContext": {}
    }
    assert patched(deployment, {}, securityContext={"$patch": "replace", "runAsUser": 1}) == {}
    order = {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}
    listed = [{"name": "b"}, {"name": "x", "$patch": "delete"}, {"name": "a", "env": None}]
    assert patched(deployment, {}, **order, containers=listed) == {
        "containers": [{"name": "b"}, {"name": "a"}]
    }


def test_what_is_taken_whole_is_taken_as_it_is(deployment):
    before = {"tolerations": [{"key": "a"}], "securityContext": {"runAsUser": 1}}
    taken = {"sysctls": [{"name": "x", "$patch": "delete"}], "runAsUser": None}
    lists = [{"key": "b", "value": None}]
    result = patched(deployment, before, tolerations=lists, securityContext={"$patch": "replace", **taken})
    assert result == {"tolerations": lists, "securityContext": taken}


def test_null_in_the_place_of_values_to_delete_removes_the_list(deployment):
    before = {"metadata": {"finalizers": ["a"], "name": "x"}}
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": None}}
    assert strategic_merge_patch.apply(before, patch, deployment) == {"metadata": {"name": "x"}}


def test_lists_of_plain_values(deployment):
    before = {"metadata": {"finalizers": ["a", "b"]}}
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c", "b"]}}
    result = strategic_merge_patch.apply(before, patch, deployment)
    assert result["metadata"]["finalizers"] == ["c", "b"]


def test_lists_without_a_strategy_are_replaced(deployment):
    result = patched(deployment, {"tolerations": [{"key": "a"}]}, tolerations=[{"key": "b"}])
    assert result["tolerations"] == [{"key": "b"}]


def test_wrong_patches(deployment):
    with pytest.raises(BadRequest):
        strategic_merge_patch.apply({}, [], deployment)
    with pytest.raises(BadRequest, match="retainKeys"):
        strategic_merge_patch.apply({"spec": {}}, {"spec": {"$retainKeys": ["a"], "b": 1}}, deployment)
    with pytest.raises(StatusError, match="does not contain declared merge key: name"):
        patched(deployment, {"containers": containers("a")}, containers=[{"image": "x"}])
    for directive in ("no", "merge"):
        patch = {"spec": {"$patch": directive, "replicas": 1}}
        with pytest.raises(StatusError, match=f"unknown patch type: {directive} in map: "):
            strategic_merge_patch.apply({"spec": {}}, patch, deployment)


@pytest.mark.parametrize(
    ("patch", "code", "words"),
    [
        ({"$patch": None}, 500, "unknown patch type: %!s(<nil>) in map: map[$patch:<nil>]"),
        ({"$patch": 1}, 500, "unknown patch type: %!s(int64=1) in map: map[$patch:1]"),
        ({"finalizers": [1]}, 500, "list element types are not identical: [[a] [1]]"),
        ({"$setElementOrder/finalizers": None}, 500, "expected a []interface {}, but received a %!s(<nil>)"),
        ({"$setElementOrder/labels": ["a"]}, 500, "expected a []interface {}, but received a map[string]interface {}"),
        ({"$setElementOrder/managedFields": [], "managedFields": []}, 500, "no elements in any of the given slices"),
        ({"$setElementOrder": []}, 400, "invalid patch format of setElementOrder list"),
        ({"$deleteFromPrimitiveListx/a": []}, 400, "invalid patch format of primitive list"),
        ({"$retainKeys": "x"}, 400, "invalid patch format of retainKeys"),
        ({"$setElementOrder/finalizers": ["b"], "finalizers": ["a"]}, 500,
         "The order in patch list:\n[a]\n doesn't match $setElementOrder list:\n[b]\n"),
        ({"ownerReferences": [{"kind": "K"}]}, 500, "map: map[kind:K] does not contain declared merge key: uid"),
        ({"labels": {"a": {"b": 1}}}, 500,
         "merging an object in json but data type is not struct, instead is: map"),
    ],
)  # fmt: skip
def test_refusals_are_in_upstreams_words(deployment, patch, code, words):
    metadata = {"finalizers": ["a"], "labels": {"a": {"b": 2}}, "ownerReferences": [{"uid": "1"}]}
    with pytest.raises(StatusError) as refused:
        strategic_merge_patch.apply({"metadata": metadata}, {"metadata": patch}, deployment)
    assert (refused.value.code, refused.value.message) == (code, words)


def test_nothing_is_merged_where_the_schema_knows_nothing(schemas):
    revision = schemas.schema(GroupVersionKind("apps", "v1", "ControllerRevision"))
    words = 'unable to find api field in struct RawExtension for the json field "spec"'
    with pytest.raises(StatusError, match=words):
        strategic_merge_patch.apply({"data": {"spec": {}}}, {"data": {"spec": {"a": 1}}}, revision)


items = st.lists(st.sampled_from("abcdef"), unique=True)


@given(before=items, named=items)
def test_merging_keeps_every_item_and_the_order_of_the_patch(deployment, before, named):
    spec = patched(deployment, {"containers": containers(*before)}, containers=containers(*named))
    result = [item["name"] for item in spec["containers"]]
    assert sorted(result) == sorted({*before, *named})
    assert [name for name in result if name in named] == named
    assert [name for name in result if name not in named] == [name for name in before if name not in named]


@given(before=items)
def test_patching_with_itself_changes_nothing(deployment, before):
    document = pod(containers=containers(*before))
    assert strategic_merge_patch.apply(document, document, deployment) == document
