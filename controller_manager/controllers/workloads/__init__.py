"""Controllers that keep pods running: ReplicaSet, Deployment, StatefulSet, DaemonSet, Job, CronJob and their kin."""
