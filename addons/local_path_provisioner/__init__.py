"""Volumes on the disks of nodes, so that a claim of the default class works out of the box.

    a claim that the scheduler has put on a node ──▶ a PersistentVolume: a folder on that node
    a released volume that is to be deleted      ──▶ a pod on that node that removes the folder ──▶ the volume goes

Behaves like https://github.com/rancher/local-path-provisioner.
"""
