"""Is the container alive, ready, started? One task per probe asks; changes of the answer wake the sync loop.

manager.py  starts and stops workers      worker.py  period, thresholds      actions.py  HTTP, TCP, exec, gRPC
"""
