"""The functions that Kubernetes adds to CEL, one file for each library; `catalog.py` lists them."""
