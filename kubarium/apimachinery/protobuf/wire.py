"""The wire format of protobuf: numbers of variable length, and fields that carry them or bytes.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from typing import Any

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def varint(value: int) -> bytes:
    """A number of variable length."""
    value &= 2**64 - 1  # a negative number is its two's complement
    if value < 0x80:
        return bytes((value,))
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def field(number: int, payload: bytes) -> bytes:
    """A field that holds bytes, text or a message."""
    size = len(payload)
    if size < 0x80 and number < 0x10:
        return bytes((number << 3 | BYTES, size)) + payload
    return varint(number << 3 | BYTES) + varint(size) + payload


def number_field(number: int, value: int) -> bytes:
    """A field that holds a number."""
    return varint(number << 3 | VARINT) + varint(value)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("integer overflow")


def read_payload(data: bytes, at: int, wire: int) -> tuple[Any, int]:
    """What a field of that type holds, and where it ends."""
    if wire == BYTES:
        length, at = read_varint(data, at)
        end = at + length
        if end > len(data):
            raise ValueError("unexpected EOF")
        return data[at:end], end
    if wire == VARINT:
        return read_varint(data, at)
    if wire == FIXED64:
        return data[at : at + 8], at + 8
    if wire == FIXED32:
        return data[at : at + 4], at + 4
    raise ValueError(f"illegal wireType {wire}")


def fields(data: bytes) -> list[tuple[int, Any]]:
    """Numbers and payloads of a message, in order."""
    found = []
    at, end = 0, len(data)
    while at < end:
        tag = data[at]
        at += 1
        if tag >= 0x80:
            tag, at = read_varint(data, at - 1)
        wire = tag & 7
        if wire == BYTES:
            # The common cases stand here, and not in a function, for speed.
            length = data[at]
            at += 1
            if length >= 0x80:
                length, at = read_varint(data, at - 1)
            stop = at + length
            if stop > end:
                raise ValueError("unexpected EOF")
            found.append((tag >> 3, data[at:stop]))
            at = stop
        elif wire == VARINT:
            payload: Any = data[at]
            at += 1
            if payload >= 0x80:
                payload, at = read_varint(data, at - 1)
            found.append((tag >> 3, payload))
        else:
            payload, at = read_payload(data, at, wire)
            found.append((tag >> 3, payload))
    return found
