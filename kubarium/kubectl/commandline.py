"""How kubectl reads its command line, and how it complains: click commands with the manners of Go's pflag and cobra.

`-o=yaml`, `--force=true`, `--watch=false` are understood; whatever follows `--` is for somebody else. A flag that
is not known, an unknown command and a missing flag are told in upstream's words.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
import yaml

from kubarium.component_base.options import parse_duration

TRUE = {"1", "t", "T", "true", "TRUE", "True"}
FALSE = {"0", "f", "F", "false", "FALSE", "False"}
FAR = 2  # edits between a word and one that was perhaps meant
USAGES = Path(__file__).with_name("usage.yaml")
HINT = 'Use "kubectl <command> --help" for more information about a given command.'
ALL_FLAGS = 'Use "kubectl options" for a list of global command-line options (applies to all commands).'
AFTER_DASHES = "kubarium.kubectl.after_dashes"  # how many words followed `--`, in the context's meta


class Duration(click.ParamType[float]):
    """`1m30s`, as Go writes it; becomes seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> float:
        try:
            return float(parse_duration(str(value)))
        except ValueError:
            flag = max(param.opts, key=len) if param else ""
            self.fail(
                f'invalid argument "{value}" for "{flag}" flag: time: invalid duration "{value}"',
                param,
                context,
            )


class Command(click.Command):
    """A command whose flags are read as pflag does."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        own, dashes, foreign = _parted(args)
        context.meta[AFTER_DASHES] = len(foreign)
        words = [word for each in own for word in _as_click(self, each)]
        try:
            return super().parse_args(context, [*words, *dashes, *foreign])
        except click.UsageError as error:
            error.ctx = error.ctx or context
            raise

    def format_help(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(help_text(self, context))


class Group(click.Group):
    """A command with commands below it; alone it tells which."""

    command_class = Command

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        if not args and not self.invoke_without_command and not context.resilient_parsing:
            raise Told(self.get_help(context), 0 if context.parent is None else 1)
        words = [word for each in args[:1] for word in _as_click(self, each)] + args[1:]
        return super().parse_args(context, words)

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(context, args[0]) is None and not context.resilient_parsing:
            raise UnknownCommand(args[0], context, self.list_commands(context))
        return super().resolve_command(context, args)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except click.UsageError as error:
            if error.message == "Missing command.":
                raise Told(self.get_help(context), 1) from error
            raise

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)

    def format_help(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(help_text(self, context))


Group.group_class = Group


class Told(Exception):
    """The command only says something and ends."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class UnknownCommand(click.ClickException):
    """Nobody knows this word; perhaps another one was meant."""

    def __init__(self, word: str, context: click.Context, known: Iterable[str]) -> None:
        path = context.command_path
        if context.parent is None:
            close = [f"\t{name}" for name in known if _distance(word, name) <= FAR or name.startswith(word)]
            meant = ["", "Did you mean this?", *close] if close else []
            text = "\n".join([f'unknown command "{word}" for "{path}"', *meant])
        elif context.command.name == "create":
            text = f"Unexpected args: [{word}]\nSee '{path} -h' for help and examples"
        else:
            text = f"unknown command \"{word}\"\nSee '{path} -h' for help and examples"
        super().__init__(text)


def command(name: str | None = None, **settings: Any) -> Callable[[Callable[..., Any]], Command]:
    """`click.command` for ours."""
    return click.command(name, cls=Command, **settings)


def group(name: str | None = None, cls: type[Group] = Group, **settings: Any) -> Callable[..., Group]:
    """`click.group` for ours."""
    return click.group(name, cls=cls, **settings)


def words_of(error: click.ClickException) -> str:
    """What is wrong with a command line, as upstream says it."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "kubectl"
    see = f"\nSee '{path} --help' for usage."
    if isinstance(error, click.NoSuchOption):
        name = error.option_name
        unknown = f"flag: {name}" if name.startswith("--") else f"shorthand flag: '{name[1:2]}' in {name}"
        return f"unknown {unknown}{see}"
    if isinstance(error, click.BadOptionUsage):
        name = error.option_name
        missing = f": {name}" if name.startswith("--") else f": '{name[1:]}' in {name}"
        return f"flag needs an argument{missing}{see}"
    parameter = getattr(error, "param", None)
    if isinstance(error, click.MissingParameter) and isinstance(parameter, click.Option):
        return f'required flag(s) "{_long(parameter)[2:]}" not set'
    if isinstance(error, click.MissingParameter) and parameter is not None and parameter.name == "name":
        return f"exactly one NAME is required, got 0\nSee '{path} -h' for help and examples"
    if isinstance(error, click.BadParameter) and isinstance(parameter, click.Option):
        return f"{_bad_value(error, parameter)}{see}"
    return error.format_message()


def _bad_value(error: click.BadParameter, parameter: click.Option) -> str:
    names = ", ".join(sorted(parameter.opts, key=len))
    given = re.match(r"'(.*)' is not a valid (\w+)", error.message)
    if given is None:
        return error.message if error.message.startswith("invalid argument") else error.format_message()
    parser = {"integer": "ParseInt", "float": "ParseFloat", "boolean": "ParseBool"}.get(given[2], "Parse")
    return f'invalid argument "{given[1]}" for "{names}" flag: strconv.{parser}: parsing "{given[1]}": invalid syntax'


def _parted(args: list[str]) -> tuple[list[str], list[str], list[str]]:
    if "--" not in args:
        return args, [], []
    place = args.index("--")
    return args[:place], ["--"], args[place + 1 :]


def _as_click(command: click.Command, word: str) -> list[str]:
    """`-o=x` as `-ox`; `--switch=true` as `--switch`, and what switches it off."""
    name, equals, value = word.partition("=")
    if not equals or not name.startswith("-"):
        return [word]
    option = next((each for each in command.params if name in each.opts), None)
    if isinstance(option, click.Option) and option.is_flag:
        if value in TRUE:
            return [name]
        if value in FALSE:
            return [option.secondary_opts[0]] if option.secondary_opts else []
        raise click.UsageError(
            f'invalid argument "{value}" for "{name}" flag: strconv.ParseBool: parsing "{value}": invalid syntax'
        )
    return [name, value] if len(name) == 2 else [word]


def _long(option: click.Option) -> str:
    return max(option.opts, key=len)


def _distance(one: str, other: str) -> int:
    """Levenshtein's: how many letters must change."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one.lower(), 1):
        before, row[0] = row[0], i
        for j, right in enumerate(other.lower(), 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (left != right))
    return row[-1]


def help_text(command: click.Command, context: click.Context) -> str:
    """What `-h` says: what it does, what is below it, its flags, how it is called."""
    path = context.command_path
    usages = yaml.safe_load(USAGES.read_text())
    parts = [(command.help or "").strip()]
    if context.parent is None:
        parts[0] = (
            "kubectl controls the Kubernetes cluster manager.\n\n"
            " Find more information at: https://kubernetes.io/docs/reference/kubectl/"
        )
        parts += [_commands(command, title, names) for title, names in usages["groups"].items()]
    elif isinstance(command, click.Group):
        parts.append(_commands(command, "Available Commands", command.commands))
    called = usages["commands"].get(path.removeprefix("kubectl").strip()) or {}
    if called.get("examples"):
        parts.append("Examples:\n" + textwrap.indent(called["examples"].rstrip(), "  "))
    flags = [_flag(each) for each in _own_options(command)]
    if flags and context.parent is not None:
        parts.append("Options:\n" + "\n\n".join(flags))
    usage = called.get("usage") or ("[flags] [options]" if context.parent is None else "[options]")
    parts.append(f"Usage:\n  {path} {usage}")
    hints = [HINT] if isinstance(command, click.Group) else []
    return "\n\n".join([*parts, "\n".join([*hints, ALL_FLAGS])])


def _commands(command: click.Command, title: str, names: Iterable[str]) -> str:
    known = command.commands if isinstance(command, click.Group) else {}
    shown = {name: known[name].get_short_help_str(200).rstrip(".") for name in names if name in known}
    width = max(map(len, shown), default=0)
    return "\n".join([f"{title}:", *(f"  {name.ljust(width)}   {text}" for name, text in shown.items())])


def _own_options(command: click.Command) -> list[click.Option]:
    options = [each for each in command.params if isinstance(each, click.Option)]
    own = [each for each in options if each.expose_value and not each.hidden]
    return sorted(own, key=_long)


def _flag(option: click.Option) -> str:
    shorts = [name for name in option.opts if len(name) == 2]
    default = _default(option)
    return f"    {', '.join([*shorts, _long(option)])}={default}:\n\t{option.help or ''}".rstrip()


def _default(option: click.Option) -> str:
    if option.multiple:
        return "[]"
    value = option.default
    if isinstance(value, bool) or option.is_flag:
        return str(bool(value is True)).lower()
    return str(value) if isinstance(value, int | float) else f"'{value if isinstance(value, str) else ''}'"


def options_text(command: click.Command) -> str:
    """`kubectl options`: the flags that every command takes."""
    options = [each for each in command.params if isinstance(each, click.Option) and not each.expose_value]
    shown = [_flag(each) for each in sorted(options, key=_long) if "--help" not in each.opts]
    return "The following options can be passed to any command:\n\n" + "\n\n".join(shown)
