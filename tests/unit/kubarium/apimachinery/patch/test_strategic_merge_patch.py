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


def test_maps_and_directives_in_maps(deployment):
    before = {
        "spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}, "paused": True}
    }
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}, "paused": None}}
    result = strategic_merge_patch.apply(before, patch, deployment)
    assert result == {"spec": {"strategy": {"type": "Recreate"}}}
    patch = {"spec": {"$patch": "replace", "paused": False}}
    assert strategic_merge_patch.apply(before, patch, deployment) == {"spec": {"paused": False}}
    assert strategic_merge_patch.apply(before, {"spec": {"$patch": "delete"}}, deployment) == {"spec": {}}
    assert before["spec"]["paused"] is True


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
        strategic_merge_patch.apply({}, {"spec": {"$retainKeys": ["a"], "b": 1}}, deployment)
    with pytest.raises(StatusError, match="does not contain declared merge key: name"):
        patched(deployment, {"containers": containers("a")}, containers=[{"image": "x"}])
    with pytest.raises(StatusError, match="unknown patch type found: no"):
        strategic_merge_patch.apply({}, {"spec": {"$patch": "no"}}, deployment)


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
