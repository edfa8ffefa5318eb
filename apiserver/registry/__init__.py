"""What the cluster keeps, and the one workflow that every write of every kind goes through.

`catalog.py` is the table of all resources; `store.py` the workflow; a `Strategy` per kind fills in what is special.
"""
