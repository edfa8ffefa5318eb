"""What is filled into a new pod, and what is left alone."""

from __future__ import annotations

from kubarium.api.core.pod import defaults


def filled(spec: dict, **container: object) -> dict:
    pod = {"spec": {"containers": [{"name": "a", "image": "i", **container}], **spec}}
    defaults.fill(pod)
    return pod["spec"]


def test_a_resize_policy_is_never_made_up() -> None:
    (container,) = filled({}, resources={"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}})["containers"]
    assert "resizePolicy" not in container
    assert container["resources"]["requests"] == {"cpu": "1", "memory": "1Gi"}


def test_a_pod_does_not_end_in_the_past() -> None:
    assert filled({"terminationGracePeriodSeconds": -1})["terminationGracePeriodSeconds"] == 1
    template = {"spec": {"containers": [], "terminationGracePeriodSeconds": -1}}
    defaults.fill_template(template)
    assert template["spec"]["terminationGracePeriodSeconds"] == -1


def test_a_pod_with_limits_of_its_own_asks_for_what_its_containers_do() -> None:
    whole = {"limits": {"cpu": "2", "memory": "1Gi"}}
    spec = filled({"resources": whole, "initContainers": []}, resources={"requests": {"cpu": "100m"}})
    assert spec["resources"]["requests"] == {"cpu": "100m", "memory": "1Gi"}
    spec = filled({"resources": {"requests": {"cpu": "1"}}}, resources={"requests": {"cpu": "100m"}})
    assert spec["resources"] == {"requests": {"cpu": "1"}}


def test_huge_pages_of_the_containers_are_those_of_the_pod() -> None:
    asked = {"limits": {"hugepages-2Mi": "4Mi", "cpu": "1"}}
    spec = filled({"resources": {"limits": {"cpu": "2"}}}, resources=asked)
    assert spec["resources"]["limits"] == {"cpu": "2", "hugepages-2Mi": "4Mi"}
    assert spec["resources"]["requests"] == {"cpu": "1", "hugepages-2Mi": "4Mi"}
