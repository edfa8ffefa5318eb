"""`kubectl explain`: what a field means, from the server's own OpenAPI document."""

from __future__ import annotations

import textwrap
from typing import Any

import click

from kubarium.apimachinery.object import Object
from kubarium.kubectl.commandline import command
from kubarium.kubectl.names import Kind
from kubarium.kubectl.session import CommandFailed, Session, say, with_session

WIDTH = 80


@command()
@click.argument("path")
@click.option("--recursive", is_flag=True)
@click.option("--api-version", default="")
@with_session
async def explain(session: Session, path: str, recursive: bool, api_version: str) -> None:
    """Get documentation for a resource."""
    resource, *fields = path.split(".")
    kind = await session.names.kind(resource)
    if api_version and api_version != kind.api_version:
        others = [each for each in await session.names.kinds() if each.api_version == api_version]
        kind = next((each for each in others if each.plural == kind.plural), kind)
        if kind.api_version != api_version:
            raise CommandFailed(f'couldn\'t find resource for "{api_version}, Resource={kind.plural}"')
    schemas = await _schemas(session, kind)
    schema = _of_kind(schemas, kind)
    head = [f"GROUP:      {kind.group}"] if kind.group else []
    say("\n".join([*head, f"KIND:       {kind.kind}", f"VERSION:    {kind.version}", ""]))
    lines: list[str] = []
    word = ""
    for name in fields:
        schema = _resolve(schemas, schema)
        properties = _properties(schemas, schema)
        if name not in properties:
            raise CommandFailed(f'field "{name}" does not exist')
        schema = properties[name]
        word = _type(schemas, schema)
    if fields:
        lines += [f"FIELD: {fields[-1]} <{word}>", "", ""]
    lines += ["DESCRIPTION:", *_wrapped(_description(schemas, schema), 4), " " * 4]
    properties = _properties(schemas, _resolve(schemas, schema))
    if properties:
        lines += ["FIELDS:", *_fields(schemas, schema, 2, recursive)]
    lines.append("")
    say("\n".join(lines))


async def _schemas(session: Session, kind: Kind) -> Object:
    index = await session.client.request("GET", "/openapi/v3")
    path = f"apis/{kind.group}/{kind.version}" if kind.group else f"api/{kind.version}"
    entry = index["paths"].get(path)
    if entry is None:
        raise CommandFailed(f"couldn't find resource for {kind.api_version}, Kind={kind.kind}")
    document = await session.client.request("GET", entry["serverRelativeURL"])
    found: Object = document["components"]["schemas"]
    return found


def _of_kind(schemas: Object, kind: Kind) -> Object:
    wanted = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    for schema in schemas.values():
        if wanted in (schema.get("x-kubernetes-group-version-kind") or []):
            found: Object = schema
            return found
    raise CommandFailed(f"couldn't find resource for {kind.api_version}, Kind={kind.kind}")


def _resolve(schemas: Object, schema: Object) -> Object:
    """Follow references, arrays and maps to the object that has the fields."""
    while True:
        if "$ref" in schema:
            schema = schemas[schema["$ref"].rpartition("/")[2]]
        elif schema.get("allOf"):
            schema = schema["allOf"][0]
        elif schema.get("type") == "array" and "items" in schema:
            schema = schema["items"]
        elif isinstance(schema.get("additionalProperties"), dict) and "properties" not in schema:
            schema = schema["additionalProperties"]
        else:
            return schema


def _properties(schemas: Object, schema: Object) -> Object:
    found: Object = _resolve(schemas, schema).get("properties") or {}
    return found


def _type(schemas: Object, schema: Object) -> str:
    if "$ref" in schema or schema.get("allOf"):
        name = (schema.get("$ref") or schema["allOf"][0].get("$ref", "")).rpartition("/")[2]
        target = schemas.get(name) or {}
        plain = target and not target.get("properties") and target.get("type", "object") != "object"
        return _type(schemas, target) if plain else name.rpartition(".")[2] or "Object"
    if schema.get("type") == "array":
        return f"[]{_type(schemas, schema.get('items') or {})}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map[string]{_type(schemas, schema['additionalProperties'])}"
    return str(schema.get("type") or "Object")


def _text(schemas: Object, field: Object) -> str:
    """What is said of a field; of its type only if nothing is."""
    return str(field.get("description") or "") or _description(schemas, field)


def _description(schemas: Object, schema: Object) -> str:
    own = schema.get("description") or ""
    resolved = _resolve(schemas, schema).get("description") or ""
    if own and resolved and own != resolved:
        return f"{own}\n{resolved}"
    return own or resolved or "<empty>"


def _fields(schemas: Object, schema: Object, indent: int, recursive: bool) -> list[str]:
    resolved = _resolve(schemas, schema)
    required = set(resolved.get("required") or ())
    lines: list[str] = []
    for name, field in sorted((resolved.get("properties") or {}).items()):
        mark = " -required-" if name in required else ""
        lines.append(f"{' ' * indent}{name}\t<{_type(schemas, field)}>{mark}")
        if recursive:
            if indent < 40 and name != "jsonSchemaProps":
                lines += _fields(schemas, field, indent + 2, True)
            continue
        lines += [*_enum(field, indent + 2), *_wrapped(_text(schemas, field), indent + 2), ""]
    return lines


def _enum(field: Any, indent: int) -> list[str]:
    values = field.get("enum")
    return [f"{' ' * indent}enum: {', '.join(map(str, values))}"] if values else []


def _wrapped(text: str, indent: int) -> list[str]:
    lines: list[str] = []
    for paragraph in text.split("\n"):
        wrapped = textwrap.wrap(paragraph, WIDTH - indent, break_long_words=False, break_on_hyphens=False)
        lines += [" " * indent + line for line in wrapped or [""]]
    return lines
