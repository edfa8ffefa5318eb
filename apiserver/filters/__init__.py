"""What every request falls through before it reaches an endpoint.

`chain.py` is the ordered list, outermost first; each other module is one filter: an ASGI application around an
ASGI application. They meet only in the `RequestContext` that the scope carries.
"""
