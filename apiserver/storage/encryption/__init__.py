"""Values that cannot be read in etcd: a configuration says which resources are encrypted, and how.

    EncryptionConfiguration ─▶ configuration.py ─▶ transformers.py   which Choice seals and opens a resource
                                                        │
    etcd  ◀── sealed ── client.py ◀── plain ── everybody else         ciphers.py, kms.py   what a Choice is made of

What lies in etcd begins with who sealed it: `k8s:enc:aescbc:v1:key1:`. The bytes are those of kube-apiserver.
Source: https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/ and …/kms-provider/
"""
