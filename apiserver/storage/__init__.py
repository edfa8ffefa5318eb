"""Objects by key and revision: one protocol, four implementations stacked or alone.

cacher.py   lists, gets and watches from memory, writes passed down   ─▶  etcd.py   transactions
split.py    resources that have an etcd of their own                        etcd_client.py   the door
memory.py   the same in a dict, for tests

etcd_messages.py   protobuf, by hand  ─▶  component_base/grpc_channel.py   calls  ─▶  http2.py   frames
"""
