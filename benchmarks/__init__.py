"""One file per figure the project claims; `python -m benchmarks` prints the table.

control_plane.py   etcd and the API server as processes of their own, with certificates
load.py            the load generator: a process of its own, raw HTTP/1.1 over TLS
api_server.py      what is measured on the API server
proxy.py           kube-proxy's backends writing a thousand Services into a kernel of their own (`-m benchmarks.proxy`)
"""
