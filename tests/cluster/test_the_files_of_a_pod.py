"""Config maps, secrets, the pod itself and empty folders as files: their modes, owners and contents; and as variables.

The table has what upstream's conformance tests of volumes ask for, one row each, in two pods instead of a hundred.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from tests.cluster.conftest import Shell, until
from tests.cluster.objects import BUSYBOX, pod

pytestmark = pytest.mark.cluster

USER, GROUP = 1000, 1001
BINARY = "/wAB"  # no UTF-8


class Row(NamedTuple):
    """A volume that is mounted at /files/NAME; what one file in it looks like to root, and to a user in its group."""

    name: str
    volume: Any
    file: str
    root: str
    user: str
    content: str


def config(**more: Any) -> Any:
    """A plain config map volume."""
    return {"configMap": {"name": "given", **more}}


def secret(**more: Any) -> Any:
    """A plain secret volume."""
    return {"secret": {"secretName": "given", **more}}


def projected(source: Any, **more: Any) -> Any:
    """The same in a projected volume."""
    return {"projected": {"sources": [source], **more}}


def about_pod(path: str, resource: str = "", divisor: str = "", **more: Any) -> Any:
    """One file about the pod."""
    if resource:
        reference = {"containerName": "main", "resource": resource, "divisor": divisor}
        return {"items": [{"path": "about", "resourceFieldRef": reference, **more}]}
    return {"items": [{"path": "about", "fieldRef": {"fieldPath": path}, **more}]}


ITEM = [{"key": "a", "path": "deep/er"}]
ITEM_MODE = [{"key": "a", "path": "deep/er", "mode": 0o400}]
NAMED = {"name": "given"}
SEEN_AS_IS, PRIVATE, PRIVATE_TO_GROUP = "644", "400", "440"

ROWS = [
    row
    for kind, plain, source in (("config", config, "configMap"), ("secret", secret, "secret"))
    for row in (
        Row(f"{kind}-plain", plain(), "a", SEEN_AS_IS, SEEN_AS_IS, "one"),
        Row(f"{kind}-mode", plain(defaultMode=0o400), "a", PRIVATE, PRIVATE_TO_GROUP, "one"),
        Row(f"{kind}-item", plain(items=ITEM), "deep/er", SEEN_AS_IS, SEEN_AS_IS, "one"),
        Row(f"{kind}-item-mode", plain(items=ITEM_MODE), "deep/er", PRIVATE, PRIVATE_TO_GROUP, "one"),
        Row(f"{kind}-again", plain(), "b", SEEN_AS_IS, SEEN_AS_IS, "two"),
        Row(f"projected-{kind}", projected({source: NAMED}), "a", SEEN_AS_IS, SEEN_AS_IS, "one"),
        Row(
            f"projected-{kind}-mode", projected({source: NAMED}, defaultMode=0o400),
            "a", PRIVATE, PRIVATE_TO_GROUP, "one",
        ),
        Row(
            f"projected-{kind}-item-mode", projected({source: NAMED | {"items": ITEM_MODE}}),
            "deep/er", PRIVATE, PRIVATE_TO_GROUP, "one",
        ),
    )
]  # fmt: skip
ROWS += [
    Row(f"{prefix}{name}", wrap(about, more), "about", mode, user_mode, content)
    for prefix, wrap in (
        ("pod-", lambda about, more: {"downwardAPI": about | more}),
        ("projected-pod-", lambda about, more: projected({"downwardAPI": about}, **more)),
    )
    for name, about, more, mode, user_mode, content in (
        ("name", about_pod("metadata.name"), {}, SEEN_AS_IS, SEEN_AS_IS, "POD"),
        ("annotations", about_pod("metadata.annotations"), {}, SEEN_AS_IS, SEEN_AS_IS, 'note="seen"'),
        ("mode", about_pod("metadata.name"), {"defaultMode": 0o400}, PRIVATE, PRIVATE_TO_GROUP, "POD"),
        ("item-mode", about_pod("metadata.name", mode=0o400), {}, PRIVATE, PRIVATE_TO_GROUP, "POD"),
        ("cpu-limit", about_pod("", "limits.cpu", "1m"), {}, SEEN_AS_IS, SEEN_AS_IS, "200"),
        ("cpu-request", about_pod("", "requests.cpu", "1m"), {}, SEEN_AS_IS, SEEN_AS_IS, "10"),
        ("memory-limit", about_pod("", "limits.memory", "1Mi"), {}, SEEN_AS_IS, SEEN_AS_IS, "64"),
        ("memory-request", about_pod("", "requests.memory", "1Mi"), {}, SEEN_AS_IS, SEEN_AS_IS, "8"),
    )
]

VARIABLES = [
    {"name": "MY_KEY", "valueFrom": {"secretKeyRef": {"name": "given", "key": "a"}}},
    {"name": "MY_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
    {"name": "MY_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
    {"name": "MY_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    {"name": "MY_HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
    {"name": "MY_HOSTS", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIPs"}}},
    {"name": "MY_CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
    {"name": "MY_MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "requests.memory"}}},
    {"name": "MY_ALL", "value": "$(MY_KEY)-$(MY_CPU)-$$(MY_KEY)"},
]
SOURCES = [{"secretRef": NAMED}, {"prefix": "P_", "configMapRef": NAMED}]
EMPTY = {"disk": {}, "memory": {"medium": "Memory"}}
WRITTEN = [(place, mode) for place in EMPTY for mode in ("644", "666", "777")]
LOOK = "; ".join(
    [
        'cd /files && for f in */a */b */deep/er */about; do [ -e "$f" ] && stat -L -c "%n %a %u %g" "$f"; done',
        *(f"echo x > /{place}/{mode} && chmod {mode} /{place}/{mode}" for place, mode in WRITTEN),
        *(f'stat -c "%n %a %u %g" /{place}/{mode}' for place, mode in WRITTEN),
    ]
)


def pod_of_files(name: str, **spec: Any) -> Any:
    """A pod with all rows."""
    made = pod(name, "sleep", "1000", **spec)
    made["metadata"]["annotations"] = {"note": "seen"}
    main = made["spec"]["containers"][0]
    main["env"], main["envFrom"] = VARIABLES, SOURCES
    main["resources"] = {
        "limits": {"cpu": "200m", "memory": "64Mi"},
        "requests": {"cpu": "10m", "memory": "8Mi"},
    }
    missing = {"optional": True}
    volumes = {row.name: row.volume for row in ROWS} | {
        "binary": config(items=[{"key": "bin", "path": "raw"}]),
        "no-config": {"configMap": {"name": "late", **missing}},
        "no-secret": {"secret": {"secretName": "late", **missing}},
    }
    made["spec"]["volumes"] = [{"name": key, **volume} for key, volume in volumes.items()]
    made["spec"]["volumes"] += [{"name": place, "emptyDir": medium} for place, medium in EMPTY.items()]
    main["volumeMounts"] = [{"name": key, "mountPath": f"/files/{key}"} for key in volumes]
    main["volumeMounts"] += [{"name": place, "mountPath": f"/{place}"} for place in EMPTY]
    main["volumeMounts"] += [{"name": "config-plain", "mountPath": "/etc/hostname-like", "subPath": "a"}]
    return made


def test_every_file_has_its_mode_owner_and_content(stories: Shell, namespace: str) -> None:
    data = {"a": "one", "b": "two"}
    given = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "given"}, "data": data}
    hidden = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "given"}, "stringData": data}
    user = {"runAsUser": USER, "runAsGroup": USER, "fsGroup": GROUP}
    stories.apply(
        given | {"binaryData": {"bin": BINARY}},
        hidden,
        pod_of_files("as-root"),
        pod_of_files("as-user", securityContext=user),
        namespace=namespace,
    )
    stories.kubectl("wait", "pod", "--all", "--for=condition=Ready", "--timeout=300s", "-n", namespace)
    for name, group in (("as-root", 0), ("as-user", GROUP)):
        inside = ("exec", name, "-n", namespace, "--", "sh", "-c")
        seen = {line.split()[0]: line.split()[1:] for line in stories.kubectl(*inside, LOOK).splitlines()}
        for row in ROWS:
            mode = row.root if name == "as-root" else row.user
            assert seen[f"{row.name}/{row.file}"] == [mode, "0", str(group)], (name, row)
        for place, mode in WRITTEN:
            owner = "0" if name == "as-root" else str(USER)
            assert seen[f"/{place}/{mode}"] == [mode, owner, str(group)], (name, place)
        contents = " ".join(f"/files/{row.name}/{row.file}" for row in ROWS)
        read = stories.kubectl(
            *inside, f"for f in {contents}; do head -n 1 $f; echo; done | grep ."
        ).splitlines()
        wanted = [row.content.replace("POD", name) for row in ROWS]
        assert read == wanted, dict(zip([row.name for row in ROWS], read, strict=False))
        assert stories.kubectl(*inside, "base64 /files/binary/raw; cat /etc/hostname-like").split() == [
            BINARY,
            "one",
        ]
    _variables(stories, namespace)

    late = {"apiVersion": "v1", "metadata": {"name": "late"}}
    stories.apply(late | {"kind": "ConfigMap", "data": {"a": "1"}}, namespace=namespace)
    stories.apply(late | {"kind": "Secret", "stringData": {"a": "2"}}, namespace=namespace)
    given["data"] = data | {"a": "changed", "c": "new"}
    stories.apply(given, hidden | {"stringData": {"a": "changed"}}, namespace=namespace)
    inside = ("exec", "as-user", "-n", namespace, "--", "sh", "-c")
    paths = "/files/no-config/a /files/no-secret/a /files/config-plain/a /files/config-plain/c /files/secret-plain/a"
    until(
        lambda: (
            stories.kubectl(*inside, f"for f in {paths}; do cat $f; echo; done", check=False).split()
            == ["1", "2", "changed", "new", "changed"]
        ),
        what="what came late and what changed",
    )
    assert stories.kubectl(*inside, "cat /etc/hostname-like") == "one"  # a subPath stays as it was


def _variables(stories: Shell, namespace: str) -> None:
    found = stories.get("pod", "as-root", "-n", namespace)
    text = stories.kubectl("exec", "as-root", "-n", namespace, "--", "env")
    env = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    assert (env["a"], env["b"], env["P_a"], env["P_b"]) == ("one", "two", "one", "two")
    assert env["MY_UID"] == found["metadata"]["uid"]
    assert (env["MY_NAMESPACE"], env["MY_IP"]) == (namespace, found["status"]["podIP"])
    assert env["MY_HOST"] == env["MY_HOSTS"] == found["status"]["hostIP"]
    assert (env["MY_CPU"], env["MY_MEMORY"]) == ("200", str(8 * 2**20))
    assert env["MY_ALL"] == "one-200-$(MY_KEY)"


def test_last_words(stories: Shell, namespace: str) -> None:
    """A termination message comes from its file, or where that is empty from the log, and then only after a failure."""
    from_log = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    path = {"terminationMessagePath": "/tmp/last"}
    wanted = {
        "file": ({}, "echo -n DONE > /dev/termination-log; exit 1", "DONE"),
        "own-file": (path, "echo -n DONE > /tmp/last", "DONE"),
        "log-of-failure": (from_log, "echo -n DONE; exit 1", "DONE"),
        "no-log-of-success": (from_log, "echo -n DONE", ""),
        "file-before-log": (from_log, "echo -n FILE > /dev/termination-log; echo LOG; exit 1", "FILE"),
    }
    containers = [
        {
            "name": name,
            "image": BUSYBOX,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", command],
            "securityContext": {"runAsUser": 0},
            **settings,
        }
        for name, (settings, command, _) in wanted.items()
    ]
    made = pod("words", restartPolicy="Never")
    made["spec"]["containers"] = containers
    stories.apply(made, namespace=namespace)
    until(lambda: stories.get("pod", "words", "-n", namespace)["status"]["phase"] == "Failed")
    statuses = stories.get("pod", "words", "-n", namespace)["status"]["containerStatuses"]
    said = {status["name"]: status["state"]["terminated"].get("message", "") for status in statuses}
    assert said == {name: words for name, (_, _, words) in wanted.items()}, json.dumps(statuses)
