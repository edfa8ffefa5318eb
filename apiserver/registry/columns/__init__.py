"""What `kubectl get` shows of each kind: tuples of `Column`, in upstream's order and wording.

Columns with priority 1 are shown with `-o wide` only.
"""
