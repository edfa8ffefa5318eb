"""The last word on a write: plugins change the object, then plugins judge it.

`chain.py` is the ordered list; `plugin.py` the two hooks; each module in `plugins/` is one plugin.
"""
