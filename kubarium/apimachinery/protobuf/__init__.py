"""Objects in Kubernetes' protobuf form, which clients in Go send for built-in kinds.

    6b 38 73 00 | runtime.Unknown { typeMeta { apiVersion, kind }, raw: the object's message }

    fields.txt ─▶ table.py ─▶ decoding.py    bytes ─▶ dict
                          └─▶ encoding.py    dict ─▶ bytes
                                 wire.py     numbers and fields, for both (and for etcd)

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
"""
