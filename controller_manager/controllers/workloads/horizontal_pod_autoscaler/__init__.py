"""HorizontalPodAutoscaler: metrics → proposals → smoothed and limited → the target's scale.

metrics_client.py   asks the three metrics APIs
proposals.py        turns one metric of the wish into a number of replicas
controller.py       takes the largest, smooths it, writes the scale and the status
"""
