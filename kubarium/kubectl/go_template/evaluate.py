"""Nodes become text."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Sequence
from typing import Any

from kubarium.kubectl.go_template.functions import FUNCTIONS, CallError, WrongArgument
from kubarium.kubectl.go_template.lexer import NAME, TemplateError, at
from kubarium.kubectl.go_template.parser import Node, Operand, Pipeline, Template, parse
from kubarium.kubectl.go_template.values import MISSING, NO_VALUE, is_true, of_json, show, type_of

LAZY = {"and": False, "or": True}  # the value that ends the work


def render(source: str, data: Any) -> str:
    """Fill in a template. Raises TemplateError."""
    try:
        template = parse(source)
    except TemplateError as error:
        raise TemplateError(f"error parsing template {source}, {error}") from error
    try:
        given = of_json(data)
        return "".join(_Run(template, given).nodes(template.nodes, given))
    except TemplateError as error:
        raise TemplateError(f'error executing template "{source}": {error}') from error


class _Left(Exception):
    """`break` or `continue`; what was written before stays."""

    def __init__(self, word: str, written: list[str]) -> None:
        self.word = word
        self.written = written


class _Run:
    """One evaluation; variables live on a stack, the newest of a name rules."""

    def __init__(self, template: Template, data: Any) -> None:
        self._template = template
        self._variables: list[tuple[str, Any]] = [("$", data)]

    def nodes(self, nodes: Sequence[Node], dot: Any) -> list[str]:
        """What they write."""
        written: list[str] = []
        for node in nodes:
            try:
                written += self._node(node, dot)
            except _Left as left:
                raise _Left(left.word, written + left.written) from None
        return written

    def _node(self, node: Node, dot: Any) -> Iterable[str]:
        if node.sort == "text":
            return (node.text,)
        if node.sort in ("break", "continue"):
            raise _Left(node.sort, [])
        if node.sort == "template":
            return self._template_of(node, dot)
        assert node.pipeline is not None
        if node.sort == "action":
            value = self._pipeline(node.pipeline, dot)
            return (
                ()
                if node.pipeline.variables
                else (NO_VALUE if value is None or value is MISSING else show(value),)
            )
        known = len(self._variables)
        try:
            if node.sort == "range":
                return self._range(node, node.pipeline, dot)
            value = self._pipeline(node.pipeline, dot)
            if not is_true(value):
                return self.nodes(node.other, dot)
            return self.nodes(node.body, value if node.sort == "with" else dot)
        finally:
            del self._variables[known:]

    def _template_of(self, node: Node, dot: Any) -> list[str]:
        if node.text not in self._template.named:
            raise TemplateError(f'template: {NAME}: template "{node.text}" not defined')
        given = self._pipeline(node.pipeline, dot) if node.pipeline else None
        known, self._variables = self._variables, [("$", given)]
        try:
            return self.nodes(self._template.named[node.text], given)
        finally:
            self._variables = known

    def _range(self, node: Node, pipeline: Pipeline, dot: Any) -> list[str]:
        value = self._commands(pipeline, dot)
        written: list[str] = []
        pairs = self._pairs(value, pipeline)
        for key, each in pairs:
            known = len(self._variables)
            names = pipeline.variables
            if len(names) == 2:
                self._set(names[0], key, pipeline.declares)
            if names:
                self._set(names[-1], each, pipeline.declares)
            try:
                written += self.nodes(node.body, each)
            except _Left as left:
                written += left.written
                if left.word == "break":
                    break
            finally:
                del self._variables[known:]
        return written if pairs else self.nodes(node.other, dot)

    def _pairs(self, value: Any, pipeline: Pipeline) -> list[tuple[Any, Any]]:
        if isinstance(value, dict):
            return sorted(value.items())
        if isinstance(value, list):
            return list(enumerate(value))
        if type(value) is int:
            return [(number, number) for number in range(value)]
        if value is None or value is MISSING:
            return []
        operand = pipeline.commands[-1][0]
        raise self._failure(operand, f"range can't iterate over {show(value)}")

    def _pipeline(self, pipeline: Pipeline, dot: Any) -> Any:
        value = self._commands(pipeline, dot)
        for name in pipeline.variables:
            self._set(name, value, pipeline.declares)
        return value

    def _commands(self, pipeline: Pipeline, dot: Any) -> Any:
        """Each command's value is the last argument of the next one."""
        first, *others = pipeline.commands
        value = self._command(first, dot, [])
        for command in others:
            value = self._command(command, dot, [value])
        return value

    def _command(self, command: Sequence[Operand], dot: Any, last: list[Any]) -> Any:
        head, *rest = command
        if head.sort != "function":
            if head.path and (rest or last):
                raise self._failure(head, f"{head.path[-1]} is not a method but has arguments")
            if rest or last:
                raise self._failure(head, f"can't give argument to non-function {self._text(head)}")
            if head.sort == "value" and head.value is None:
                raise self._failure(head, "nil is not a command")
            return self._operand(head, dot)
        if head.value in LAZY:
            return self._lazy(head, rest, dot, last)
        return self._call(command, [*(self._operand(each, dot) for each in rest), *last])

    def _lazy(self, head: Operand, rest: Sequence[Operand], dot: Any, last: list[Any]) -> Any:
        value: Any = None
        for each in rest:
            value = self._operand(each, dot)
            if is_true(value) == LAZY[head.value]:
                return value
        return last[0] if last else value

    def _call(self, command: Sequence[Operand], values: list[Any]) -> Any:
        name = command[0].value
        function = FUNCTIONS[name]
        known = inspect.signature(function).parameters.values()
        least = sum(each.kind is not inspect.Parameter.VAR_POSITIONAL for each in known)
        if len(values) < least or len(values) > least == len(known):
            want = f"{'at least ' if least < len(known) else ''}{least}"
            raise self._failure(command[0], f"wrong number of args for {name}: want {want} got {len(values)}")
        try:
            return function(*(None if value is MISSING else value for value in values))
        except WrongArgument as error:
            raise self._failure(command[0], str(error)) from error
        except CallError as error:
            raise self._failure(command, f"error calling {name}: {error}") from error

    def _operand(self, operand: Operand, dot: Any) -> Any:
        match operand.sort:
            case "dot":
                value = dot
            case "variable":
                value = next(value for name, value in reversed(self._variables) if name == operand.value)
            case "pipeline":
                value = self._pipeline(operand.value, dot)
            case "function":
                value = self._call([operand], [])
            case _:
                value = operand.value
        for name in operand.path:
            if value is MISSING:
                return value
            if value is None:
                raise self._failure(operand, f"nil pointer evaluating interface {{}}.{name}")
            if not isinstance(value, dict):
                raise self._failure(operand, f"can't evaluate field {name} in type {_within(value)}")
            value = value.get(name, MISSING)
        return value

    def _set(self, name: str, value: Any, declares: bool) -> None:
        if declares:
            self._variables.append((name, value))
            return
        for position in range(len(self._variables) - 1, -1, -1):
            if self._variables[position][0] == name:
                self._variables[position] = (name, value)
                return

    def _failure(self, node: Operand | Sequence[Operand], text: str) -> TemplateError:
        source = self._template.source
        place = node.place if isinstance(node, Operand) else node[0].place
        column = place - (source.rfind("\n", 0, place) + 1)
        shown = self._text(node)
        return TemplateError(f'{at(source, place)}:{column}: executing "{NAME}" at <{shown}>: {text}')

    def _text(self, node: Operand | Sequence[Operand]) -> str:
        if not isinstance(node, Operand):
            return " ".join(map(self._text, node))
        path = "".join(f".{name}" for name in node.path)
        if node.sort == "dot":
            return path or "."
        if node.sort == "pipeline":
            return f"({' | '.join(map(self._text, node.value.commands))}){path}"
        if node.sort == "value":
            return json.dumps(node.value) if isinstance(node.value, str) else show(node.value).strip("<>")
        return f"{node.value}{path}"


def _within(value: Any) -> str:
    return "interface {}" if isinstance(value, list | str | float) else type_of(value)
