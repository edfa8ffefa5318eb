"""What `kubectl describe` says of each kind, in upstream's words and form.

`page.py` is the paper: lines whose cells stand in columns. Each module writes about some kinds; `catalog.py` is the
table.
A describer is a coroutine that takes the session, the object and the page: some ask for more than the object.
"""
