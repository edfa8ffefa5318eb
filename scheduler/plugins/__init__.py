"""The plugins, one per file, strangers to each other; `scheduler/profiles.py` is the table that lists them.

`node_name.py` is the smallest: read it first.
"""
