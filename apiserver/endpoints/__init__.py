"""A verb and a catalog row become an answer.

    router.py   path ─▶ row, verb ─▶ module           server.py   what every module is handed: `Endpoints`
      ├── get.py  list.py  watch.py                   read: copied from cached bytes
      ├── create.py  update.py  patch.py  delete.py   write: body ─▶ admission ─▶ registry
      ├── connect.py                                  streams to a kubelet or a pod
      └── discovery.py  openapi.py                    what is served, in words

Each verb's module has `async def handle(endpoints, row, context, scope, receive, send)`. Failures are raised as
`StatusError`; the filter `errors.py` sends them.
"""
