"""One loop per module; each sees the cloud only through `provider.py`."""
