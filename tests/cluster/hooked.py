"""A pod whose containers have hooks of every kind, and a sidecar that writes down who called."""

from __future__ import annotations

import base64
from typing import Any

from kubarium.component_base.certificates import Authority
from tests.cluster.objects import BUSYBOX, NGINX, pod

SLEEP = 3  # seconds
FOLDER = "/tmp/hooks"  # on the node: it outlives the pod
CONF = """daemon off;
pid /tmp/nginx.pid;
error_log /dev/stderr;
worker_processes 1;
events {}
http {
    access_log off;
    log_format calls '$scheme $request_uri $http_user_agent';
    client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi; uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
    server {
        listen 8080;
        listen 8443 ssl;
        ssl_certificate /etc/hooks/tls.crt;
        ssl_certificate_key /etc/hooks/tls.key;
        location / { access_log /log/calls calls; return 200; }
        location /up { return 200; }
    }
}
"""


def calls(scheme: str, path: str) -> Any:
    return {"httpGet": {"scheme": scheme, "port": {"HTTP": 8080, "HTTPS": 8443}[scheme], "path": path}}


def fetches(path: str) -> Any:
    return {
        "exec": {"command": ["wget", "-q", "-O", "/dev/null", "-U", "wget", f"http://127.0.0.1:8080{path}"]}
    }


HOOKS = {
    "exec": {"postStart": fetches("/start-exec"), "preStop": fetches("/stop-exec")},
    "http": {"postStart": calls("HTTP", "/start-http"), "preStop": calls("HTTP", "/stop-http")},
    "https": {"postStart": calls("HTTPS", "/start-https"), "preStop": calls("HTTPS", "/stop-https")},
    "sleep": {"preStop": {"sleep": {"seconds": SLEEP}}},
}
CALLED = [
    *(
        "http /start-exec wget",
        "http /start-http kube-lifecycle/1.36",
        "https /start-https kube-lifecycle/1.36",
    ),
    *("http /stop-exec wget", "http /stop-http kube-lifecycle/1.36", "https /stop-https kube-lifecycle/1.36"),
]
UNTIL_TERM = "trap 'date +%s > /log/term-{}; exit 0' TERM; while :; do sleep 0.1; done"


def objects() -> list[Any]:
    """The pod and what its sidecar needs."""
    pair = Authority.create("hooks").server("hooks", ["hooks"])
    files = {"tls.crt": pair.cert_pem, "tls.key": pair.key_pem, "nginx.conf": CONF.encode()}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "hooks"},
        "data": {name: base64.b64encode(content).decode() for name, content in files.items()},
    }
    mounts = [{"name": "conf", "mountPath": "/etc/hooks"}, {"name": "log", "mountPath": "/log"}]
    side = {
        "name": "side",
        "image": NGINX,
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "command": ["nginx", "-c", "/etc/hooks/nginx.conf"],
        "volumeMounts": mounts,
        "startupProbe": {
            "httpGet": {"path": "/up", "port": 8080},
            "periodSeconds": 1,
            "failureThreshold": 300,
        },
    }
    made = pod("hooked", terminationGracePeriodSeconds=120)
    made["spec"]["initContainers"] = [side]
    made["spec"]["containers"] = [
        {
            "name": name,
            "image": BUSYBOX,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", UNTIL_TERM.format(name)],
            "volumeMounts": mounts,
            "lifecycle": hooks,
        }
        for name, hooks in HOOKS.items()
    ]
    made["spec"]["volumes"] = [
        {"name": "conf", "secret": {"secretName": "hooks"}},
        {"name": "log", "hostPath": {"path": FOLDER, "type": "DirectoryOrCreate"}},
    ]
    return [secret, made]
