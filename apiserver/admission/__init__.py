"""The last word on a write: plugins change the object, then plugins judge it.

    chain.py            the ordered list ─▶ admit all, then (after defaults and validation) validate all
    plugin.py           the two hooks, and what a plugin is told
    plugins/            one plugin, one module
    webhook_client.py   how webhooks are called       expressions.py, variables.py, policy_matching.py   policies in CEL

A plugin sees the cluster through informers over the API server's own front door, and refuses with a `StatusError`.
"""
