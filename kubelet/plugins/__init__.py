"""Programs of others on this node that serve the kubelet: CSI drivers, device plugins, DRA drivers.

plugins_registry/<name>-reg.sock ──▶ watcher.py: who are you? ──▶ the handler for that kind ──▶ you are registered
socket.py: how all of them are called: gRPC over a unix socket, message classes from a small `.proto`
"""
