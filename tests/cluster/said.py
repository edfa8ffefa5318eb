"""Containers that say what they find, and what that must be: users, rights, files, commands, variables."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.cluster.objects import BUSYBOX, NGINX, pod

PORT = 8765
HOSTS = "# Kubernetes-managed hosts file."
OF_NODE = "# Kubernetes-managed hosts file (host network)."
ALIASES = [{"ip": "123.45.67.89", "hostnames": ["foo", "bar"]}]
OWN_FILE = {"name": "own", "hostPath": {"path": "/etc/hosts", "type": "File"}}
WORK = {"name": "work", "emptyDir": {}}


class Row(NamedTuple):
    """A container, and the last line that it must say. `ADDRESS` stands for that of the service."""

    name: str
    script: str
    said: str
    more: dict[str, Any] = {}  # noqa: RUF012 - never changed


def sees(**context: Any) -> dict[str, Any]:
    return {"securityContext": context}


def mounts(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"volumeMounts": [{"name": name, "mountPath": path, **more}]}


def variables(**values: str) -> dict[str, Any]:
    return {"env": [{"name": name, "value": value} for name, value in values.items()]}


# A program that belongs to root and may become root reads what nobody else may.
SECRET = "/work/curl -s file:///work/secret || echo refused"
WITH_PROGRAM = {"image": NGINX, **mounts("work", "/work")}
SERVICE = "env | grep ^FOOSERVICE | sort | tr '\\n' ' '"
SAID_OF_SERVICE = " ".join(
    [
        f"FOOSERVICE_PORT=tcp://ADDRESS:{PORT} FOOSERVICE_PORT_{PORT}_TCP=tcp://ADDRESS:{PORT}",
        f"FOOSERVICE_PORT_{PORT}_TCP_ADDR=ADDRESS FOOSERVICE_PORT_{PORT}_TCP_PORT={PORT}",
        f"FOOSERVICE_PORT_{PORT}_TCP_PROTO=tcp FOOSERVICE_SERVICE_HOST=ADDRESS FOOSERVICE_SERVICE_PORT={PORT}",
    ]
)
MOUNT = "mount -t tmpfs tmpfs /tmp 2>/dev/null && echo mounted || echo refused"
ANSWER = 'TEST=wrong echo "$(TEST)"'

ROWS = [
    Row("nobody", "id -u", "65534", sees(runAsUser=65534)),
    Row("user-and-group", "echo $(id -u) $(id -g)", "1001 2002", sees(runAsUser=1001, runAsGroup=2002)),
    Row("unprivileged", MOUNT, "refused", sees(privileged=False)),
    Row("privileged", MOUNT, "mounted", sees(privileged=True)),
    Row("writable", "echo x > /file && cat /file", "x", sees(readOnlyRootFilesystem=False)),
    Row("read-only", "echo x > /file", "sh: can't create /file: Read-only file system",
        sees(readOnlyRootFilesystem=True)),
    Row("escalates", SECRET, "the secret", WITH_PROGRAM | sees(runAsUser=1000, allowPrivilegeEscalation=True)),
    Row("escalates-by-default", SECRET, "the secret", WITH_PROGRAM | sees(runAsUser=1000)),
    Row("stays", SECRET, "refused", WITH_PROGRAM | sees(runAsUser=1000, allowPrivilegeEscalation=False)),
    Row("hosts", "echo $(head -n 1 /etc/hosts) $(tail -n 1 /etc/hosts)", f"{HOSTS} 123.45.67.89 foo bar"),
    Row("own-hosts", "grep -c managed /etc/hosts", "0", mounts("own", "/etc/hosts")),
    # The image's entrypoint sets a variable and runs what follows.
    Row("own-arguments", "", "point", {"image": NGINX, "command": None, "args": ["sh", "-c", "echo $ENTRY"]}),
    Row("own-command", "echo no $ENTRY", "no", {"image": NGINX}),
    Row("own-both", "", "no x", {"image": NGINX, "command": ["sh", "-c"], "args": ["echo no $ENTRY x"]}),
    Row("command-expanded", ANSWER, "right", variables(TEST="right")),
    Row("arguments-expanded", "", "right", variables(TEST="right") | {"command": ["sh", "-c"], "args": [ANSWER]}),
    Row("variables-expanded", "echo $BOTH", "1;;2;;$(C)", variables(A="1", B="2", BOTH="$(A);;$(B);;$$(C)")),
    Row("sub-path-expanded", "cd /below; echo x > here; cat /work/a-pod/here", "x",
        variables(NAME="a-pod")
        | {"volumeMounts": [
            {"name": "work", "mountPath": "/work"},
            {"name": "work", "mountPath": "/below", "subPathExpr": "$(NAME)"},
        ]}),
    Row("services", SERVICE, SAID_OF_SERVICE),
    Row("error-output", "echo err >&2", "err"),
]  # fmt: skip
ON_NODE = [Row("hosts", "head -n 1 /etc/hosts", OF_NODE)]
AS_POD_SAYS = [Row("user-and-group", "echo $(id -u) $(id -g)", "1001 2002")]
PODS = {
    "says": (ROWS, {"hostAliases": ALIASES, "volumes": [WORK, OWN_FILE]}),
    "says-on-node": (ON_NODE, {"hostNetwork": True}),
    "says-as-user": (AS_POD_SAYS, {"securityContext": {"runAsUser": 1001, "runAsGroup": 2002}}),
}


def container(row: Row) -> Any:
    """The container of a row."""
    made = {"name": row.name, "image": BUSYBOX, "command": ["sh", "-c", row.script], **row.more}
    return {key: value for key, value in made.items() if value is not None} | {
        "imagePullPolicy": "IfNotPresent"
    }


def service() -> Any:
    """A service that is there before the pods."""
    spec = {"ports": [{"port": PORT, "targetPort": 8080}], "selector": {"app": "nobody"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "fooservice"}, "spec": spec}


def objects() -> list[Any]:
    """The pods; what one of them finds in its volume is put there before."""
    found = []
    for name, (rows, spec) in PODS.items():
        made = pod(name, restartPolicy="Never", **spec)
        made["spec"]["containers"] = [container(row) for row in rows]
        found.append(made)
    prepare = "cp /usr/bin/curl /work; chmod 4755 /work/curl; echo the secret > /work/secret; chmod 600 /work/secret"
    found[0]["spec"]["initContainers"] = [container(Row("prepares", prepare, "", WITH_PROGRAM))]
    return found
