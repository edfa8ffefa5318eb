"""One kind of volume per module; each implements `volumes/plugin.py`."""
