"""Containers with a probe each, and what must come of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.cluster.objects import BUSYBOX, NGINX, pod

FOREVER = 100_000  # seconds between two questions, or failures that are forgiven
OFTEN = 3  # answers that show that somebody was asked again and again
DELAY = 4  # seconds

# What `grpc.health.v1.Health/Check` answers: a frame with one field, status. nginx is a gRPC server of few words.
HEALTH = {"serving": "AAAAAAIIAQ==", "not-serving": "AAAAAAIIAg=="}
GRPC_CONF = """daemon off;
pid /tmp/nginx.pid;
error_log /dev/stderr;
worker_processes 1;
events {}
http {
    access_log off;
    client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi; uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
    default_type application/grpc;
    add_trailer grpc-status 0 always;
    root /etc/grpc;
    server {
        listen 5000 http2;
        location = /grpc.health.v1.Health/Check { error_page 405 =200 /serving; return 405; }
    }
    server {
        listen 5001 http2;
        location = /grpc.health.v1.Health/Check { error_page 405 =200 /not-serving; return 405; }
    }
}
"""


# Pages that send one elsewhere: to another host, which is not asked, and to where nothing is.
REDIRECT = "#!/bin/sh\nprintf 'Status: 302 Found\\r\\nLocation: {}\\r\\n\\r\\n'\n"
FILES = {
    "nginx.conf": GRPC_CONF,
    "far": REDIRECT.format("http://0.0.0.0/"),
    "near": REDIRECT.format("/nowhere"),
}


class Row(NamedTuple):
    """A container."""

    name: str
    script: str
    probes: dict[str, Any]
    # "holds": asked often and never restarted; "falls": restarted; "unready": asked often, never ready nor restarted.
    outcome: str
    kind: str = "Liveness"
    image: str = BUSYBOX


def asks(handler: Any, **more: Any) -> Any:
    """A probe that asks every second, patiently."""
    return {"periodSeconds": 1, "timeoutSeconds": 30, "failureThreshold": 1, **handler, **more}


def command(*words: str) -> Any:
    return {"exec": {"command": list(words)}}


def page(path: str, port: Any) -> Any:
    return {"httpGet": {"path": path, "port": port}}


def web(port: int, then: str = "") -> str:
    """A web server with a healthy page, and two in its cgi-bin that send one elsewhere."""
    return f"echo ok > /www/healthz; httpd -p {port} -h /www; {then} sleep 1000"


HEALTHY = "echo ok > /tmp/health; sleep 1000"
SICK_SOON = "echo ok > /tmp/health; sleep 1; rm /tmp/health; sleep 1000"
CAT = command("cat", "/tmp/health")
CLOSED = {"tcpSocket": {"port": 9}}
SERVE_HEALTH = "nginx -c /etc/grpc/nginx.conf & sleep 1000"

PODS = {
    "holding": [
        Row("exec", HEALTHY, {"livenessProbe": asks(CAT, failureThreshold=300)}, "holds"),
        Row("http", web(8001), {"livenessProbe": asks(page("/healthz", 8001), failureThreshold=300)}, "holds"),
        Row(
            "tcp", web(8002, "rm /www/healthz;"),
            {"livenessProbe": asks({"tcpSocket": {"port": 8002}}, failureThreshold=300)}, "holds",
        ),
        Row(
            "grpc", SERVE_HEALTH, {"livenessProbe": asks({"grpc": {"port": 5000}}, failureThreshold=300)}, "holds",
            image=NGINX,
        ),
        Row(
            "redirect-elsewhere", web(8003),
            {"livenessProbe": asks(page("/cgi-bin/far", 8003), failureThreshold=300)}, "holds",
        ),
        Row("grpc-says-no", HEALTHY, {"livenessProbe": asks({"grpc": {"port": 5001}}, failureThreshold=3)}, "falls"),
        Row("grpc-wrong-port", HEALTHY, {"livenessProbe": asks({"grpc": {"port": 2333}}, timeoutSeconds=1)}, "falls"),
    ],
    "unready": [
        Row(
            "shielded", HEALTHY,
            {"startupProbe": asks(CLOSED, failureThreshold=FOREVER), "livenessProbe": asks(CLOSED)},
            "unready", "Startup",
        ),
        Row("silent", HEALTHY, {"readinessProbe": asks(page("/", 9))}, "unready", "Readiness"),
        Row(
            "slow", HEALTHY, {"readinessProbe": asks(command("sleep", "30"), timeoutSeconds=1)},
            "unready", "Readiness",
        ),
        # It would be asked only once more while the test waits: that it gets ready shows that startup's end is enough.
        Row(
            "ready-after-startup", "echo ok > /tmp/health; sleep 1; echo ok > /tmp/startup; sleep 1000",
            {
                "startupProbe": asks(command("cat", "/tmp/startup"), failureThreshold=FOREVER),
                "readinessProbe": asks(CAT, periodSeconds=FOREVER),
            },
            "ready",
        ),
    ],
    "falling": [
        Row("exec", SICK_SOON, {"livenessProbe": asks(CAT)}, "falls"),
        Row("slow", HEALTHY, {"livenessProbe": asks(command("sleep", "31"), timeoutSeconds=1)}, "falls"),
        Row("http", web(8004, "sleep 1; rm /www/healthz;"), {"livenessProbe": asks(page("/healthz", "web"))}, "falls"),
        Row(
            "redirect-here", web(8005),
            {"livenessProbe": asks(page("/cgi-bin/near", 8005), initialDelaySeconds=1)}, "falls",
        ),
        Row("tcp", HEALTHY, {"livenessProbe": asks(CLOSED)}, "falls"),
        Row("startup", HEALTHY, {"startupProbe": asks(CLOSED)}, "falls"),
        Row(
            "shielded-no-more", "sleep 1; echo ok > /tmp/health; sleep 1000",
            {"startupProbe": asks(CAT, failureThreshold=FOREVER), "livenessProbe": asks(CLOSED)}, "falls",
        ),
    ],
}  # fmt: skip


def container(row: Row) -> Any:
    """The container of a row."""
    made = {
        "name": row.name,
        "image": row.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", row.script],
        **row.probes,
    }
    if row.name == "http" and row.outcome == "falls":
        made["ports"] = [{"containerPort": 8004, "name": "web"}]
    made["volumeMounts"] = [{"name": "files", "mountPath": path} for path in ("/etc/grpc", "/www/cgi-bin")]
    return made


def objects() -> list[Any]:
    """The pods of the table; one that waits before the first question; one with far more patience than its probes."""
    files = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "files"},
        "data": FILES,
        "binaryData": HEALTH,
    }
    late = pod("late", "sleep", "1000")
    late["spec"]["containers"][0]["readinessProbe"] = asks(command("true"), initialDelaySeconds=DELAY)
    short = asks(CLOSED, terminationGracePeriodSeconds=1)
    impatient = [
        Row(f"{kind}-grace", HEALTHY, {f"{kind}Probe": short}, "falls") for kind in ("liveness", "startup")
    ]
    patient = _pod("patient", impatient, FOREVER)
    return [files, *(_pod(name, rows, 1) for name, rows in PODS.items()), late, patient]


def _pod(name: str, rows: list[Row], grace: int) -> Any:
    made = pod(name, terminationGracePeriodSeconds=grace)
    made["spec"]["containers"] = [container(row) for row in rows]
    made["spec"]["volumes"] = [{"name": "files", "configMap": {"name": "files", "defaultMode": 0o755}}]
    return made
