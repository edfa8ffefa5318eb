"""What a pod's containers find in their file system besides the image.

manager.py: pod ──▶ every volume set up by the plugin that supports it ──▶ host paths
            container ──▶ mounts (subPath, read-only, propagation)
plugins/: strangers to each other, listed in `storage.py`; csi/: what the CSI plug-in stands on
Layout below the kubelet's root, as upstream: pods/<uid>/volumes/kubernetes.io~<plugin>/<name>
"""
