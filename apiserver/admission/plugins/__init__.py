"""One plugin, one module. They know nothing of each other; `../chain.py` lists them in order."""
