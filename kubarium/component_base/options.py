"""A frozen dataclass becomes `--flags` and `--help` text.

    @dataclass(frozen=True)
    class Options:
        secure_port: int = flag(6443, "The port on which to serve HTTPS.")
        etcd_servers: tuple[str, ...] = flag((), "etcd endpoints, comma separated.")

    options = parse(Options, argv, program="kube-apiserver")

Names, forms and units of flags are those of upstream's component of the same name: a boolean may be given as
`--flag`, `--flag=true` or `--flag=false`; a list as `a,b` or by repeating the flag; a mapping as `k=v,k2=v2`;
a duration (`Duration`) as `1m30s`. Names may be written with `_` for `-`. `--version` prints the version and ends.
What cannot be understood ends the program with the words of Go's pflag, in which upstream's programs complain.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, NewType, NoReturn, TypeVar

from kubarium.component_base import version

Duration = NewType("Duration", float)
"""Seconds, written on the command line as Go writes durations: `300ms`, `1m30s`, `2h`."""

Whole = NewType("Whole", str)
"""A text of a list that may itself hold commas: the flag is given once for each."""

T = TypeVar("T")

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")


def flag(
    default: Any,
    help: str = "",
    *,
    name: str | None = None,
    group: str = "Generic flags",
    choices: Sequence[Any] | None = None,
    deprecated: str = "",
) -> Any:
    """Declare a field of an options class. `deprecated` is what whoever gives the flag is told."""
    metadata = {"help": help, "name": name, "group": group, "choices": choices, "deprecated": deprecated}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def parse_duration(text: str) -> Duration:
    """`1m30s` -> 90.0. Raises ValueError for anything else than a Go duration."""
    if text in ("0", ""):
        return Duration(0.0)
    sign = -1.0 if text.startswith("-") else 1.0
    body = text.lstrip("+-")
    if not re.fullmatch(f"(?:{_DURATION.pattern})+", body):
        raise ValueError(f"time: invalid duration {text!r}")
    return Duration(sign * sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(body)))


def format_duration(seconds: float) -> str:
    """90.0 -> `1m30s`, as Go writes durations."""
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if seconds < 1:
        return f"{round(seconds * 1000, 6):g}ms" if seconds else "0s"
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    head = f"{hours:.0f}h{minutes:.0f}m" if hours else f"{minutes:.0f}m" if minutes else ""
    return f"{head}{round(rest, 9):g}s"


def parse(
    options: type[T],
    argv: Sequence[str],
    program: str,
    defaults: T | None = None,
    deprecated: Mapping[str, str] | None = None,
) -> T:
    """Read flags into an options value; `defaults` (a config file, say) stand where no flag was given.

    `deprecated` says by field what to tell whoever gives its flag, besides what the fields say themselves.
    """
    parser = _Parser(prog=program, allow_abbrev=False, exit_on_error=False)
    parser.add_argument(
        "--version",
        nargs="?",
        const="true",
        action=_ShowVersion,
        metavar="true|false|raw",
        help=_ShowVersion.HELP,
    )
    hints = typing.get_type_hints(options)
    groups: dict[str, Any] = {}
    fields = dataclasses.fields(options)  # type: ignore[arg-type]
    for field in fields:
        title = field.metadata.get("group", "Generic flags")
        group = groups.setdefault(title, parser.add_argument_group(title))
        names = ["--" + _name_of(field)]
        if field.name == "verbosity":
            names = ["-v", "--v"]
        group.add_argument(
            *names,
            dest=field.name,
            help=field.metadata.get("help"),
            choices=field.metadata.get("choices"),
            **_argument(hints[field.name]),
        )
    arguments = vars(parser.parse_all([_with_dashes(text) for text in argv]))
    given = {key: value for key, value in arguments.items() if value is not None and key != "version"}
    for field in fields:
        if field.name in given:
            try:
                given[field.name] = _collect(hints[field.name], given[field.name])
            except (argparse.ArgumentTypeError, ValueError) as error:
                parser.error(f'invalid argument for "--{_name_of(field)}" flag: {error}')
            if text := field.metadata.get("deprecated") or (deprecated or {}).get(field.name):
                sys.stderr.write(f"Flag --{_name_of(field)} has been deprecated, {text}\n")
    found: T = options(**given) if defaults is None else dataclasses.replace(defaults, **given)  # type: ignore[type-var]
    if hasattr(found, "feature_gates"):
        from kubarium.component_base import features  # whoever has no gates has no metrics either, perhaps

        try:
            features.note(found.feature_gates)
        except features.GateError as error:
            parser.exit(1, f"Error: {_OF_GATES.get(program, '')}{error}\n")
    return found


def _name_of(field: dataclasses.Field[Any]) -> str:
    return field.metadata.get("name") or field.name.replace("_", "-")


_OF_GATES = {  # what programs say before they tell what is wrong with a gate
    "kubelet": "failed to set feature gates from initial flags-based config: ",
    "kube-proxy": "failed complete: ",
}
_UNDERSTOOD = (  # what argparse says of a value, and what Go says
    (r"invalid int value: '(.*)'", 'strconv.ParseInt: parsing "{0}": invalid syntax'),
    (r"invalid float value: '(.*)'", 'strconv.ParseFloat: parsing "{0}": invalid syntax'),
    (r"invalid boolean value '(.*)'", 'strconv.ParseBool: parsing "{0}": invalid syntax'),
    (r"invalid parse_duration value: '(.*)'", 'time: invalid duration "{0}"'),
    (r"invalid choice: '?(.*?)'? \(choose from (.*)\)", "must be one of {1}"),
)


class _Parser(argparse.ArgumentParser):
    """Complains as pflag does."""

    def parse_all(self, argv: Sequence[str]) -> argparse.Namespace:
        """Take every argument, or end the program."""
        try:
            found, left = self.parse_known_args(argv)
        except argparse.ArgumentError as error:
            self.error(_in_words_of_pflag(error))
        if left:
            self.error(self._unknown(left))
        return found

    def _unknown(self, left: Sequence[str]) -> str:
        flag = next((text for text in left if text.startswith("-") and text != "-"), "")
        if flag.startswith("--"):
            return f"unknown flag: {flag.partition('=')[0]}"
        if flag:
            return f"unknown shorthand flag: '{flag[1]}' in {flag}"
        quoted = " ".join(f'"{text}"' for text in left)
        return f'"{self.prog}" does not take any arguments, got [{quoted}]'

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        # The kubelet parses twice, and says so.
        before = "failed to parse kubelet flag: " if self.prog == "kubelet" else ""
        self.exit(1, f"Error: {before}{message}\n")


def _in_words_of_pflag(error: argparse.ArgumentError) -> str:
    flag = (error.argument_name or "").rpartition("/")[2]
    if error.message.startswith("expected"):
        return f"flag needs an argument: {flag}"
    for pattern, words in _UNDERSTOOD:
        if found := re.fullmatch(pattern, error.message):
            return f'invalid argument "{found[1]}" for "{flag}" flag: {words.format(*found.groups())}'
    return f'invalid argument for "{flag}" flag: {error.message}'


class _ShowVersion(argparse.Action):
    """`--version` as upstream's programs have it."""

    HELP = "--version, --version=raw prints version information and quits."

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option_string: str | None = None
    ) -> None:
        if values == "false":
            return
        document = version.version_document()
        fields = ", ".join(f'{key[0].upper()}{key[1:]}:"{text}"' for key, text in document.items())
        text = f"version.Info{{{fields}}}" if values == "raw" else f"Kubernetes {version.VERSION}"
        sys.stdout.write(f"{text}\n")
        parser.exit(0)


def _with_dashes(text: str) -> str:
    """Upstream takes `--a_flag` for `--a-flag`."""
    if not text.startswith("--"):
        return text
    name, equals, value = text.partition("=")
    return name.replace("_", "-") + equals + value


def _argument(hint: Any) -> dict[str, Any]:
    hint = _without_none(hint)
    if hint is bool:
        return {"nargs": "?", "const": True, "type": _parse_bool, "metavar": "true|false"}
    if hint is Duration:
        return {"type": parse_duration, "metavar": "duration"}
    if typing.get_origin(hint) in (tuple, dict):
        return {
            "action": "append",
            "metavar": "strings" if typing.get_origin(hint) is tuple else "mapStringString",
        }
    return {"type": hint, "metavar": {"str": "string"}.get(hint.__name__, hint.__name__)}


def _collect(hint: Any, value: Any) -> Any:
    hint = _without_none(hint)
    if hint == tuple[Whole, ...]:
        return tuple(value)
    if typing.get_origin(hint) is tuple:
        kind = typing.get_args(hint)[0]
        return tuple(kind(part) for text in value for part in text.split(",") if part)
    if typing.get_origin(hint) is dict:
        pairs = [part.partition("=") for text in value for part in text.split(",") if part]
        kind = typing.get_args(hint)[1]
        return {key: _parse_bool(text) if kind is bool else kind(text) for key, _, text in pairs}
    return value


def _without_none(hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(arg for arg in typing.get_args(hint) if arg is not type(None))
    return hint


def _parse_bool(text: str) -> bool:
    lowered = text.lower()
    if lowered in ("true", "t", "1", "yes"):
        return True
    if lowered in ("false", "f", "0", "no"):
        return False
    raise argparse.ArgumentTypeError(f"invalid boolean value {text!r}")
