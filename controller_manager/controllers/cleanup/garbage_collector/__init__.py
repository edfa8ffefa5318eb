"""Garbage collection: objects whose owners are gone go too, for built-in and custom kinds alike.

watcher.py    every deletable kind  ──▶  graph.py   who owns whom
graph.py      what to look at       ──▶  collector.py   delete, orphan or wait
"""
