"""Programs of others on this node that serve the kubelet: CSI drivers, device plugins, DRA drivers.

plugins_registry/<name>-reg.sock ──▶ watcher.py: who are you? ──▶ the handler for that kind ──▶ you are registered
`component_base/plugin_socket.py` calls all of them: gRPC over a unix socket, message classes from a small `.proto`
"""
