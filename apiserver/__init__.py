"""The only door to etcd. A request falls through.

    bytes from a client
      │   filters/      who is it, may they, is there room        (chain.py is the list)
      ▼
      endpoints/        verb and catalog row find the module      (router.py)
      │   admission/    mutate, then validate                     (chain.py is the list)
      ▼
      registry/         the one CRUD workflow, a strategy per kind (store.py, catalog.py)
      ▼
      storage/          cacher over etcd                          (interface.py)

Read `request.py`, `filters/chain.py`, `endpoints/router.py`, `endpoints/create.py`, `registry/store.py`,
`storage/cacher.py`, in that order.
"""
