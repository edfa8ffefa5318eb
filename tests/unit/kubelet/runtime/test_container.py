from __future__ import annotations

from typing import Any

import pytest

from kubelet.runtime.container import SeccompDefaults, check_non_root, container_config, expand
from kubelet.runtime.inputs import ContainerOptions
from kubelet.runtime.interface import Image, StartError
from tests.unit.kubelet.making import make_container, make_pod

IMAGE = Image("sha256:1", ("busybox:1",), (), 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$(A)", "1"),
        ("$$(A)", "$(A)"),
        ("$(NONE)-$(A)", "$(NONE)-1"),
        ("$", "$"),
        ("$(A", "$(A"),
        ("$x$(A)$$", "$x1$"),
    ],
)
def test_expand(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected


def config(container: dict, image: Image = IMAGE, **spec: Any) -> dict:
    options = ContainerOptions("sha256:1", image, [("A", "1")], [], {})
    return container_config(
        make_pod(container, **spec), container, options, 2, "", SeccompDefaults("/seccomp")
    )


def test_identity_and_attempt() -> None:
    made = config(make_container(command=["echo", "$(A)"], args=["$$(A)"]))
    assert made["metadata"] == {"name": "main", "attempt": 2}
    assert made["log_path"] == "main/2.log"
    assert made["command"] == ["echo", "1"] and made["args"] == ["$(A)"]
    assert made["labels"]["io.kubernetes.pod.uid"] == "uid-1"
    assert made["annotations"]["io.kubernetes.container.restartCount"] == "2"


def test_the_container_wins_over_the_pod() -> None:
    container = make_container(securityContext={"runAsUser": 5, "allowPrivilegeEscalation": False})
    context = config(container, securityContext={"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3})["linux"][
        "security_context"
    ]
    assert context["run_as_user"] == {"value": 5} and context["run_as_group"] == {"value": 2}
    assert context["supplemental_groups"] == [3] and context["no_new_privs"]


def test_the_user_of_the_image() -> None:
    named = config(make_container(), Image("i", (), (), 1, username="web"))["linux"]["security_context"]
    numbered = config(make_container(), Image("i", (), (), 1, uid=7))["linux"]["security_context"]
    assert named["run_as_username"] == "web" and numbered["run_as_user"] == {"value": 7}


def test_seccomp_profiles() -> None:
    local = {"type": "Localhost", "localhostProfile": "a.json"}
    container = make_container(securityContext={"seccompProfile": local})
    assert config(container)["linux"]["security_context"]["seccomp"] == {
        "profile_type": "Localhost",
        "localhost_ref": "/seccomp/a.json",
    }


@pytest.mark.parametrize(
    ("user", "image", "complaint"),
    [
        (None, IMAGE, "image will run as root"),
        (None, Image("i", (), (), 1, username="web"), "non-numeric user (web)"),
        (0, IMAGE, "runAsUser breaks non-root policy"),
        (5, IMAGE, None),
        (None, Image("i", (), (), 1, uid=7), None),
    ],
)
def test_run_as_non_root(user: int | None, image: Image, complaint: str | None) -> None:
    context = {"runAsNonRoot": True, **({} if user is None else {"runAsUser": user})}
    container = make_container(securityContext=context)
    if complaint is None:
        check_non_root(make_pod(container), container, image)
        return
    with pytest.raises(StartError) as caught:
        check_non_root(make_pod(container), container, image)
    assert caught.value.reason == "CreateContainerConfigError" and complaint in caught.value.message


def test_security_modules() -> None:
    container = make_container(
        securityContext={
            "appArmorProfile": {"type": "Localhost", "localhostProfile": "tight"},
            "seLinuxOptions": {"level": "s0:c1"},
        }
    )
    context = config(container, securityContext={"appArmorProfile": {"type": "RuntimeDefault"}})["linux"]
    context = context["security_context"]
    assert context["apparmor"] == {"profile_type": "Localhost", "localhost_ref": "tight"}
    assert context["selinux_options"] == {"level": "s0:c1"}
