"""Config maps, secrets, the pod itself and empty folders as files: their modes, owners and contents; and as variables.

The table has what upstream's conformance tests of volumes ask for, one row each, in two pods instead of a hundred.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple

import pytest

from kubarium.apimachinery import quantity
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


def about_pod(path: str, resource: str = "", divisor: str = "", of: str = "main", **more: Any) -> Any:
    """One file about the pod."""
    if resource:
        reference = {"containerName": of, "resource": resource, "divisor": divisor}
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
        ("labels", about_pod("metadata.labels"), {}, SEEN_AS_IS, SEEN_AS_IS, 'app="POD"'),
        ("annotations", about_pod("metadata.annotations"), {}, SEEN_AS_IS, SEEN_AS_IS, 'a-note="seen"'),
        ("mode", about_pod("metadata.name"), {"defaultMode": 0o400}, PRIVATE, PRIVATE_TO_GROUP, "POD"),
        ("item-mode", about_pod("metadata.name", mode=0o400), {}, PRIVATE, PRIVATE_TO_GROUP, "POD"),
        ("cpu-limit", about_pod("", "limits.cpu", "1m"), {}, SEEN_AS_IS, SEEN_AS_IS, "200"),
        ("cpu-request", about_pod("", "requests.cpu", "1m"), {}, SEEN_AS_IS, SEEN_AS_IS, "10"),
        ("memory-limit", about_pod("", "limits.memory", "1Mi"), {}, SEEN_AS_IS, SEEN_AS_IS, "64"),
        # Whoever has no limit has the whole node.
        ("cpu-of-node", about_pod("", "limits.cpu", "1m", "free"), {}, SEEN_AS_IS, SEEN_AS_IS, "CPU"),
        (
            "memory-of-node",
            about_pod("", "limits.memory", "1Mi", "free"),
            {},
            SEEN_AS_IS,
            SEEN_AS_IS,
            "MEMORY",
        ),
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
# Single files of volumes that are written anew; one lies over a file of the image.
SUB_PATHS = {
    "/sub/config": ("config-plain", "a"),
    "/sub/secret": ("secret-plain", "b"),
    "/sub/pod": ("pod-name", "about"),
    "/sub/projected": ("projected-config", "b"),
    "/etc/nsswitch.conf": ("config-plain", "a"),
}
SUB_CONTENTS = ["one", "two", "POD", "two", "one"]
FREE = [
    {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
    {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
]
# What is not there yet, and what will be gone; either may be missing.
OPTIONAL = {
    f"{when}-{kind}-{how}": wrapped
    for when in ("late", "gone")
    for kind, plain, source in (
        ("config", {"configMap": {"name": when, "optional": True}}, "configMap"),
        ("secret", {"secret": {"secretName": when, "optional": True}}, "secret"),
    )
    for how, wrapped in (
        ("plain", plain),
        ("projected", projected({source: {"name": when, "optional": True}})),
    )
}
EMPTY = {"disk": {}, "memory": {"medium": "Memory"}}
WRITTEN = [(place, mode) for place in EMPTY for mode in ("644", "666", "777")]
LOOK = "; ".join(
    [
        'cd /files && for f in */a */b */deep/er */about; do [ -e "$f" ] && stat -L -c "%n %a %u %g" "$f"; done',
        *(f"echo x > /{place}/{mode} && chmod {mode} /{place}/{mode}" for place, mode in WRITTEN),
        *(f'stat -c "%n %a %u %g" /{place}/{mode}' for place, mode in WRITTEN),
        'stat -c "%n %a %u %g" /disk /memory',
    ]
)


def pod_of_files(name: str, **spec: Any) -> Any:
    """A pod with all rows."""
    made = pod(name, "sleep", "1000", **spec)
    made["metadata"]["annotations"] = {"a-note": "seen"}
    main = made["spec"]["containers"][0]
    main["env"], main["envFrom"] = VARIABLES, SOURCES
    main["resources"] = {
        "limits": {"cpu": "200m", "memory": "64Mi"},
        "requests": {"cpu": "10m", "memory": "8Mi"},
    }
    volumes = {row.name: row.volume for row in ROWS} | OPTIONAL
    volumes["binary"] = config(items=[{"key": "bin", "path": "raw"}])
    made["spec"]["volumes"] = [{"name": key, **volume} for key, volume in volumes.items()]
    made["spec"]["volumes"] += [{"name": place, "emptyDir": medium} for place, medium in EMPTY.items()]
    main["volumeMounts"] = [{"name": key, "mountPath": f"/files/{key}"} for key in volumes]
    main["volumeMounts"] += [{"name": place, "mountPath": f"/{place}"} for place in EMPTY]
    main["volumeMounts"] += [
        {"name": volume, "mountPath": place, "subPath": file} for place, (volume, file) in SUB_PATHS.items()
    ]
    shared = [{"name": place, "mountPath": f"/{place}"} for place in EMPTY]
    without_limits = {key: main[key] for key in ("image", "imagePullPolicy", "command")}
    made["spec"]["containers"].append(without_limits | {"name": "free", "env": FREE, "volumeMounts": shared})
    return made


def test_every_file_has_its_mode_owner_and_content(stories: Shell, namespace: str) -> None:
    data = {"a": "one", "b": "two"}
    given = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "given"}, "data": data}
    hidden = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "given"}, "stringData": data}
    user = {"runAsUser": USER, "runAsGroup": USER, "fsGroup": GROUP}
    stories.kubectl("create", "secret", "generic", "given", "--from-literal=a=not this one")  # in `default`
    stories.apply(
        given | {"binaryData": {"bin": BINARY}},
        hidden,
        *_pair("gone", "1"),
        pod_of_files("as-root"),
        pod_of_files("as-user", securityContext=user),
        namespace=namespace,
    )
    stories.kubectl("wait", "pod", "--all", "--for=condition=Ready", "--timeout=300s", "-n", namespace)
    stories.kubectl("delete", "secret", "given")
    for name, group in (("as-root", 0), ("as-user", GROUP)):
        _look(stories, namespace, name, group)
    _variables(stories, namespace)
    _changes(stories, namespace, given | {"data": data | {"a": "changed", "c": "new"}}, hidden)


def _pair(name: str, content: str) -> list[Any]:
    """A config map and a secret."""
    about = {"apiVersion": "v1", "metadata": {"name": name}}
    return [
        about | {"kind": "ConfigMap", "data": {"a": content}},
        about | {"kind": "Secret", "stringData": {"a": content}},
    ]


def _look(stories: Shell, namespace: str, name: str, group: int) -> None:
    inside = ("exec", name, "-c", "main", "-n", namespace, "--", "sh", "-c")
    seen = {line.split()[0]: line.split()[1:] for line in stories.kubectl(*inside, LOOK).splitlines()}
    for row in ROWS:
        mode = row.root if name == "as-root" else row.user
        assert seen[f"{row.name}/{row.file}"] == [mode, "0", str(group)], (name, row)
    for place, mode in WRITTEN:
        owner = "0" if name == "as-root" else str(USER)
        assert seen[f"/{place}/{mode}"] == [mode, owner, str(group)], (name, place)
    setgid = "" if name == "as-root" else "2"
    assert (seen["/disk"][0], seen["/memory"][0]) == (f"{setgid}777", "1777" if name == "as-root" else "3777")
    found = stories.get("pod", name, "-n", namespace)
    node = stories.get("node", found["spec"]["nodeName"])["status"]["allocatable"]
    known = {
        "POD": name,
        "CPU": str(quantity.milli_value(node["cpu"])),
        "MEMORY": str(math.ceil(quantity.value(node["memory"]) / 2**20)),
    }
    files = [f"/files/{row.name}/{row.file}" for row in ROWS] + [*SUB_PATHS]
    wanted = [row.content for row in ROWS] + SUB_CONTENTS
    wanted = [re.sub("POD|CPU|MEMORY", lambda match: known[match[0]], text) for text in wanted]
    script = f"for f in {' '.join(files)}; do head -n 1 $f; echo; done | grep ."
    read = stories.kubectl(*inside, script).splitlines()
    assert read == wanted, dict(zip(files, read, strict=False))
    assert stories.kubectl(*inside, "base64 /files/binary/raw").strip() == BINARY
    other = ("exec", name, "-c", "free", "-n", namespace, "--", "sh", "-c")
    said = stories.kubectl(*other, "cat /disk/644 /memory/666; echo $CPU $MEMORY").split()
    whole = [str(quantity.value(node[resource])) for resource in ("cpu", "memory")]
    assert said == ["x", "x", *whole]  # what `main` wrote; the whole node


def _changes(stories: Shell, namespace: str, given: Any, hidden: Any) -> None:
    """What comes late, changes or goes is seen in every sort of volume, but not in a single file of one."""
    stories.kubectl("delete", "configmap/gone", "secret/gone", "-n", namespace)
    stories.apply(*_pair("late", "2"), given, hidden | {"stringData": {"a": "changed"}}, namespace=namespace)
    stories.kubectl("annotate", "pod", "as-user", "a-note=other", "--overwrite", "-n", namespace)
    stories.kubectl("label", "pod", "as-user", "app=other", "--overwrite", "-n", namespace)
    inside = ("exec", "as-user", "-c", "main", "-n", namespace, "--", "sh", "-c")
    volumes = [f"{prefix}{kind}" for prefix in ("", "projected-") for kind in ("config", "secret", "pod")]
    changed = {
        f"{name if 'projected' in name else name + '-plain'}/a": "changed"
        for name in volumes
        if "pod" not in name
    }
    changed |= {"config-plain/c": "new", "projected-config/c": "new"}
    for prefix in ("", "projected-"):
        changed |= {
            f"{prefix}pod-annotations/about": 'a-note="other"',
            f"{prefix}pod-labels/about": 'app="other"',
        }
    changed |= {f"{name}/a": "2" if name.startswith("late") else "none" for name in OPTIONAL}
    script = f"cd /files; for f in {' '.join(changed)}; do head -n 1 $f | grep . || echo none; done"

    def seen() -> bool:
        read = stories.kubectl(*inside, f"({script}) 2>&-").splitlines()
        found = dict(zip(changed, read, strict=True))
        assert found == changed, {key: found[key] for key in changed if found[key] != changed[key]}
        return True

    until(seen, what="what came late, what changed, and what went")
    assert stories.kubectl(*inside, "cat /sub/config") == "one"  # a subPath stays as it was


def _variables(stories: Shell, namespace: str) -> None:
    found = stories.get("pod", "as-root", "-n", namespace)
    text = stories.kubectl("exec", "as-root", "-c", "main", "-n", namespace, "--", "env")
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
