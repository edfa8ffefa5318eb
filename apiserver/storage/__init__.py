"""Objects by key and revision: one protocol, three implementations stacked or alone.

cacher.py   lists, gets and watches from memory, writes passed down   ─▶  etcd.py   transactions
memory.py   the same in a dict, for tests                                   etcd_client.py   the door

etcd_messages.py   protobuf, by hand  ─▶  component_base/grpc_channel.py   calls  ─▶  http2.py   frames
"""
