"""The kubelet's HTTPS API on port 10250, for the API server, the metrics add-on and people who look.

app.py            pages and routes
listeners.py      the ports, and the certificate that is shown
authorization.py  who is it, and may they: both asked of the API server
streaming.py      logs; exec, attach and port-forward as tunnels of bytes to the runtime's streaming server
"""
