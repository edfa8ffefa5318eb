"""Message classes made from a `.proto` text when the module is imported.

No generated code and no build step: the text is small, and only the forms that stand in it are understood
(`message`, `enum`, `repeated`, maps from strings to scalars, scalar and message fields).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SCALARS = {"int64": 3, "uint64": 4, "int32": 5, "bool": 8, "string": 9, "bytes": 12, "uint32": 13}
MESSAGE, ENUM = 11, 14
OPTIONAL, REPEATED = 1, 3

_DECLARATION = re.compile(r"(message|enum)\s+(\w+)\s*\{([^}]*)\}")
_FIELD = re.compile(r"(repeated\s+)?(map<string,\s*\w+>|\w+)\s+(\w+)\s*=\s*(\d+)")
_VALUE = re.compile(r"(\w+)\s*=\s*(\d+)")


def load(path: Path) -> dict[str, Any]:
    """Message classes by name."""
    text = re.sub(r"//.*", "", path.read_text())
    package = re.findall(r"package\s+([\w.]+)\s*;", text)[0]
    file = descriptor_pb2.FileDescriptorProto(name=path.name, package=package, syntax="proto3")
    declarations = _DECLARATION.findall(text)
    enums = {name for kind, name, _ in declarations if kind == "enum"}
    for kind, name, body in declarations:
        if kind == "enum":
            _add_enum(file, name, body)
        else:
            _add_message(file, name, body, enums)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindFileByName(path.name)
    return {
        name: message_factory.GetMessageClass(descriptor)
        for name, descriptor in found.message_types_by_name.items()
    }


def _add_enum(file: descriptor_pb2.FileDescriptorProto, name: str, body: str) -> None:
    enum = file.enum_type.add(name=name)
    for value, number in _VALUE.findall(body):
        enum.value.add(name=value, number=int(number))


def _add_message(file: descriptor_pb2.FileDescriptorProto, name: str, body: str, enums: set[str]) -> None:
    message = file.message_type.add(name=name)
    for repeated, kind, field_name, number in _FIELD.findall(body):
        field = message.field.add(
            name=field_name,
            number=int(number),
            label=REPEATED if repeated else OPTIONAL,
        )
        if kind.startswith("map<"):
            entry = _add_map_entry(message, field_name, kind.rstrip(">").rpartition(",")[2].strip())
            field.label = REPEATED  # type: ignore[assignment]
            field.type, field.type_name = MESSAGE, f".{file.package}.{name}.{entry}"  # type: ignore[assignment]
        elif kind in SCALARS:
            field.type = SCALARS[kind]  # type: ignore[assignment]
        else:
            field.type = ENUM if kind in enums else MESSAGE  # type: ignore[assignment]
            field.type_name = f".{file.package}.{kind}"


def _add_map_entry(message: descriptor_pb2.DescriptorProto, field_name: str, value: str) -> str:
    name = "".join(part.capitalize() for part in field_name.split("_")) + "Entry"
    entry = message.nested_type.add(name=name)
    entry.options.map_entry = True
    for number, (part, kind) in enumerate((("key", "string"), ("value", value)), start=1):
        entry.field.add(name=part, number=number, label=OPTIONAL, type=SCALARS[kind])
    return name
