"""What a plugin is, what it is shown, and how the plugins of one profile are run.

`interface.py` has one small class per extension point; `nodes.py` is the picture of the cluster: nodes as columns;
`pod_info.py` is a pod as the scheduler reads it; `pod_counts.py` counts pods per node for affinity and spreading;
`runtime.py` runs the plugins of each point in order.
"""
