"""Strategies and subresources of the core group. `simple.py` holds those of a few lines each."""
